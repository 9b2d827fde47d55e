"""A bare engine for driver tests: memory, workers and ports without anything that handles packets."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pronghorn.compiled import Array, hot
from pronghorn.memory import Arena, Chunk, LargeChunk, PoolCache, create_pool, pool_free_count
from pronghorn.ports.driver import Driver, EngineMemory
from pronghorn.ports.drivers import receive, transmit_burst
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, Packet
from pronghorn.state.packets import release
from pronghorn.state.port import BURST, Port, Queue
from pronghorn.state.worker import Worker
from tests.peers.namespaces import Namespace

CHUNKS = 8192
LARGE = 64
PORTS = 2
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
    """The memory of an engine with `workers` workers and two ports; one that is not opened does nothing."""

    def __init__(self, workers: int = 1, chunks: int = CHUNKS) -> None:
        self.arena = Arena.create(limit=256 << 20)
        small = create_pool(self.arena, "small", Chunk, chunks, workers + 1, "marks")
        large = create_pool(self.arena, "large", LargeChunk, LARGE, workers + 1, "marks")
        packets: Array[Packet] = self.arena.table("packets", Packet, chunks + LARGE)
        for n in range(chunks + LARGE):
            packet, home, place = (packets[n], small, n) if n < chunks else (packets[n], large, n - chunks)
            packet.chunk, packet.index, packet.room = home.base + place * home.octets, n, home.octets
        self.ports: Array[Port] = self.arena.table("ports", Port, PORTS)
        table: Array[Worker] = self.arena.table("workers", Worker, workers)
        self.workers = [table[w] for w in range(workers)]
        self.small, self.large = small, large
        for w, worker in enumerate(self.workers):
            worker.index, worker.workers, worker.packets, worker.small_packets = w, workers, packets, chunks
            worker.pool, worker.large_pool = small.caches[w].address, large.caches[w].address
            worker.ports, worker.port_count = self.ports, PORTS
            worker.queues = self.arena.table(f"queues{w}", Queue, PORTS)
        control, control_large = (PoolCache(pool.caches[workers].address) for pool in (small, large))
        self.memory = EngineMemory(self.arena, packets, small, large, control, control_large, workers)
        self.drivers: list[Driver] = []
        self.full = self.free

    def open(self, *drivers: Driver) -> None:
        """Open them as ports 0, 1, ..."""
        for number, driver in enumerate(drivers):
            self.ports[number].index = number
            queues = [worker.queues[number] for worker in self.workers]
            for queue in queues:
                queue.port, queue.fd = number, -1
            driver.open(self.memory, self.ports[number], queues)
            self.drivers.append(driver)
        for worker in self.workers:
            cross(worker)  # compiles, and gives the devices their chunks

    @property
    def free(self) -> tuple[int, int]:
        """Free chunks, small and large."""
        return pool_free_count(self.small), pool_free_count(self.large)

    def close(self) -> None:
        """Close the ports; every chunk must be back."""
        for driver in self.drivers:
            driver.close()
        assert self.free == self.full
        assert all(worker.queues[n].rx_errors == 0 for worker in self.workers for n in range(worker.port_count))
        self.arena.close()

    def total(self, field: str, port: int) -> int:
        """A counter of the port's queues, summed over the workers."""
        return sum(getattr(worker.queues[port], field) for worker in self.workers)


@contextlib.contextmanager
def bench(workers: int = 1) -> Iterator[Bench]:
    """A bench whose ports are closed at the end, and whose chunks are counted then."""
    one = Bench(workers)
    try:
        yield one
    finally:
        one.close()


@hot
def cross(worker: Worker) -> int:
    """One turn of port 0 to port 1 and back; held and dispatched count unfinished and unsegmented frames."""
    total = 0
    for port in range(2):
        count = receive(worker, worker.ports[port], worker.queues[port], BURST)
        total += count
        for i in range(count):
            flags = Packet(worker.burst[i]).flags
            worker.held += 1 if flags & CHECKSUM_PARTIAL != 0 else 0
            worker.dispatched += 1 if flags & UNSEGMENTED != 0 else 0
        taken = 0
        if count > 0:
            taken = transmit_burst(worker, worker.ports[1 - port], worker.queues[1 - port], worker.burst, count)
        for i in range(taken, count):
            release(worker, Packet(worker.burst[i]))
    return total


def drive(
    one: Bench, process: subprocess.Popen[bytes], step: Callable[[Worker], int] = cross, seconds: float = 60
) -> None:
    """Turn every worker until the process ends, sleeping when there is nothing to do."""
    waiter = select.poll()
    for worker in one.workers:
        for port in range(worker.port_count):
            if worker.queues[port].fd > 0:
                waiter.register(worker.queues[port].fd, select.POLLIN)
    end = time.monotonic() + seconds
    while process.poll() is None:
        assert time.monotonic() < end, "too slow"
        if not sum(step(worker) for worker in one.workers):
            waiter.poll(10)


TRANSFER = Path(__file__).parent / "transfer.py"
