"""How servers are checked, and what becomes of a service without servers."""

from dataclasses import dataclass

from pronghorn.control.actions.base import Action
from pronghorn.control.health.changes import HEALTH
from pronghorn.control.model import Server, Service, ServiceKey
from pronghorn.control.plane import DataPlane


@dataclass(frozen=True)
class ChangeHealth(Action):
    """Of both services only what concerns health counts; they have no servers here."""

    old: Service
    new: Service

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_health(self.new)

    def inverse(self) -> Action:
        return ChangeHealth(self.new, self.old)

    def __str__(self) -> str:
        changed = [name for name in HEALTH if getattr(self.old, name) != getattr(self.new, name)]
        return f"change {', '.join(changed)} of {self.new.key}"


@dataclass(frozen=True)
class ChangeChecks(Action):
    key: ServiceKey
    old: Server
    new: Server

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_checks(self.key, self.new)

    def inverse(self) -> Action:
        return ChangeChecks(self.key, self.new, self.old)

    def __str__(self) -> str:
        where = f"via {self.new.check_via or 'as checks say'}, port {self.new.check_port or 'as checks say'}"
        return f"change checks of server {self.new.address} of {self.key}: {where}"
