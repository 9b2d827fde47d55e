"""A bare engine for driver tests: memory, workers and ports without anything that handles packets."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pronghorn.compiled import Array, hot
from pronghorn.memory import Arena, LargeChunk, PoolCache, create_pool, pool_free_count
from pronghorn.memory.pool import Chunk
from pronghorn.ports.driver import Driver, EngineMemory
from pronghorn.state.packet import Packet
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker
from tests.peers.namespaces import Namespace

CHUNKS = 8192
LARGE = 32
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(where: Namespace) -> Iterator[None]:
    """This thread is in the namespace for as long as the block lasts; what it opens there stays there."""
    with open("/proc/self/ns/net", "rb") as home, open(where.path, "rb") as there:
        assert _libc.setns(there.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert _libc.setns(home.fileno(), _CLONE_NEWNET) == 0


class Bench:
    """The memory of an engine with `workers` workers and room for `ports` ports."""

    def __init__(self, workers: int = 1, ports: int = 2) -> None:
        self.arena = Arena.create(limit=256 << 20)
        small = create_pool(self.arena, "small", Chunk, CHUNKS, workers + 1, "marks")
        large = create_pool(self.arena, "large", LargeChunk, LARGE, workers + 1, "marks")
        packets: Array[Packet] = self.arena.table("packets", Packet, CHUNKS + LARGE)
        for n in range(CHUNKS + LARGE):
            packet, home = packets[n], small if n < CHUNKS else large
            packet.chunk = home.base + (n if n < CHUNKS else n - CHUNKS) * home.octets
            packet.index, packet.room = n, home.octets
        self.ports: Array[Port] = self.arena.table("ports", Port, ports)
        self.workers: Array[Worker] = self.arena.table("workers", Worker, workers)
        self.small, self.large, self.count = small, large, workers
        for w in range(workers):
            worker = self.workers[w]
            worker.index, worker.workers, worker.packets, worker.small_packets = w, workers, packets, CHUNKS
            worker.pool, worker.large_pool = small.caches[w].address, large.caches[w].address
            worker.ports, worker.port_count = self.ports, ports
            worker.queues = self.arena.table(f"queues{w}", Queue, ports)
        for n in range(ports):
            self.ports[n].index = n
        self.memory = EngineMemory(
            self.arena,
            packets,
            small,
            large,
            PoolCache(small.caches[workers].address),
            PoolCache(large.caches[workers].address),
            workers,
        )

    def open(self, drivers: Sequence[Driver]) -> None:
        """Open them as ports 0, 1, ..."""
        for number, driver in enumerate(drivers):
            queues = [self.workers[w].queues[number] for w in range(self.count)]
            for queue in queues:
                queue.port = number
            driver.open(self.memory, self.ports[number], queues)

    @property
    def free(self) -> tuple[int, int]:
        """Free chunks, small and large."""
        return pool_free_count(self.small), pool_free_count(self.large)

    def fds(self) -> list[int]:
        """Everything to sleep on."""
        numbers = range(self.workers[0].port_count)
        found = [self.workers[w].queues[n].fd for w in range(self.count) for n in numbers]
        return [fd for fd in found if fd > 0]


def drive(bench: Bench, step: Any, process: Any, seconds: float) -> None:
    """Call `step(worker)` for every worker until `process` ends, sleeping when there is nothing to do."""
    waiter = select.poll()
    for fd in bench.fds():
        waiter.register(fd, select.POLLIN)
    end = time.monotonic() + seconds
    while process.poll() is None:
        assert time.monotonic() < end, "too slow"
        if not sum(step(bench.workers[w]) for w in range(bench.count)):
            waiter.poll(20)
