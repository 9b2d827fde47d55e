"""Ports, addresses and routes: what connects the gateway to its networks."""

from dataclasses import dataclass

from pronghorn.control.actions.base import Action
from pronghorn.control.fields import Interface
from pronghorn.control.model import Port, Route
from pronghorn.control.plane import DataPlane


@dataclass(frozen=True)
class AddPort(Action):
    port: Port

    def carry_out(self, plane: DataPlane) -> None:
        plane.add_port(self.port)

    def inverse(self) -> Action:
        return RemovePort(self.port)

    def __str__(self) -> str:
        return f"add port {self.port.name} on {self.port.device}"


@dataclass(frozen=True)
class RemovePort(Action):
    port: Port

    def carry_out(self, plane: DataPlane) -> None:
        plane.remove_port(self.port)

    def inverse(self) -> Action:
        return AddPort(self.port)

    def __str__(self) -> str:
        return f"remove port {self.port.name} on {self.port.device}"


@dataclass(frozen=True)
class ChangeMtu(Action):
    port: str
    old: int | None
    new: int | None

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_mtu(self.port, self.new)

    def inverse(self) -> Action:
        return ChangeMtu(self.port, self.new, self.old)

    def __str__(self) -> str:
        return f"change MTU of port {self.port}: {self.old or 'device'} -> {self.new or 'device'}"


@dataclass(frozen=True)
class AddAddress(Action):
    port: str
    interface: Interface

    def carry_out(self, plane: DataPlane) -> None:
        plane.add_address(self.port, self.interface)

    def inverse(self) -> Action:
        return RemoveAddress(self.port, self.interface)

    def __str__(self) -> str:
        return f"add address {self.interface} to port {self.port}"


@dataclass(frozen=True)
class RemoveAddress(Action):
    port: str
    interface: Interface

    def carry_out(self, plane: DataPlane) -> None:
        plane.remove_address(self.port, self.interface)

    def inverse(self) -> Action:
        return AddAddress(self.port, self.interface)

    def __str__(self) -> str:
        return f"remove address {self.interface} from port {self.port}"


@dataclass(frozen=True)
class AddRoute(Action):
    route: Route

    def carry_out(self, plane: DataPlane) -> None:
        plane.add_route(self.route)

    def inverse(self) -> Action:
        return RemoveRoute(self.route)

    def __str__(self) -> str:
        return f"add route {_way(self.route)}"


@dataclass(frozen=True)
class RemoveRoute(Action):
    route: Route

    def carry_out(self, plane: DataPlane) -> None:
        plane.remove_route(self.route)

    def inverse(self) -> Action:
        return AddRoute(self.route)

    def __str__(self) -> str:
        return f"remove route {_way(self.route)}"


@dataclass(frozen=True)
class ChangeRoute(Action):
    old: Route
    new: Route

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_route(self.new)

    def inverse(self) -> Action:
        return ChangeRoute(self.new, self.old)

    def __str__(self) -> str:
        return f"change route {_way(self.new)}"


def _way(route: Route) -> str:
    return f"{route.prefix}{f' via {route.via}' if route.via else ''} on port {route.port}"
