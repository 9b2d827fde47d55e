"""What a port driver is to the engine: a class for set-up here in Python, two compiled functions in `drivers.py` for packets.

`open` fills the Port (mac, mtu, offloads, queues) and, for each worker, its Queue: `driver` (address of the driver's own record,
which lives in the engine's arena), `fd` to sleep on. A worker for which the device has no queue keeps `driver` 0.
`close` gives every packet the device still holds back to the pool and releases the kernel's resources; it is called
while no worker runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pronghorn.compiled import Array
from pronghorn.memory.arena import Arena
from pronghorn.memory.pool import Pool
from pronghorn.state.packet import Packet
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker


class PortError(Exception):
    """A device cannot be opened: the message says which, why, and what to do."""


class EngineMemory(Protocol):
    """What a driver sees of the engine."""

    arena: Arena
    pool: Pool  # 2 KB chunks; packet index = chunk index
    large_pool: Pool | None  # 64 KB chunks; packet index = packet_count + chunk index
    packets: Array[Packet]
    packet_count: int  # packets with a 2 KB chunk
    workers: Array[Worker]
    worker_count: int


class PortDriver(Protocol):
    """One device."""

    kind: int
    device: str

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Open the device for all workers; PortError when it is refused."""

    def close(self) -> None:
        """Release everything."""

    def statistics(self) -> dict[str, int | str]:
        """What the device itself counts and how it runs (mode, driver), for `show ports`."""
