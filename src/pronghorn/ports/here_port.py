"""A port that leads back into the engine, for every worker its own (veth_here.py): the way to our own addresses.

What a worker sends to it, the same worker receives in its next turn. Answers to attached programs take it, and resets
from one that has ended to another (programs/mourning.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from pronghorn.compiled import array_at, u64
from pronghorn.memory.pool import PoolCache
from pronghorn.ports.driver import EngineMemory, describe, fresh_table
from pronghorn.ports.veth import VethQueue
from pronghorn.ports.veth_here import here_lay, here_octets
from pronghorn.ports.veth_rings import Inlet, Outlet, inlet_drain
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, RSS, SEGMENTATION, VETH, Port, Queue

MTU = 65_535


class HerePort:
    """See the module."""

    kind = VETH
    descriptors = 0

    def __init__(self, mac: int) -> None:
        self.mtu, self.mac = MTU, mac
        self.offloads = CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION | RSS
        self._engine: EngineMemory | None = None
        self._ends: list[VethQueue] = []
        self._wakes: list[int] = []

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Lay a ring out for each worker."""
        self._engine, step = engine, -(-here_octets() // 64) * 64
        memory = fresh_table(engine.arena, f"port.{port.index}.here", u64, step * engine.workers // 8)
        for worker, queue in enumerate(queues):
            end = here_lay(memory.address + step * worker)
            wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            inlet, outlet = Inlet(end.inlet), Outlet(end.outlet)
            inlet.fd, outlet.one = wake, 1
            array_at(outlet.fds.element, outlet.fds.address)[0] = wake
            self._ends.append(end)
            self._wakes.append(wake)
            queue.fd, queue.driver = wake, end.address
        describe(port, self, engine.workers)

    def close(self) -> None:
        """Free what waits."""
        for end in self._ends:
            if self._engine is not None:
                large = self._engine.control_large or PoolCache(0)
                inlet_drain(self._engine.control, large, self._engine.small.chunks, Inlet(end.inlet))
        for wake in self._wakes:
            os.close(wake)
        self._ends, self._wakes = [], []

    def statistics(self) -> dict[str, int | str]:
        """It is there."""
        return {"link": "up", "other_end": "this engine"}
