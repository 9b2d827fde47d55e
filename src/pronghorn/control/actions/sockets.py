"""Endpoints of the gateway itself: how TCP and UDP behave, which ports sockets are given; and what programs may."""

from dataclasses import dataclass
from typing import Any

from pronghorn.control.actions.base import Action
from pronghorn.control.model import Programs, Tcp, Udp
from pronghorn.control.plane import DataPlane


@dataclass(frozen=True)
class ChangeSocketPorts(Action):
    old: tuple[int, int]
    new: tuple[int, int]

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_socket_ports(*self.new)

    def inverse(self) -> Action:
        return ChangeSocketPorts(self.new, self.old)

    def __str__(self) -> str:
        return "change ports of sockets: {}-{} -> {}-{}".format(*self.old, *self.new)


@dataclass(frozen=True)
class ChangeTcp(Action):
    old: Tcp
    new: Tcp

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_tcp(self.new)

    def inverse(self) -> Action:
        return ChangeTcp(self.new, self.old)

    def __str__(self) -> str:
        return "change TCP: " + _differences(self.old.model_dump(), self.new.model_dump())


@dataclass(frozen=True)
class ChangeUdp(Action):
    old: Udp
    new: Udp

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_udp(self.new)

    def inverse(self) -> Action:
        return ChangeUdp(self.new, self.old)

    def __str__(self) -> str:
        return "change UDP: " + _differences(self.old.model_dump(), self.new.model_dump())


@dataclass(frozen=True)
class ChangePrograms(Action):
    old: Programs
    new: Programs

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_programs(self.new)

    def inverse(self) -> Action:
        return ChangePrograms(self.new, self.old)

    def __str__(self) -> str:
        return "change programs: " + _differences(self.old.model_dump(mode="json"), self.new.model_dump(mode="json"))


def _differences(before: dict[str, Any], after: dict[str, Any]) -> str:
    return ", ".join(f"{name} {before[name]} -> {new}" for name, new in after.items() if before[name] != new)
