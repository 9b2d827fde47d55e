"""Services and their servers."""

from dataclasses import dataclass

from pronghorn.control.actions.base import Action
from pronghorn.control.endpoint import Endpoint
from pronghorn.control.model import Server, Service, ServiceKey
from pronghorn.control.plane import DataPlane
from pronghorn.control.reach import Reach
from pronghorn.control.scheduling import Limits, Scheduling


@dataclass(frozen=True)
class AddService(Action):
    service: Service

    def carry_out(self, plane: DataPlane) -> None:
        plane.add_service(self.service)

    def inverse(self) -> Action:
        return RemoveService(self.service)

    def __str__(self) -> str:
        return f"add service {self.service.name} ({self.service.key}, {self.service.scheduler})"


@dataclass(frozen=True)
class RemoveService(Action):
    service: Service

    def carry_out(self, plane: DataPlane) -> None:
        plane.remove_service(self.service)

    def inverse(self) -> Action:
        return AddService(self.service)

    def __str__(self) -> str:
        return f"remove service {self.service.name} ({self.service.key})"


@dataclass(frozen=True)
class RenameService(Action):
    key: ServiceKey
    old: str
    new: str

    def carry_out(self, plane: DataPlane) -> None:
        plane.rename_service(self.key, self.new)

    def inverse(self) -> Action:
        return RenameService(self.key, self.new, self.old)

    def __str__(self) -> str:
        return f"rename service {self.key}: {self.old} -> {self.new}"


@dataclass(frozen=True)
class ChangeScheduler(Action):
    key: ServiceKey
    old: Scheduling
    new: Scheduling

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_scheduler(self.key, self.new)

    def inverse(self) -> Action:
        return ChangeScheduler(self.key, self.new, self.old)

    def __str__(self) -> str:
        return f"change scheduler of {self.key}: {self.old} -> {self.new}"


@dataclass(frozen=True)
class AddServer(Action):
    key: ServiceKey
    server: Server

    def carry_out(self, plane: DataPlane) -> None:
        plane.add_server(self.key, self.server)

    def inverse(self) -> Action:
        return RemoveServer(self.key, self.server)

    def __str__(self) -> str:
        state = ", draining" if self.server.state == "drain" else ""
        return f"add server {self.server.label} to {self.key} (weight {self.server.weight}{state})"


@dataclass(frozen=True)
class RemoveServer(Action):
    key: ServiceKey
    server: Server

    def carry_out(self, plane: DataPlane) -> None:
        plane.remove_server(self.key, self.server)

    def inverse(self) -> Action:
        return AddServer(self.key, self.server)

    def __str__(self) -> str:
        return f"remove server {self.server.label} from {self.key}"


@dataclass(frozen=True)
class RenameServer(Action):
    key: ServiceKey
    address: Endpoint
    old: str | None
    new: str | None

    def carry_out(self, plane: DataPlane) -> None:
        plane.rename_server(self.key, self.address, self.new)

    def inverse(self) -> Action:
        return RenameServer(self.key, self.address, self.new, self.old)

    def __str__(self) -> str:
        return f"rename server {self.address} of {self.key}: {self.old or 'no name'} -> {self.new or 'no name'}"


@dataclass(frozen=True)
class ChangeWeight(Action):
    key: ServiceKey
    address: Endpoint
    old: int
    new: int

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_weight(self.key, self.address, self.new)

    def inverse(self) -> Action:
        return ChangeWeight(self.key, self.address, self.new, self.old)

    def __str__(self) -> str:
        return f"change weight of server {self.address} of {self.key}: {self.old} -> {self.new}"


@dataclass(frozen=True)
class ChangeLimits(Action):
    key: ServiceKey
    address: Endpoint
    old: Limits
    new: Limits

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_limits(self.key, self.address, self.new)

    def inverse(self) -> Action:
        return ChangeLimits(self.key, self.address, self.new, self.old)

    def __str__(self) -> str:
        return f"change connections of server {self.address} of {self.key}: {self.old} -> {self.new}"


@dataclass(frozen=True)
class DrainServer(Action):
    key: ServiceKey
    address: Endpoint

    def carry_out(self, plane: DataPlane) -> None:
        plane.drain_server(self.key, self.address)

    def inverse(self) -> Action:
        return ResumeServer(self.key, self.address)

    def __str__(self) -> str:
        return f"drain server {self.address} of {self.key}"


@dataclass(frozen=True)
class ResumeServer(Action):
    key: ServiceKey
    address: Endpoint

    def carry_out(self, plane: DataPlane) -> None:
        plane.resume_server(self.key, self.address)

    def inverse(self) -> Action:
        return DrainServer(self.key, self.address)

    def __str__(self) -> str:
        return f"resume server {self.address} of {self.key}"


@dataclass(frozen=True)
class ChangeMethod(Action):
    key: ServiceKey
    address: Endpoint | None  # None: the service's
    old: Reach
    new: Reach

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_method(self.key, self.address, self.new)

    def inverse(self) -> Action:
        return ChangeMethod(self.key, self.address, self.new, self.old)

    def __str__(self) -> str:
        whose = f"server {self.address} of {self.key}" if self.address else f"{self.key}"
        return f"change method of {whose}: {self.old} -> {self.new}"
