"""First contents of an engine's tables, in compiled code: an engine starts in well under a second."""

from __future__ import annotations

from pronghorn.compiled import Array, entry, hot
from pronghorn.engine.loop import Loop
from pronghorn.memory.mpsc_ring import MpscRing, mpsc_open
from pronghorn.memory.pool import Pool, pool_chunk
from pronghorn.state.packet import NO_PACKET, Packet
from pronghorn.state.worker import Worker

PATIENCE = 50_000_000
"""ns after which a worker gives up on a stalled producer of its inbox."""

MILLISECOND = 1_000_000

SPIN = 2_000
"""ns without work after which a worker sleeps. Longer takes the core from whom it waits for (docs/adr/0009)."""


@entry
def lay_out_packets(packets: Array[Packet], first: int, pool: Pool) -> None:
    """Packets from `first` on own the pool's chunks, in order."""
    for place in range(pool.chunks):
        packet = packets[first + place]
        packet.chunk, packet.room = pool_chunk(pool, place), pool.octets
        packet.index, packet.next = first + place, NO_PACKET


@hot
def worker_open(worker: Worker, loop: Loop, boxes: int, index: int, workers: int, ring: int, inbox: int) -> None:
    """Make a zeroed worker one of `workers`: its loop, its outboxes at `boxes`, its empty inbox of `inbox` entries at
    `ring`. Ports, packets and randomness are the caller's to give, and the outboxes' ends."""
    worker.index, worker.workers = index, workers
    worker.loop, worker.steering = loop.address, boxes
    mpsc_open(loop.inbox, MpscRing(ring), inbox, PATIENCE)
    mpsc_open(loop.control, MpscRing(ring), inbox, PATIENCE)
    loop.spin, loop.nap, loop.epoll_fd = SPIN, 50 * MILLISECOND, -1


@hot
def worker_share(worker: Worker, packets: Array[Packet], pool: Pool, large: int, cache: int) -> None:
    """Give the worker the engine's packets, and cache number `cache` of the pool and of the large pool (an address)."""
    worker.packets, worker.small_packets = packets, pool.chunks
    worker.pool = pool.caches[cache].address
    worker.large_pool = Pool(large).caches[cache].address if large != 0 else 0
