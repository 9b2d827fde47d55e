"""Attaching an end to the shared memory of its user-veth: `Link` opens the lanes and gives every worker its part."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence

from pronghorn.compiled import Array, array_at, i32, u64
from pronghorn.ports.driver import EngineMemory, fresh_table
from pronghorn.ports.link_lay import link_lay
from pronghorn.ports.rss import create_rss_table
from pronghorn.ports.veth import VethQueue
from pronghorn.ports.veth_lane import LANE_RING, UP, LaneEnd, lane_close, lane_open
from pronghorn.ports.veth_link import LinkQueue, link_call
from pronghorn.ports.veth_share import Share

_PATIENCE = 1.0  # s that a worker may take for one burst


class Link:
    """A user-veth between processes, from one end. Tables are named after `table`."""

    def __init__(self, engine: EngineMemory, name: str, table: str, queues: int, consent: int, key: bytes) -> None:
        self.share = Share(name, max(queues, engine.workers))
        self._ends: Sequence[VethQueue] = ()
        self._descriptors: list[int] = []
        self._lanes: list[LaneEnd] = []
        self.pipes: list[list[int]] = []  # to sleep on, by worker
        try:
            self._lay(engine, table, consent, key)
        except BaseException:
            self.close()
            raise

    def _lay(self, engine: EngineMemory, table: str, consent: int, key: bytes) -> None:
        share, arena, workers = self.share, engine.arena, engine.workers
        count = share.queues
        self._table: Array[LaneEnd] = fresh_table(arena, f"{table}.lanes", LaneEnd, count * (count + workers))
        marks = fresh_table(arena, f"{table}.marks", u64, LANE_RING * count * workers)
        self._records: Array[LinkQueue] = fresh_table(arena, f"{table}.links", LinkQueue, workers)
        pipes = fresh_table(arena, f"{table}.pipes", i32, count * (1 + workers))
        if any(known.name == f"{table}.keys" for known in arena.tables()):
            arena.drop(f"{table}.keys")
        rss = create_rss_table(arena, f"{table}.keys", key, count)
        ours = [self._pipe(share.end, queue) for queue in range(count)]
        for queue in range(count):
            pipes[queue] = self._pipe(share.other, queue)
        assert share.memory is not None
        memory, end, at = share.memory.address, "ab".index(share.end), 0
        for worker in range(workers):
            own, mine = self._records[worker], range(worker, count, workers)
            own.rss, own.theirs = rss.address, array_at(i32, pipes.address)
            own.pipes = array_at(i32, pipes.address + 4 * count * (1 + worker))
            for place, queue in enumerate(mine):
                own.pipes[place] = ours[queue]
            self.pipes.append([ours[queue] for queue in mine])
            own.pipe_count = len(mine)
            lanes, rest = self._table[at], array_at(u64, marks.address + 8 * LANE_RING * count * worker)
            at += link_lay(own, lanes.address, rest, memory, count, end, worker, workers, consent)
        self._lanes = [self._table[place] for place in range(at)]
        session = secrets.randbits(61) + 1
        for lane in self._lanes:
            lane_open(lane, session)
        for worker in range(workers):
            link_call(self._records[worker])

    def _pipe(self, end: str, queue: int) -> int:
        descriptor = self.share.pipe(end, queue)
        self._descriptors.append(descriptor)
        return descriptor

    def serve(self, ends: Sequence[VethQueue]) -> None:
        """The workers may use it from now on."""
        self._ends = ends
        for number, end in enumerate(ends):
            end.link = self._records[number].address

    def up(self) -> bool:
        """Whether frames pass, so far as anyone has tried."""
        return any(lane.state == UP for lane in self._lanes)

    def broken(self) -> int:
        """How often the other side broke the rules."""
        return sum(lane.broken for lane in self._lanes)

    def close(self) -> None:
        """Go: no worker is in it once this returns."""
        for end in self._ends:
            end.link = 0
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and any(end.busy for end in self._ends):
            time.sleep(0)
        self._ends = ()
        for lane in self._lanes:
            lane_close(lane)
        self._lanes = []
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []
        self.share.close()
