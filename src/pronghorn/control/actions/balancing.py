"""What all services share: local addresses and ports, timeouts, how workers wait."""

from dataclasses import dataclass

from pronghorn.control.actions.base import Action
from pronghorn.control.endpoint import Address
from pronghorn.control.model import Timeouts
from pronghorn.control.plane import DataPlane


@dataclass(frozen=True)
class AddLocalAddress(Action):
    address: Address

    def carry_out(self, plane: DataPlane) -> None:
        plane.add_local_address(self.address)

    def inverse(self) -> Action:
        return RemoveLocalAddress(self.address)

    def __str__(self) -> str:
        return f"add local address {self.address}"


@dataclass(frozen=True)
class RemoveLocalAddress(Action):
    address: Address

    def carry_out(self, plane: DataPlane) -> None:
        plane.remove_local_address(self.address)

    def inverse(self) -> Action:
        return AddLocalAddress(self.address)

    def __str__(self) -> str:
        return f"remove local address {self.address}"


@dataclass(frozen=True)
class ChangeLocalPorts(Action):
    old: tuple[int, int]
    new: tuple[int, int]

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_local_ports(*self.new)

    def inverse(self) -> Action:
        return ChangeLocalPorts(self.new, self.old)

    def __str__(self) -> str:
        return "change local ports: {}-{} -> {}-{}".format(*self.old, *self.new)


@dataclass(frozen=True)
class ChangeTimeouts(Action):
    old: Timeouts
    new: Timeouts

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_timeouts(self.new)

    def inverse(self) -> Action:
        return ChangeTimeouts(self.new, self.old)

    def __str__(self) -> str:
        before = self.old.model_dump()
        parts = [
            f"{name} {before[name]} -> {new} s" for name, new in self.new.model_dump().items() if before[name] != new
        ]
        return "change timeouts: " + ", ".join(parts)


@dataclass(frozen=True)
class ChangePolling(Action):
    busy_poll: bool

    def carry_out(self, plane: DataPlane) -> None:
        plane.change_polling(self.busy_poll)

    def inverse(self) -> Action:
        return ChangePolling(not self.busy_poll)

    def __str__(self) -> str:
        return "workers poll all the time" if self.busy_poll else "workers sleep when there is no traffic"
