"""The ring with many producers: order per producer, no loss, and producers that die in the middle."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import Array, external, hot, i32, mode, u64
from pronghorn.memory import (
    Arena,
    MpscEnd,
    MpscRing,
    mpsc_doze,
    mpsc_must_wake,
    mpsc_octets,
    mpsc_open,
    mpsc_pop,
    mpsc_push,
    mpsc_reset,
    mpsc_waiting,
)
from pronghorn.memory.mpsc_ring import _publish

PRODUCERS = 3
AMOUNT = 3_000 if mode() == "interpreted" else 350_000
PATIENCE = 1000
give_way = external("sched_yield", (), i32)
SPINS = 200_000 if mode() == "interpreted" else 20_000_000
"""Polls in vain after which a test gives up rather than hang."""


@hot
def produce(end: MpscEnd, work: Array[u64], who: int, amount: int) -> int:
    """Send 0, 1, 2 ... under this producer's number."""
    sent, burst, idle = 0, 1, 0
    while sent < amount and idle < SPINS:
        count = min(burst, amount - sent)
        for k in range(count):
            work[k] = who << 32 | (sent + k)
        done = mpsc_push(end, work, count)
        sent += done
        idle = idle + 1 if done == 0 else 0
        if done == 0:
            give_way()
        burst = burst % 32 + 1
    return sent


@hot
def consume(end: MpscEnd, work: Array[u64], expected: Array[u64], amount: int) -> int:
    """Expect 0, 1, 2 ... from each producer; returns the first entry that is not so, -1, or -2 when nothing came."""
    got, idle = 0, 0
    while got < amount:
        count = mpsc_pop(end, work, 32, 0)
        for k in range(count):
            who = work[k] >> 32
            if work[k] & 0xFFFFFFFF != expected[who]:
                return work[k]
            expected[who] += 1
        got += count
        idle = idle + 1 if count == 0 else 0
        if idle == SPINS:
            return -2
        if count == 0:
            give_way()
    return -1


class Many:
    """A ring, its consumer, and `producers` ends."""

    def __init__(self, arena: Arena, size: int, producers: int) -> None:
        self.ring = MpscRing(arena.table("ring", u64, mpsc_octets(size) // 8).address)
        self.size = size
        ends: Array[MpscEnd] = arena.table("ends", MpscEnd, producers + 1)
        self.consumer = ends[producers]
        self.producers = [ends[k] for k in range(producers)]
        self.work: Array[int] = arena.table("work", u64, 4096)
        mpsc_reset(self.ring, size)
        for end in (*self.producers, self.consumer):
            mpsc_open(end, self.ring, size, PATIENCE)

    def push(self, entries: list[int], producer: int = 0) -> int:
        for k, entry in enumerate(entries):
            self.work[k] = entry
        return mpsc_push(self.producers[producer], self.work, len(entries))

    def pop(self, room: int, now: int = 0) -> list[int]:
        return [self.work[k] for k in range(mpsc_pop(self.consumer, self.work, room, now))]

    def reserve(self, count: int) -> None:
        """What a producer leaves that stops between reserving and publishing."""
        self.ring.tail = self.ring.tail + count


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60), order=st.integers(0, 4))
def test_is_a_queue(steps: list[tuple[bool, int]], order: int) -> None:
    with Arena.create(limit=1 << 26) as arena:
        many, model, number = Many(arena, 1 << order, 2), list[int](), 0
        for push, count in steps:
            if push:
                taken = many.push(list(range(number, number + count)), number % 2)
                assert taken == min(count, (1 << order) - len(model))
                model += range(number, number + taken)
                number += taken
            else:
                assert many.pop(count) == model[:count]
                del model[:count]
            assert mpsc_waiting(many.consumer) == bool(model)
        assert many.pop(100) == model


def start(many: Many, who: int, amount: int, gate: Array[int]) -> Callable[[], bool]:
    """Run a producer beside this process once the gate opens; the result waits, and says whether it sent everything.

    Interpreted, atomic operations rely on the interpreter lock, so there it is a thread and not a process.
    """
    if mode() == "interpreted":
        work: Array[int] = Arena.create(limit=1 << 26).table("own", u64, 64)
        future = ThreadPoolExecutor(1).submit(produce, many.producers[who], work, who, amount)
        return lambda: future.result() == amount
    child = os.fork()
    if child == 0:
        work = Arena.create(limit=1 << 26).table("own", u64, 64)
        while gate[0] == 0:
            os.sched_yield()
        os._exit(0 if produce(many.producers[who], work, who, amount) == amount else 1)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(("size", "amount"), [(1, AMOUNT // 100), (16, AMOUNT // 2), (1024, AMOUNT)])
def test_between_processes(shared: Arena, size: int, amount: int) -> None:
    many = Many(shared, size, PRODUCERS)
    expected = shared.table("expected", u64, PRODUCERS)
    many.consumer.patience = 1 << 62
    produce(many.producers[0], many.work, 0, 0)
    consume(many.consumer, many.work, expected, 0)
    gate = shared.table("gate", u64, 1)
    producers = [start(many, who, amount, gate) for who in range(PRODUCERS)]
    gate[0] = 1
    assert consume(many.consumer, many.work, expected, amount * PRODUCERS) == -1
    assert all(finished() for finished in producers)
    assert (many.pop(1), many.consumer.revoked) == ([], 0)
    assert [end.lost for end in many.producers] == [0] * PRODUCERS, "no slot was reserved twice"


def test_dead_producer_holds_others_up_once(arena: Arena) -> None:
    """Two producers die with three slots each; what others published around them arrives after one patience."""
    many = Many(arena, 16, 2)
    many.push([1])
    many.reserve(3)
    many.push([2, 3], 1)
    many.reserve(3)
    many.push([4], 1)
    assert many.pop(16, 100) == [1]
    assert many.pop(16, 101) == []
    assert many.pop(16, 100 + PATIENCE - 1) == []
    assert many.pop(16, 100 + PATIENCE) == [2, 3, 4]
    assert (many.consumer.revoked, many.ring.head) == (6, 10)
    assert many.push(list(range(20))) == 16
    assert many.pop(16, 0) == list(range(16))


def test_slot_reserved_after_the_wait_began_is_waited_for_anew(arena: Arena) -> None:
    many = Many(arena, 16, 1)
    many.reserve(1)
    assert many.pop(16, 100) == []
    many.reserve(1)
    many.push([7])
    assert many.pop(16, 100 + PATIENCE) == []
    assert many.consumer.revoked == 1
    assert many.pop(16, 100 + 2 * PATIENCE) == [7]
    assert many.consumer.revoked == 2


@pytest.mark.parametrize("laps", [0, 1, 5])
def test_late_producer_is_told_and_harms_nobody(arena: Arena, laps: int) -> None:
    """A producer reserves three slots and sleeps; they are revoked, and used again `laps` times."""
    many = Many(arena, 4, 2)
    sleeper = many.producers[1]
    many.reserve(3)  # positions 0, 1, 2
    assert many.pop(4, 100) == []
    assert many.pop(4, 100 + PATIENCE) == []
    for lap in range(laps):
        assert many.push([lap, lap, lap, lap]) == 4
        if lap + 1 < laps:
            assert many.pop(4) == [lap] * 4
    assert [_publish(sleeper, position, 70 + position) for position in range(3)] == [False] * 3
    assert many.pop(4) == ([laps - 1] * 4 if laps else [])


def test_entries_that_were_not_taken_stay_with_the_caller(arena: Arena) -> None:
    """Slots are revoked between reservation and publication: the first entries in the array are those taken."""
    many = Many(arena, 8, 1)
    for position in (0, 2):  # revoked as the consumer does it: this lap's number without an entry
        many.producers[0].slots[position] = 1 << 48
    assert many.push([10, 11, 12, 13, 14]) == 3
    assert [many.work[k] for k in (3, 4)] == [10, 12]
    assert many.producers[0].lost == 2


@pytest.mark.parametrize(("head", "tail"), [(5, 0), (-1, 0), (0, -1), (-(1 << 63), 0)])
def test_impossible_indexes_break_the_producer(arena: Arena, head: int, tail: int) -> None:
    many = Many(arena, 8, 1)
    many.ring.head, many.ring.tail = head, tail
    assert many.push([1]) == 0
    assert many.producers[0].broken == 1


@pytest.mark.parametrize("tail", [-1, 9, (1 << 63) - 1, -(1 << 63)])
def test_impossible_tail_reads_as_empty(arena: Arena, tail: int) -> None:
    many = Many(arena, 8, 1)
    many.ring.tail = tail
    for now in (0, 10 * PATIENCE, 20 * PATIENCE):
        assert many.pop(8, now) == []
    assert (many.consumer.broken, many.consumer.revoked, mpsc_waiting(many.consumer)) == (1, 0, False)


def test_consumer_is_woken_once(arena: Arena) -> None:
    many = Many(arena, 8, 1)
    assert mpsc_doze(many.consumer)
    many.push([1])
    assert mpsc_must_wake(many.producers[0])
    assert not mpsc_must_wake(many.producers[0])
    assert not mpsc_doze(many.consumer)
    assert not mpsc_must_wake(many.producers[0]), "it did not fall asleep"


def test_many_laps(arena: Arena) -> None:
    """The lap number wraps at 2**15."""
    many = Many(arena, 2, 1)
    start = 2 * 0x7FF0
    many.ring.tail = many.ring.head = many.consumer.mine = start
    for place in range(2):
        many.consumer.slots[place] = ((start >> 1) & 0x7FFF) << 48
    for number in range(64):
        assert many.push([number]) == 1
        assert many.pop(2) == [number]
