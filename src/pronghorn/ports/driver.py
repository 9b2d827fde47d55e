"""What a driver is to the rest of the engine.

A driver has two halves. The data plane is two compiled functions per driver, chosen by `port.kind` in `drivers.py`:

    NAME_receive(worker, port, queue, room) -> int        fills worker.burst[0 .. n), returns n
    NAME_transmit(worker, port, queue, packets, count)    returns how many it took from the front; these are its own

The other half, here, is plain Python that runs before and after: a class that follows `Driver`. It asks the kernel for
what it needs, puts the addresses into a record of its own in the arena, and leaves that record's address in
`queue.driver` of every worker. What the kernel cannot or will not do is a `PortError` that says what to do instead.

Rules:
* `open` is called before a worker knows the port, `close` when no worker uses it any more. Chunks that the device
  holds are taken by the workers as they receive, and all of them are back in the pool after `close`.
* A process that dies leaves nothing behind in the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pronghorn.compiled import Array
from pronghorn.memory import Arena, Pool, PoolCache
from pronghorn.state.packet import Packet
from pronghorn.state.port import Port, Queue


class PortError(Exception):
    """The port cannot be had. The text says who refused what, and what to do about it."""


@dataclass(frozen=True)
class EngineMemory:
    """The parts of an engine that a driver needs."""

    arena: Arena
    packets: Array[Packet]  # all packets: first those of the chunks of `small`, in order, then those of `large`
    small: Pool  # chunks of 2 KB
    large: Pool | None  # chunks of 64 KB
    control: PoolCache  # of `small`, for the thread that opens and closes ports
    control_large: PoolCache | None  # of `large`
    workers: int


class Driver(Protocol):
    """Set-up and facts of one port. Made with what follows the colon in the port's name."""

    kind: int  # of state/port.py
    mtu: int  # octets of layer 3; this and the following are known after `open`
    mac: int  # 48 bits, first octet most significant
    offloads: int  # of state/port.py

    @property
    def descriptors(self) -> int:
        """2 KB chunks that the device may hold at once, all its queues together; known before `open`."""

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Take the device. `queues` is each worker's Queue of this port, in order of workers; fills in both views."""

    def close(self) -> None:
        """Give everything back: the device as it was, the chunks to the pool. May be called again or without `open`."""

    def statistics(self) -> Mapping[str, int | str]:
        """What the kernel counts and how the device is driven, by name; beyond the counters in Queue."""


def fresh_table(arena: Arena, name: str, kind: Any, count: int) -> Array[Any]:
    """A zeroed table, whatever an earlier process left under that name."""
    if any(table.name == name for table in arena.tables()):
        arena.drop(name)
    return arena.table(name, kind, count)


def describe(port: Port, driver: Driver, queues: int) -> None:
    """Write the facts of an opened device into the port's view."""
    port.kind, port.mtu, port.mac = driver.kind, driver.mtu, driver.mac
    port.offloads, port.queues = driver.offloads, queues
