"""What a service asks beyond the usual."""

from dataclasses import dataclass

from pronghorn.control.actions.base import Action
from pronghorn.control.model import Service, ServiceKey
from pronghorn.control.options import OPTIONS, Place
from pronghorn.control.plane import DataPlane


@dataclass(frozen=True)
class ChangeListens(Action):
    key: ServiceKey
    old: tuple[Place, ...]
    new: tuple[Place, ...]

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_listens(self.key, self.new)

    def inverse(self) -> Action:
        return ChangeListens(self.key, self.new, self.old)

    def __str__(self) -> str:
        gone = [f"not at {place}" for place in self.old if place not in self.new]
        return f"listen for {self.key} {', '.join([f'at {p}' for p in self.new if p not in self.old] + gone)}"


@dataclass(frozen=True)
class ChangeOptions(Action):
    """Of both services only options count; they have no servers here."""

    old: Service
    new: Service

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_options(self.new)

    def inverse(self) -> Action:
        return ChangeOptions(self.new, self.old)

    def __str__(self) -> str:
        changed = [name for name in OPTIONS if getattr(self.old, name) != getattr(self.new, name)]
        return f"change {', '.join(changed)} of {self.new.key}"
