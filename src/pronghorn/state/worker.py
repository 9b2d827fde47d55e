"""A worker: one thread on one core with everything it owns. Share-nothing: no other thread writes here, rings aside."""

from __future__ import annotations

from pronghorn.compiled import Array, View, field, fixed, leaf, u32, u64
from pronghorn.compiled.hashing import multiply, shift_right, wrap
from pronghorn.state.packet import Packet
from pronghorn.state.port import BURST, Port, Queue

VERDICTS = 256
"""Places in a worker's table of verdict counters."""

NEVER = 1 << 62
"""worker.due while nothing is to happen by itself, ns."""


class Worker(View, align=64):
    """What the worker knows, hot fields first."""

    now: u64  # ns since an arbitrary start, monotonic; set once per turn
    index: u32  # 0 .. workers-1
    workers: u32
    port_count: u32
    small_packets: u32  # packets below this index have a 2 KB chunk, the others a 64 KB one
    ports: Array[Port]
    queues: Array[Queue]  # this worker's queue of each port, by port index
    packets: Array[Packet]  # all packets of the engine
    pool: u64  # address of this worker's PoolCache of 2 KB chunks (memory/pool.py)
    large_pool: u64  # address of its PoolCache of 64 KB chunks; 0 when there is none
    random: u64  # state of the generator in `random_number`
    secret: u64  # key of every hash over foreign input; drawn at start
    # roots of the rooms' own state
    net: u64
    balancer: u64
    transports: u64  # TCP and UDP endpoints
    programs: u64  # attached programs
    steering: u64  # array of Outbox, one per worker (state/dispatch.py)
    loop: u64  # engine/loop.py
    due: u64  # ns: when something has to happen even if nothing comes; good after a turn without work (`wake_at`)
    in_hand: u32  # place in `burst` of the last packet that has its verdict, or is about to
    in_burst: u32  # packets in `burst` while they are handled (engine/handle.py), else 0
    # counts, one writer
    received: u64 = field(align=64)  # packets that came from a port or from another worker
    originated: u64  # packets made here
    held: u64  # packets that wait for something: a neighbour, a fragment
    dispatched: u64  # packets handed to another worker
    turns: u64
    idle_turns: u64  # turns that found nothing to do
    busy_cycles: u64  # cycles spent in turns that found work
    sleeps: u64
    burst: Array[u64] = fixed(BURST, align=64)  # packets just received, by address
    verdicts: Array[u64] = fixed(VERDICTS, align=64)  # packets that ended, by verdict


@leaf
def wake_at(worker: Worker, when: int) -> None:
    """Let the worker not sleep beyond `when`, ns; one in the past means at once.

    To be called in every turn, by a driver in its receive or by engine/timers.py: a turn begins with NEVER.
    """
    if when < worker.due:
        worker.due = when


@leaf
def random_number(worker: Worker) -> int:
    """31 random bits (xorshift64*, Vigna 2014); for jitter and spreading, not for secrets."""
    state = worker.random
    state ^= shift_right(state, 12)
    state ^= wrap(state << 25)
    state ^= shift_right(state, 27)
    worker.random = state
    return shift_right(multiply(state, 2685821657736338717), 33)
