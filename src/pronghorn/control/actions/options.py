"""What a service asks beyond the usual."""

from dataclasses import dataclass

from pronghorn.control.actions.base import Action
from pronghorn.control.model import Service
from pronghorn.control.options import OPTIONS
from pronghorn.control.plane import DataPlane


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
