"""Who may: sets, what services ask of who comes, the black list and the defences."""

from dataclasses import dataclass

from pronghorn.control.access_settings import GUARDS, RULES, Set
from pronghorn.control.actions.base import Action
from pronghorn.control.model import Balancer, Service
from pronghorn.control.plane import DataPlane


@dataclass(frozen=True)
class AddSet(Action):
    set: Set

    def carry_out(self, plane: DataPlane) -> None:
        plane.add_set(self.set)

    def inverse(self) -> Action:
        return RemoveSet(self.set)

    def __str__(self) -> str:
        return f"add set {self.set.name} ({self.set.kind}, {len(self.set.entries)} entries)"


@dataclass(frozen=True)
class RemoveSet(Action):
    set: Set

    def carry_out(self, plane: DataPlane) -> None:
        plane.remove_set(self.set)

    def inverse(self) -> Action:
        return AddSet(self.set)

    def __str__(self) -> str:
        return f"remove set {self.set.name}"


@dataclass(frozen=True)
class ChangeSet(Action):
    """Another kind or size makes another set; otherwise only the entries that differ are touched."""

    old: Set
    new: Set

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_set(self.old, self.new)

    def inverse(self) -> Action:
        return ChangeSet(self.new, self.old)

    def __str__(self) -> str:
        old, new = set(self.old.entries), set(self.new.entries)
        parts = [f"{len(found)} entries {done}" for found, done in ((new - old, "more"), (old - new, "fewer")) if found]
        for key in ("kind", "timeout", "max_entries"):
            before, after = getattr(self.old, key), getattr(self.new, key)
            if before != after:
                parts.append(f"{key} {before} -> {after}")
        return f"change set {self.new.name}: {', '.join(parts) or 'order'}"


@dataclass(frozen=True)
class ChangeRules(Action):
    """Of both services only who may counts; they have no servers here."""

    old: Service
    new: Service

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_rules(self.new)

    def inverse(self) -> Action:
        return ChangeRules(self.new, self.old)

    def __str__(self) -> str:
        return f"change who may use {self.new.key}: {_changes(self.old, self.new, RULES)}"


@dataclass(frozen=True)
class ChangeGuards(Action):
    """Of what services share only who may counts."""

    old: Balancer
    new: Balancer

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_guards(self.new)

    def inverse(self) -> Action:
        return ChangeGuards(self.new, self.old)

    def __str__(self) -> str:
        return f"change guards: {_changes(self.old, self.new, GUARDS)}"


def _changes(old: object, new: object, keys: tuple[str, ...]) -> str:
    pairs = [(key, getattr(old, key), getattr(new, key)) for key in keys]
    return ", ".join(f"{key} {_text(before)} -> {_text(after)}" for key, before, after in pairs if before != after)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
