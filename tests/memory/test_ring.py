"""The ring between two sides: order, no loss, and a hostile other side."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import Array, external, hot, i32, mode, u64
from pronghorn.memory import (
    Arena,
    Ring,
    RingEnd,
    ring_doze,
    ring_must_wake,
    ring_octets,
    ring_open,
    ring_pop,
    ring_push,
    ring_reset,
    ring_waiting,
)

AMOUNT = 20_000 if mode() == "interpreted" else 2_000_000
give_way = external("sched_yield", (), i32)
SPINS = 200_000 if mode() == "interpreted" else 20_000_000
"""Polls in vain after which a test gives up rather than hang."""


@hot
def produce(end: RingEnd, work: Array[u64], amount: int) -> int:
    """Send 0, 1, 2 ... in bursts of 1 to 32. Returns how many were sent."""
    sent, burst, idle = 0, 1, 0
    while sent < amount and idle < SPINS:
        count = min(burst, amount - sent)
        for k in range(count):
            work[k] = sent + k
        done = ring_push(end, work, count)
        sent += done
        idle = idle + 1 if done == 0 else 0
        if done == 0:
            give_way()
        burst = burst % 32 + 1
    return sent


@hot
def consume(end: RingEnd, work: Array[u64], amount: int) -> int:
    """Expect 0, 1, 2 ...; returns the first number that was not as expected, or -1."""
    expected, burst, idle = 0, 32, 0
    while expected < amount and idle < SPINS:
        count = ring_pop(end, work, burst)
        for k in range(count):
            if work[k] != expected:
                return expected
            expected += 1
        idle = idle + 1 if count == 0 else 0
        if count == 0:
            give_way()
        burst = burst % 32 + 1
    return -1 if expected == amount else expected


class Pair:
    """Both ends of a ring of `size` and room for entries."""

    def __init__(self, arena: Arena, size: int) -> None:
        self.ring = Ring(arena.table("ring", u64, ring_octets(size) // 8).address)
        ends: Array[RingEnd] = arena.table("ends", RingEnd, 2)
        self.producer, self.consumer = ends[0], ends[1]
        self.work: Array[int] = arena.table("work", u64, 4096)
        ring_reset(self.ring)
        ring_open(self.producer, self.ring, size)
        ring_open(self.consumer, self.ring, size)

    def push(self, entries: list[int]) -> int:
        for k, entry in enumerate(entries):
            self.work[k] = entry
        return ring_push(self.producer, self.work, len(entries))

    def pop(self, room: int) -> list[int]:
        return [self.work[k] for k in range(ring_pop(self.consumer, self.work, room))]


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60), order=st.integers(0, 4))
def test_is_a_queue(steps: list[tuple[bool, int]], order: int) -> None:
    with Arena.create(limit=1 << 26) as arena:
        pair, model, number = Pair(arena, 1 << order), list[int](), 0
        for push, count in steps:
            if push:
                taken = pair.push(list(range(number, number + count)))
                assert taken == min(count, (1 << order) - len(model))
                model += range(number, number + taken)
                number += taken
            else:
                assert pair.pop(count) == model[:count]
                del model[:count]
            assert ring_waiting(pair.consumer) == bool(model)
        assert pair.pop(100) == model


@pytest.mark.parametrize("size", [1, 8, 1024])
def test_between_processes(shared: Arena, size: int) -> None:
    pair = Pair(shared, size)
    amount = AMOUNT * size // 1024 + 200
    produce(pair.producer, pair.work, 0)
    consume(pair.consumer, pair.work, 0)
    child = os.fork()
    if child == 0:
        work = Arena.create(limit=1 << 26).table("own", u64, 64)
        os._exit(0 if produce(pair.producer, work, amount) == amount else 1)
    assert consume(pair.consumer, pair.work, amount) == -1
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pair.pop(1) == []


@pytest.mark.parametrize("tail", [-1, 4, 5 + 8 + 1, 1 << 40, -(1 << 63), (1 << 63) - 1])
def test_hostile_producer_breaks_its_ring_only(arena: Arena, tail: int) -> None:
    pair = Pair(arena, 8)
    pair.push([1, 2, 3, 4, 5])
    assert pair.pop(8) == [1, 2, 3, 4, 5]
    pair.ring.tail = tail
    assert (pair.pop(8), pair.consumer.broken) == ([], 1)
    pair.ring.tail = 6
    assert (pair.pop(8), ring_waiting(pair.consumer)) == ([], False)  # once broken, always


@pytest.mark.parametrize("head", [-1, 2, 6, 1 << 40, -(1 << 63), (1 << 63) - 1])
def test_hostile_consumer_breaks_its_ring_only(arena: Arena, head: int) -> None:
    pair = Pair(arena, 8)
    pair.push([1, 2, 3, 4, 5])
    pair.pop(3)
    pair.push([6, 7, 8, 9])
    pair.pop(2)
    pair.ring.head = head
    assert pair.push([1, 2, 3, 4, 5, 6, 7, 8]) == (8 - (9 - 6) if head == 6 else 0)
    assert pair.producer.broken == (0 if head == 6 else 1)


def test_consumer_is_woken_once(arena: Arena) -> None:
    pair = Pair(arena, 8)
    assert not ring_must_wake(pair.producer)
    assert ring_doze(pair.consumer)
    pair.push([1])
    assert ring_must_wake(pair.producer)
    assert not ring_must_wake(pair.producer)
    assert not ring_doze(pair.consumer)
    assert not ring_must_wake(pair.producer), "it did not fall asleep"
    assert pair.pop(8) == [1]
    assert ring_doze(pair.consumer)


def test_full_ring_is_counted(arena: Arena) -> None:
    pair = Pair(arena, 4)
    assert pair.push([1, 2, 3, 4, 5, 6]) == 4
    assert pair.push([5]) == 0
    assert pair.producer.full == 2
    assert pair.pop(9) == [1, 2, 3, 4]
