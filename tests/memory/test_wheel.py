"""The timer wheel against a dictionary of expiry times, with any jump of the clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import Array, View, hot, mode, u32, u64
from pronghorn.memory import (
    Arena,
    Timer,
    Wheel,
    create_wheel,
    timer_add,
    timer_cancel,
    timer_move,
    timer_waits,
    wheel_advance,
    wheel_next,
)
from pronghorn.memory.wheel import REACH

TIMERS = 2_000 if mode() == "interpreted" else 200_000


class Conn(View, align=64, size=128):
    """A record with a timer in the middle."""

    packets: u64
    timer: Timer
    octets: u64


@dataclass
class Both:
    """A wheel and what it should hold."""

    arena: Arena
    start: int
    amount: int = 64
    due: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        conns: Array[Conn] = self.arena.table("conns", Conn, self.amount)
        self.wheel = create_wheel(self.arena, "wheel", conns.address + Conn.offset("timer"), Conn.SIZE, self.start)
        self.out: Array[int] = self.arena.table("out", u32, 64)
        self.now = self.start

    def add(self, index: int, tick: int) -> None:
        timer_move(self.wheel, index, tick)
        self.due[index] = max(tick, self.wheel.tick + 1)
        assert wheel_next(self.wheel) > self.wheel.tick

    def cancel(self, index: int) -> None:
        assert timer_cancel(self.wheel, index) == (self.due.pop(index, None) is not None)

    def advance(self, ticks: int, room: int, calls: int) -> None:
        """Go on; every timer that comes out was due. After enough calls, every timer that was due is out."""
        self.now += ticks
        for _ in range(calls):
            count = wheel_advance(self.wheel, self.now, self.out, room)
            assert count <= room
            assert wheel_next(self.wheel) > self.wheel.tick
            for k in range(count):
                assert self.due.pop(self.out[k]) <= self.now
                assert not timer_waits(self.wheel, self.out[k])
            if self.wheel.tick == self.now:
                assert all(tick > self.now for tick in self.due.values())
                assert wheel_next(self.wheel) <= min(self.due.values(), default=1 << 62)
                break
        assert self.wheel.count == len(self.due)


distances = st.one_of(st.integers(-5, 600), st.integers(0, 1 << 18), st.integers(0, 1 << 34))
jumps = st.one_of(st.integers(0, 3), st.integers(0, 70_000), st.integers(0, 1 << 34))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 63), distances),
        st.tuples(st.just("cancel"), st.integers(0, 63), st.just(0)),
        st.tuples(st.just("advance"), st.sampled_from([1, 3, 64]), jumps),
        st.tuples(st.just("once"), st.sampled_from([1, 3, 64]), jumps),
    ),
    max_size=60,
)


@given(start=st.one_of(st.integers(0, 1000), st.integers(0, 1 << 45)), steps=steps)
def test_against_a_dictionary(start: int, steps: list[tuple[str, int, int]]) -> None:
    with Arena.create(limit=1 << 26) as arena:
        both = Both(arena, start)
        for what, number, ticks in steps:
            if what == "add":
                both.add(number, both.now + ticks)
            elif what == "cancel":
                both.cancel(number)
            else:
                both.advance(ticks, number, 1000 if what == "advance" else 1)
        for index in range(64):
            assert timer_waits(both.wheel, index) == (index in both.due)
            both.cancel(index)
        assert not any(both.wheel.words[k] for k in range(32))


@pytest.mark.parametrize("distance", [1, 255, 256, 257, 65_535, 65_536, (1 << 24) + 1, REACH - 1, REACH, 5 * REACH + 7])
@pytest.mark.parametrize("start", [0, 1, 255, 256, 65_535, (1 << 32) - 1, 1 << 40])
def test_expires_exactly_then(arena: Arena, start: int, distance: int) -> None:
    both = Both(arena, start)
    both.add(5, start + distance)
    both.advance(distance - 1, 64, 10)
    assert (timer_waits(both.wheel, 5), both.wheel.tick) == (True, start + distance - 1)
    both.advance(1, 64, 10)
    assert both.due == {}


def test_past_is_the_next_tick(arena: Arena) -> None:
    both = Both(arena, 1000)
    both.add(1, 500)
    both.add(2, 1000)
    assert wheel_next(both.wheel) == 1001
    both.advance(1, 64, 1)
    assert both.due == {}


def test_timer_added_while_the_wheel_is_behind(arena: Arena) -> None:
    both = Both(arena, 0)
    for index in range(10):
        both.add(index, 700)
    both.advance(5000, 3, 1)
    assert both.wheel.tick == 699
    both.add(20, 600)
    both.add(21, 701)
    both.cancel(next(iter(both.due)))
    both.advance(0, 3, 100)
    assert (both.wheel.tick, both.due) == (5000, {})


@hot
def add_all(wheel: Wheel, amount: int, spread: int) -> None:
    """Timers 0, 1, 2 ... spread over the next `spread` ticks."""
    for index in range(amount):
        timer_add(wheel, index, wheel.tick + 1 + index * 7919 % spread)


@hot
def drain(wheel: Wheel, tick: int, out: Array[u32], room: int) -> tuple[int, int]:
    """Advance to `tick` in as many calls as it takes: how many expired, and how many calls."""
    expired, calls = 0, 0
    while wheel.tick < tick:
        expired += wheel_advance(wheel, tick, out, room)
        calls += 1
    return expired, calls


def test_many_timers(arena: Arena) -> None:
    both = Both(arena, 12345, TIMERS)
    add_all(both.wheel, TIMERS, 1_000_000)
    assert both.wheel.count == TIMERS
    expired, calls = drain(both.wheel, 12345 + 1_000_000, both.out, 64)
    assert (expired, both.wheel.count) == (TIMERS, 0)
    assert TIMERS // 64 <= calls <= TIMERS // 64 + 3 * TIMERS // 128 + 2


def test_work_of_one_call_is_bounded(arena: Arena) -> None:
    """All timers lie in one stretch of level 3: the call that enters it moves only so many of them."""
    both = Both(arena, 0, 1000)
    for index in range(1000):
        timer_add(both.wheel, index, (1 << 24) + 1 + index)
    calls = 0
    while both.wheel.tick < (1 << 24):
        assert wheel_advance(both.wheel, 1 << 24, both.out, 4) == 0
        calls += 1
    assert calls == -(-1000 // (4 + 64))
    assert wheel_next(both.wheel) == (1 << 24) + 1


def test_hour_of_nothing_is_one_call(arena: Arena) -> None:
    both = Both(arena, 0)
    both.add(1, 3_600_000)
    assert wheel_next(both.wheel) <= 3_600_000
    assert wheel_advance(both.wheel, 3_600_000, both.out, 64) == 1
    assert wheel_next(both.wheel) > 3_600_000 + (1 << 31)
