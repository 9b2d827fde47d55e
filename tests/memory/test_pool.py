"""The packet pool: no chunk is ever in two hands, none is lost, and what is freed twice is noticed."""

from __future__ import annotations

import random
import threading

import pytest

from pronghorn.compiled import Array, hot, mode, u32, u64
from pronghorn.memory import (
    Arena,
    Chunk,
    LargeChunk,
    Pool,
    PoolCache,
    Ring,
    RingEnd,
    create_pool,
    pool_chunk,
    pool_free_count,
    pool_get,
    pool_get_many,
    pool_index,
    pool_put,
    pool_put_many,
    pool_reset,
    ring_octets,
    ring_open,
    ring_pop,
    ring_push,
)

ROUNDS = 2_000 if mode() == "interpreted" else 100_000


@hot
def churn(cache: PoolCache, held: Array[u32], most: int, rounds: int, seed: int) -> int:
    """Take and free at random, holding up to `most`; everything is free again at the end. Returns chunks taken."""
    count, taken, state = 0, 0, seed
    for _ in range(rounds):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        if (state >> 16) % most >= count:
            index = pool_get(cache)
            if index >= 0:
                held[count] = index
                count += 1
                taken += 1
        elif count > 0:
            count -= 1
            pool_put(cache, held[count])
    pool_put_many(cache, held, count)
    return taken


@hot
def produce(cache: PoolCache, end: RingEnd, work: Array[u64], amount: int) -> int:
    """Take chunks and send them away."""
    sent = 0
    while sent < amount:
        index = pool_get(cache)
        if index >= 0:
            work[0] = index
            while ring_push(end, work, 1) == 0:
                pass
            sent += 1
    return sent


@hot
def consume(cache: PoolCache, end: RingEnd, work: Array[u64], amount: int) -> int:
    """Free what arrives."""
    got = 0
    while got < amount:
        count = ring_pop(end, work, 32)
        for k in range(count):
            pool_put(cache, work[k])
        got += count
    return got


def wrong(pool: Pool) -> int:
    return sum(pool.caches[worker].wrong for worker in range(pool.workers))


@pytest.mark.parametrize(("chunks", "workers"), [(1, 1), (7, 2), (64, 4), (1000, 3), (5000, 2)])
def test_all_chunks_can_be_taken_once(arena: Arena, chunks: int, workers: int) -> None:
    pool = create_pool(arena, "pool", Chunk, chunks, workers, "marks")
    cache = pool.caches[workers - 1]
    assert pool_free_count(pool) == chunks
    taken = [pool_get(cache) for _ in range(chunks)]
    assert sorted(taken) == list(range(chunks))
    assert (pool_get(cache), cache.refused, pool_free_count(pool), pool.low) == (-1, 1, 0, 0)
    random.Random(1).shuffle(taken)
    for number, index in enumerate(taken):
        pool_put(pool.caches[number % workers], index)
    assert (pool_free_count(pool), wrong(pool)) == (chunks, 0)


def test_bulk_takes_what_there_is(arena: Arena) -> None:
    pool = create_pool(arena, "pool", Chunk, 600, 1, "marks")
    out = arena.table("out", u32, 1024)
    cache = pool.caches[0]
    assert pool_get_many(cache, out, 0) == 0
    assert pool_get_many(cache, out, 1024) == 600
    assert sorted(out[k] for k in range(600)) == list(range(600))
    assert pool_get_many(cache, out, 1) == 0
    pool_put_many(cache, out, 600)
    assert pool_free_count(pool) == 600


def test_random_workers_never_share_a_chunk(arena: Arena) -> None:
    pool = create_pool(arena, "pool", Chunk, 300, 3, "marks")
    choice, held = random.Random(7), list[int]()
    for step in range(ROUNDS // 4):
        cache = pool.caches[choice.randrange(3)]
        if choice.random() < (0.6 if step // 300 % 2 == 0 else 0.4):
            index = pool_get(cache)
            assert index not in held
            assert index >= 0 or pool.full.chunks == 0
            held += [index] if index >= 0 else []
        elif held:
            pool_put(cache, held.pop(choice.randrange(len(held))))
    assert pool_free_count(pool) == 300 - len(held)
    assert wrong(pool) == 0


def test_chunk_freed_twice_is_refused(arena: Arena) -> None:
    pool = create_pool(arena, "pool", Chunk, 100, 2, "marks")
    index = pool_get(pool.caches[0])
    pool_put(pool.caches[0], index)
    pool_put(pool.caches[1], index)
    assert (wrong(pool), pool_free_count(pool)) == (1, 100)


def test_too_many_frees_do_not_overflow_an_unchecked_pool(arena: Arena) -> None:
    pool = create_pool(arena, "pool", Chunk, 100, 1)
    for _ in range(1000):
        pool_put(pool.caches[0], 5)
    assert wrong(pool) > 0
    pool_reset(pool)
    assert (pool_free_count(pool), wrong(pool)) == (100, 0)
    assert sorted(pool_get(pool.caches[0]) for _ in range(100)) == list(range(100))


def test_low_water_mark(arena: Arena) -> None:
    pool = create_pool(arena, "pool", Chunk, 4096, 1)
    assert pool.low == 4096
    taken = [pool_get(pool.caches[0]) for _ in range(1000)]
    for index in taken:
        pool_put(pool.caches[0], index)
    assert 4096 - 1000 - 2 * pool.size <= pool.low <= 4096 - 1000
    assert pool_free_count(pool) == 4096


@pytest.mark.parametrize("kind", [Chunk, LargeChunk])
def test_chunks_and_addresses(arena: Arena, kind: type[Chunk | LargeChunk]) -> None:
    pool = create_pool(arena, "pool", kind, 50, 1)
    for index in (0, 49):
        address = pool_chunk(pool, index)
        assert (address - pool.base) == index * kind.SIZE
        assert (pool_index(pool, address), pool_index(pool, address + kind.SIZE - 1)) == (index, index)


def test_workers_at_the_same_time(arena: Arena) -> None:
    pool = create_pool(arena, "pool", Chunk, 2000, 4, "marks")
    held = [arena.table(f"held{worker}", u32, 1024) for worker in range(4)]
    churn(pool.caches[0], held[0], 1, 0, 0)
    threads = [
        threading.Thread(target=churn, args=(pool.caches[worker], held[worker], 1000, ROUNDS, worker))
        for worker in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (pool_free_count(pool), wrong(pool)) == (2000, 0)


def test_chunks_freed_by_another_worker_come_back(arena: Arena) -> None:
    pool = create_pool(arena, "pool", Chunk, 500, 2, "marks")
    ring = Ring(arena.table("ring", u64, ring_octets(64) // 8).address)
    ends = arena.table("ends", RingEnd, 2)
    work = [arena.table(f"work{worker}", u64, 32) for worker in range(2)]
    for side in range(2):
        ring_open(ends[side], ring, 64)
    threads = [
        threading.Thread(target=run, args=(pool.caches[side], ends[side], work[side], ROUNDS))
        for side, run in enumerate((produce, consume))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (pool_free_count(pool), wrong(pool)) == (500, 0)
