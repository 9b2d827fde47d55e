"""Pool, rings, prefix table and timer wheel: nanoseconds per packet, entry, look-up or timer on one core.

python -m bench.memory.structures
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import partial

from pronghorn.compiled import Array, hashing, hot, u32, u64
from pronghorn.memory import (
    Arena,
    Chunk,
    MpscEnd,
    MpscRing,
    PoolCache,
    PrefixTable,
    Ring,
    RingEnd,
    Timer,
    Wheel,
    create_pool,
    create_prefix_table,
    create_wheel,
    mpsc_octets,
    mpsc_open,
    mpsc_pop,
    mpsc_push,
    pool_get,
    pool_put,
    prefix_add,
    prefix_add4,
    prefix_find,
    prefix_find4,
    ring_octets,
    ring_open,
    ring_pop,
    ring_push,
    timer_add,
    timer_move,
    wheel_advance,
)

BURST = 32
ROUNDS = 50_000
SPREAD = 60_000


@hot
def through_pool(taker: PoolCache, giver: PoolCache, work: Array[u32], rounds: int) -> None:
    """Take bursts from one cache and free them into another, or the same."""
    for _ in range(rounds):
        for k in range(BURST):
            work[k] = pool_get(taker)
        for k in range(BURST):
            pool_put(giver, work[k])


@hot
def through_ring(producer: RingEnd, consumer: RingEnd, work: Array[u64], rounds: int) -> None:
    """Push and pop bursts."""
    for _ in range(rounds):
        ring_push(producer, work, BURST)
        ring_pop(consumer, work, BURST)


@hot
def through_mpsc(producer: MpscEnd, consumer: MpscEnd, work: Array[u64], rounds: int) -> None:
    """Push and pop bursts."""
    for _ in range(rounds):
        mpsc_push(producer, work, BURST)
        mpsc_pop(consumer, work, BURST, 0)


@hot
def add_routes4(table: PrefixTable, amount: int) -> None:
    """As many prefixes of IPv4 as a routing table has of each length, roughly: /24 mostly, /16 to /23."""
    state = 1
    for value in range(amount):
        state = hashing.mix(state, 1, 77)
        prefix_add4(table, state & 0xFFFFFFFF, 24 if (state >> 40) & 3 else 16 + ((state >> 50) & 7), value)


@hot
def find4(table: PrefixTable, rounds: int) -> int:
    """Look random addresses up."""
    state, total = 1, 0
    for _ in range(rounds):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        total += prefix_find4(table, state << 1)
    return total


@hot
def find6(table: PrefixTable, hosts: Array[u64], amount: int, rounds: int) -> int:
    """Look up hosts that are in the table."""
    total = 0
    for number in range(rounds):
        place = 2 * (number * 7919 % amount)
        total += prefix_find(table, hosts[place], hosts[place + 1])
    return total


@hot
def add_timers(wheel: Wheel, amount: int) -> None:
    """Timers over the next minute."""
    for index in range(amount):
        timer_add(wheel, index, wheel.tick + 1 + index * 7919 % SPREAD)


@hot
def move_timers(wheel: Wheel, amount: int, rounds: int) -> None:
    """Move timers at random."""
    for number in range(rounds):
        timer_move(wheel, number * 104729 % amount, wheel.tick + 1 + number * 7919 % SPREAD)


@hot
def advance(wheel: Wheel, tick: int, out: Array[u32]) -> int:
    """Tick by tick up to `tick`; returns how many timers expired."""
    expired = 0
    while wheel.tick < tick:
        target = wheel.tick + 1
        while wheel.tick < target:
            expired += wheel_advance(wheel, target, out, 64)
    return expired


def nanoseconds(run: Callable[[], object], amount: int, repeat: int = 5) -> float:
    """Least wall time of `run` per unit, compiled before."""
    least = 1e9
    for _ in range(repeat + 1 if repeat > 1 else 1):
        begin = time.perf_counter()
        run()
        least = min(least, time.perf_counter() - begin)
    return least / amount * 1e9


def pool_and_rings(arena: Arena) -> Iterator[tuple[str, float]]:
    pool, packets = create_pool(arena, "pool", Chunk, 65536, 2), ROUNDS * BURST
    here, there = pool.caches[0], pool.caches[1]
    indexes, work = arena.table("indexes", u32, BURST), arena.table("work", u64, BURST)
    yield "pool: take and free, one worker", nanoseconds(partial(through_pool, here, here, indexes, ROUNDS), packets)
    yield "pool: freed by another worker", nanoseconds(partial(through_pool, here, there, indexes, ROUNDS), packets)
    ring, ends = Ring(arena.table("ring", u64, ring_octets(512) // 8).address), arena.table("ends", RingEnd, 2)
    mpsc, tips = MpscRing(arena.table("mpsc", u64, mpsc_octets(512) // 8).address), arena.table("tips", MpscEnd, 2)
    for side in range(2):
        ring_open(ends[side], ring, 512)
        mpsc_open(tips[side], mpsc, 512, 1000)
    yield "ring: push and pop", nanoseconds(partial(through_ring, ends[0], ends[1], work, ROUNDS), packets)
    yield "MPSC ring: push and pop", nanoseconds(partial(through_mpsc, tips[0], tips[1], work, ROUNDS), packets)


def prefixes(arena: Arena) -> Iterator[tuple[str, float]]:
    for amount in (10, 1000, 100_000):
        table = create_prefix_table(arena, f"ipv4 {amount}", amount)
        add_routes4(table, amount)
        yield f"prefix: IPv4, {amount} routes", nanoseconds(partial(find4, table, 1_000_000), 1_000_000)
        for length in (64, 128):
            table, choice = create_prefix_table(arena, f"ipv6 {length} {amount}", amount), random.Random(1)
            hosts = arena.table(f"hosts {length} {amount}", u64, 2 * amount)
            for place in range(0, 2 * amount, 2):
                hosts[place] = 0x20010DB800000000 | choice.getrandbits(32)
                hosts[place + 1] = choice.getrandbits(64)
                prefix_add(table, hosts[place], hosts[place + 1], length, place)
            spent = nanoseconds(partial(find6, table, hosts, amount, 200_000), 200_000)
            yield f"prefix: IPv6, {amount} routes of /{length}", spent


def timers(arena: Arena) -> Iterator[tuple[str, float]]:
    out = arena.table("out", u32, 64)
    for amount in (1000, 1_000_000, 4_000_000):
        table = arena.table(f"timers {amount}", Timer, amount, count=amount)
        wheel = create_wheel(arena, f"wheel {amount}", table.address, Timer.SIZE, 1000)
        add_timers(wheel, 0)
        yield f"wheel: add, {amount} timers", nanoseconds(partial(add_timers, wheel, amount), amount, 1)
        spent = nanoseconds(partial(move_timers, wheel, amount, 1_000_000), 1_000_000, 2)
        yield f"wheel: move, {amount} timers", spent
        advance(wheel, wheel.tick, out)
        spent = nanoseconds(partial(advance, wheel, wheel.tick + SPREAD + 1000, out), amount, 1)
        yield f"wheel: expire, {amount} timers in {SPREAD + 1000} ticks", spent


if __name__ == "__main__":
    with Arena.create() as arena:
        for part in (pool_and_rings, prefixes, timers):
            for name, spent in part(arena):
                print(f"{name:<50} {spent:8.1f} ns", flush=True)
