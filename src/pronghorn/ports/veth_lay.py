"""Laying the rings of one port: `Trunk` makes the inlets and outlets of every pair of workers, and clears them away."""

from __future__ import annotations

import os
import time

from pronghorn.compiled import Array, i32, u64
from pronghorn.memory.pool import PoolCache
from pronghorn.memory.ring import Ring, RingEnd, ring_octets, ring_open, ring_reset
from pronghorn.ports.driver import EngineMemory, fresh_table
from pronghorn.ports.rss import MICROSOFT_KEY, create_rss_table
from pronghorn.ports.veth_rings import RING, Inlet, Outlet, inlet_drain

_PATIENCE = 1.0  # s that a worker may take for one burst


class Trunk:
    """Everything that leads to one port of an engine: an outlet per sending worker, an inlet per receiving one."""

    def __init__(self, engine: EngineMemory, name: str, consent: int, key: bytes = MICROSOFT_KEY) -> None:
        count = engine.workers
        self._engine = engine
        self.inlets: Array[Inlet] = fresh_table(engine.arena, f"{name}.inlets", Inlet, count)
        self.outlets: Array[Outlet] = fresh_table(engine.arena, f"{name}.outlets", Outlet, count)
        words = ring_octets(RING) // 8
        rings = fresh_table(engine.arena, f"{name}.rings", u64, words * count * count)
        senders: Array[RingEnd] = fresh_table(engine.arena, f"{name}.senders", RingEnd, count * count)
        receivers: Array[RingEnd] = fresh_table(engine.arena, f"{name}.receivers", RingEnd, count * count)
        fds = fresh_table(engine.arena, f"{name}.fds", i32, count)
        self._forget_table(f"{name}.rss")
        rss = create_rss_table(engine.arena, f"{name}.rss", key, count)
        self.fds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(count)]
        for sender in range(count):
            for receiver in range(count):
                ring = Ring(rings.address + 8 * words * (sender * count + receiver))
                ring_reset(ring)
                ring_open(senders[sender * count + receiver], ring, RING)
                ring_open(receivers[receiver * count + sender], ring, RING)
        for number, descriptor in enumerate(self.fds):
            fds[number] = descriptor
            inlet, outlet = self.inlets[number], self.outlets[number]
            inlet.rings = Array(receivers.element, receivers[number * count].address)
            inlet.count, inlet.fd = count, descriptor
            outlet.rings = Array(senders.element, senders[number * count].address)
            outlet.fds, outlet.rss, outlet.one, outlet.count, outlet.consent = fds, rss.address, 1, count, consent

    def _forget_table(self, name: str) -> None:
        if any(table.name == name for table in self._engine.arena.tables()):
            self._engine.arena.drop(name)

    def wait(self) -> None:
        """Until no worker is in the middle of sending. The way in must have been closed."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and any(self.outlets[n].busy for n in range(self._engine.workers)):
            time.sleep(0)

    def close(self) -> None:
        """Free what waits; nobody sends any more."""
        engine = self._engine
        large = engine.control_large or PoolCache(0)
        for number, descriptor in enumerate(self.fds):
            inlet_drain(engine.control, large, engine.small.chunks, self.inlets[number])
            os.close(descriptor)
        self.fds = []
