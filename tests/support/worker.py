"""A worker without an engine: arena, packet pool, ports whose bursts are looked at, and a clock that tests set.

    bench = WorkerBench(ports=2)
    packet = bench.packet(frame, port=0)                     # as if port 0 had received the frame
    verdict = bench.end(packet, arp_input(bench.worker, packet))   # as the turn does
    frames = bench.sent(1)                                   # what waits on port 1, which is thereby transmitted
    bench.check()                                            # verdicts add up, no packet was lost

Nothing handles packets by itself; rooms add their state to `bench.worker` (bench.arena is there for it).
"""

from __future__ import annotations

import ctypes

from pronghorn.compiled import Array
from pronghorn.memory.arena import Arena
from pronghorn.memory.pool import Chunk, create_pool, pool_free_count
from pronghorn.state.packet import NO_PACKET, Packet
from pronghorn.state.packets import allocate, finish, release
from pronghorn.state.port import Port, Queue
from pronghorn.state.verdicts import QUEUED, TRANSMITTED, VERDICTS
from pronghorn.state.worker import Worker

SECOND = 1_000_000_000
START = 1000 * SECOND
"""worker.now of a fresh bench, in nanoseconds."""


def mac_of(port: int) -> int:
    """Hardware address of a bench's port: 02:00:00:00:00:10 and following."""
    return 0x02_00_00_00_00_10 + port


class WorkerBench:
    """One worker with `ports` ports and `chunks` packets of 2 KB."""

    def __init__(self, ports: int = 2, chunks: int = 512, index: int = 0, workers: int = 1, mtu: int = 1500) -> None:
        self.arena = Arena.create(limit=256 << 20)
        self.pool = create_pool(self.arena, "small", Chunk, chunks, index + 1, "marks")
        packets: Array[Packet] = self.arena.table("packets", Packet, chunks)
        for number in range(chunks):
            packet = packets[number]
            packet.chunk, packet.room = self.pool.base + number * self.pool.octets, self.pool.octets
            packet.index, packet.next = number, NO_PACKET
        self.worker: Worker = self.arena.table("workers", Worker, 1)[0]
        worker = self.worker
        worker.now, worker.index, worker.workers, worker.port_count = START, index, workers, ports
        worker.ports = self.arena.table("ports", Port, ports)
        worker.queues = self.arena.table("queues", Queue, ports)
        worker.packets, worker.small_packets = packets, chunks
        worker.pool = self.pool.caches[index].address
        worker.random, worker.secret = 0x1234_5678_9ABC_DEF1, 0x0F0E_0D0C_0B0A_0908
        for number in range(ports):
            port, queue = worker.ports[number], worker.queues[number]
            port.index, port.mtu, port.mac, port.up, port.queues = number, mtu, mac_of(number), 1, 1
            queue.port, queue.driver, queue.fd = number, 1, -1
        self.free = pool_free_count(self.pool)

    def close(self) -> None:
        """Unmap everything."""
        self.arena.close()

    def pass_time(self, seconds: float) -> None:
        """Move the worker's clock."""
        self.worker.now += int(seconds * SECOND)

    def packet(self, frame: bytes, port: int = 0, flags: int = 0) -> Packet:
        """A received packet with these octets, counted as received."""
        packet = allocate(self.worker)
        assert packet.address != 0, "the pool is empty"
        ctypes.memmove(packet.data, frame, len(frame))
        packet.length, packet.port, packet.flags = len(frame), port, flags
        self.worker.received += 1
        return packet

    def end(self, packet: Packet, verdict: int) -> str:
        """End the packet as the turn does; returns the verdict's name."""
        finish(self.worker, packet, verdict)
        return verdict_name(verdict)

    def sent(self, port: int = 0) -> list[bytes]:
        """The frames that wait on the port's transmit burst. They are transmitted thereby."""
        queue = self.worker.queues[port]
        frames = []
        for place in range(queue.waiting):
            packet = Packet(queue.burst[place])
            frames.append(ctypes.string_at(packet.data, packet.length))
            self.worker.verdicts[TRANSMITTED] += 1
            release(self.worker, packet)
        queue.waiting = 0
        return frames

    def count(self, name: str) -> int:
        """How many packets ended with the verdict of this name."""
        return self.worker.verdicts[next(v.number for v in VERDICTS.values() if v.name == name)]

    def check(self) -> None:
        """What came in, went: verdicts add up, and every packet is free, held, or waits on a burst."""
        worker = self.worker
        waiting = sum(worker.queues[port].waiting for port in range(worker.port_count))
        ended = sum(worker.verdicts[number] for number in range(256))
        assert worker.received + worker.originated == ended + worker.held + worker.dispatched + waiting
        assert self.free - pool_free_count(self.pool) == worker.held + waiting + worker.dispatched
        assert self.pool.caches[worker.index].wrong == 0, "a packet was freed twice"


def verdict_name(verdict: int) -> str:
    """The verdict's name in the table; `queued`, `held` and `continue` are no ends."""
    return {0: "continue", QUEUED: "queued", 255: "held"}.get(verdict) or VERDICTS[verdict].name
