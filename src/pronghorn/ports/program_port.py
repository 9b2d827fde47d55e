"""The gateway's end of an attached program's link: lanes in memory that came with the attachment, pipes to be woken by
(docs/adr/0013-accelerated-programs.md). The data plane is that of a user-veth between processes (veth_link.py).

The memory is one that nobody can shorten: a memfd sealed against it, so that a program cannot make the gateway touch
what is not there. Descriptors are duplicated: whoever brought them may close theirs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import time
from collections.abc import Sequence
from typing import Any

from pronghorn.compiled import Array, array_at, bounds, fill, i32, u64
from pronghorn.memory.arena import Arena
from pronghorn.memory.mapping import Mapping, map_shared
from pronghorn.ports.driver import EngineMemory, PortError, describe
from pronghorn.ports.link_lay import lanes_octets, link_lanes, link_lay
from pronghorn.ports.rss import SYMMETRIC_KEY, RssTable, create_rss_table
from pronghorn.ports.veth import VethQueue
from pronghorn.ports.veth_lane import LANE_RING, UP, LaneEnd, lane_close, lane_open
from pronghorn.ports.veth_link import LinkQueue, link_call
from pronghorn.ports.veth_rings import CONSENT, Inlet
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, RSS, SEGMENTATION, VETH, Port, Queue
from pronghorn.state.worker import NEVER

_PATIENCE = 1.0  # s that a worker may take for one burst
_SEALS = fcntl.F_SEAL_SHRINK


def _zeros(arena: Arena, name: str, kind: Any, count: int, octets: int) -> Array[Any]:
    """A zeroed table; the one of an earlier program behind the port, so that coming and going is quick."""
    table = arena.find(name, kind) or arena.table(name, kind, count)
    fill(table.address, 0, octets * count)
    return table


class ProgramPort:
    """End 0 of a link over the memory behind a descriptor. One queue per worker, and as many of the program's.

    `ours` are ends to read, by which the program wakes the queues; `theirs` ends to write, by which its queues are
    woken. All of them do not block.
    """

    kind = VETH
    descriptors = 0
    end = 0

    def __init__(self, memory: int, ours: Sequence[int], theirs: Sequence[int], mtu: int, mac: int) -> None:
        self.mtu, self.mac = mtu, mac
        self.offloads = CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION | RSS
        self._given = memory, tuple(ours), tuple(theirs)
        self._memory: Mapping | None = None
        self._descriptors: list[int] = []
        self._epolls: list[select.epoll] = []
        self._ends: list[VethQueue] = []
        self._lanes: list[LaneEnd] = []

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Map the memory, and greet the program."""
        memory, ours, theirs = self._given
        if len(ours) != engine.workers or len(theirs) != engine.workers:
            raise PortError(f"a program's link has a pipe of each side for each of {engine.workers} queues")
        try:
            self._map(memory, engine.workers)
            self._descriptors = [os.dup(each) for each in (*ours, *theirs)]
            self._lay(engine, f"port.{port.index}.program{engine.workers}", queues)
        except BaseException:
            self.close()
            raise
        describe(port, self, engine.workers)

    def _map(self, memory: int, queues: int) -> None:
        octets, there = lanes_octets(queues), os.fstat(memory).st_size
        if there < octets:
            raise PortError(f"the memory of a program's link has {there} octets, {queues} queues need {octets}")
        if fcntl.fcntl(memory, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise PortError("the memory of a program's link can be shortened: it is to be sealed (F_SEAL_SHRINK)")
        self._memory = map_shared(None, there, memory, "never", writable=True)
        bounds.register(self._memory.address, there, 0, "link of a program")

    def _lay(self, engine: EngineMemory, prefix: str, queues: Sequence[Queue]) -> None:
        assert self._memory is not None
        arena, count = engine.arena, engine.workers
        per_worker = link_lanes(count, 0, count)
        lanes: Array[LaneEnd] = _zeros(arena, f"{prefix}.lanes", LaneEnd, per_worker * count, LaneEnd.SIZE)
        marks: Array[u64] = _zeros(arena, f"{prefix}.marks", u64, LANE_RING * count * count, 8)
        links: Array[LinkQueue] = _zeros(arena, f"{prefix}.links", LinkQueue, count, LinkQueue.SIZE)
        ends: Array[VethQueue] = _zeros(arena, f"{prefix}.ends", VethQueue, count, VethQueue.SIZE)
        inlets: Array[Inlet] = _zeros(arena, f"{prefix}.inlets", Inlet, count, Inlet.SIZE)
        pipes: Array[i32] = _zeros(arena, f"{prefix}.pipes", i32, 2 * count, 4)
        known = arena.find(f"programs.rss{count}", RssTable)  # the same for all programs
        rss = known[0] if known is not None else create_rss_table(arena, f"programs.rss{count}", SYMMETRIC_KEY, count)
        for place, descriptor in enumerate(self._descriptors):
            pipes[place] = descriptor
        for worker, queue in enumerate(queues):
            own, first = links[worker], per_worker * worker
            own.rss, own.theirs = rss.address, array_at(i32, pipes.address + 4 * count)
            own.pipes, own.pipe_count = array_at(i32, pipes.address + 4 * worker), 1
            rest = array_at(u64, marks.address + 8 * LANE_RING * count * worker)
            laid = link_lay(
                own, lanes[first].address, rest, self._memory.address, count, self.end, worker, count, CONSENT
            )
            self._lanes += [lanes[place] for place in range(first, first + laid)]
            inlets[worker].last = NEVER  # nobody in this engine sends there
            ends[worker].inlet, ends[worker].link = inlets[worker].address, own.address
            self._ends.append(ends[worker])
            epoll = select.epoll()
            self._epolls.append(epoll)
            epoll.register(self._descriptors[worker], select.EPOLLIN)
            queue.fd, queue.driver = epoll.fileno(), ends[worker].address
        session = secrets.randbits(60) + 1
        for lane in self._lanes:
            lane_open(lane, session)
        for worker in range(count):
            link_call(links[worker])

    def up(self) -> bool:
        """Whether the program is at the other end, so far as anyone has tried."""
        return any(lane.state == UP for lane in self._lanes)

    def broken(self) -> int:
        """How often the program broke the rules of the lanes."""
        return sum(lane.broken for lane in self._lanes)

    def close(self) -> None:
        """No worker uses it any more once this returns; the program sees that the gateway is gone."""
        for end in self._ends:
            end.link = 0
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and any(end.busy for end in self._ends):
            time.sleep(0)
        for lane in self._lanes:
            lane_close(lane)
        self._ends, self._lanes = [], []
        for epoll in self._epolls:
            epoll.close()
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._epolls, self._descriptors = [], []
        if self._memory is not None:
            bounds.unregister(self._memory.address)
            self._memory.unmap()
            self._memory = None

    def statistics(self) -> dict[str, int | str]:
        """Whether the program answers, and how often it lied."""
        return {"link": "up" if self.up() else "down", "other_end": "a program", "broken": self.broken()}
