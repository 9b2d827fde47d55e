"""Ranges against a plain set of integers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import Array, array_at, hot, u32
from pronghorn.memory import (
    Arena,
    Buddy,
    Ranges,
    buddy_address,
    buddy_take,
    create_buddy,
    order_for,
    ranges_add,
    ranges_advance,
    ranges_end,
    ranges_free,
    ranges_sack,
)
from pronghorn.memory.ranges import ADDED, MOST_RANGES, PRESENT, REFUSED

WRAP = 1 << 32


@hot
def elements(buddy: Buddy, ranges: Ranges) -> int:
    """Address of the first range."""
    return buddy_address(buddy, ranges.block)


@hot
def order_of(octets: int) -> int:
    """What the inlined function gives, compiled."""
    return order_for(octets)


def runs(members: set[int]) -> list[tuple[int, int]]:
    """The maximal half-open ranges of a set of integers."""
    found: list[tuple[int, int]] = []
    for number in sorted(members):
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found


@dataclass
class Both:
    """Ranges, and the offsets from `origin` that they should hold; `recent`: offsets that changed, the latest first."""

    arena: Arena
    origin: int
    members: set[int] = field(default_factory=set)
    recent: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.buddy = create_buddy(self.arena, "b", 1 << 23)
        self.ranges: Ranges = self.arena.table("ranges", Ranges, 1)[0]
        self.target: Array[int] = self.arena.table("target", u32, 8)

    def at(self, offset: int) -> int:
        return (self.origin + offset) % WRAP

    def edges(self, span: tuple[int, int]) -> tuple[int, int]:
        return self.at(span[0]), self.at(span[1])

    def add(self, left: int, right: int, limit: int = MOST_RANGES) -> int:
        new = set(range(left, right))
        wanted = ADDED
        if new <= self.members:
            wanted = PRESENT
        elif len(runs(self.members | new)) > max(limit, len(runs(self.members))):
            wanted = REFUSED
        assert ranges_add(self.buddy, self.ranges, self.at(left), self.at(right), limit) == wanted
        if wanted != REFUSED and new:
            self.members |= new
            self.recent.insert(0, left)
        return wanted

    def advance(self, offset: int) -> None:
        end = offset
        while end in self.members:
            end += 1
        self.members = {member for member in self.members if member >= end}
        assert ranges_advance(self.buddy, self.ranges, self.at(offset)) == self.at(end)

    def sack(self, blocks: int) -> list[tuple[int, int]]:
        count = ranges_sack(self.buddy, self.ranges, self.target, blocks)
        return [(self.target[2 * k], self.target[2 * k + 1]) for k in range(count)]

    def check(self) -> None:
        spans = runs(self.members)
        assert self.ranges.count == len(spans)
        assert (self.ranges.block != 0) == bool(spans)
        assert self.buddy.used == (1 << self.ranges.order if spans else 0)
        if spans:
            held: Array[int] = array_at(u32, elements(self.buddy, self.ranges))
            assert [(held[2 * k], held[2 * k + 1]) for k in range(len(spans))] == [self.edges(span) for span in spans]
        assert ranges_end(self.buddy, self.ranges, 7) == (self.at(spans[-1][1]) if spans else 7)

    def check_sack(self) -> None:
        """The four ranges that changed last, each once; then others, each once; all that there are, or what fits."""
        spans = runs(self.members)
        latest: dict[tuple[int, int], int] = {}
        for offset in self.recent:
            for span in spans:
                if span[0] <= offset < span[1]:
                    latest.setdefault(span, offset)
        self.recent = list(latest.values())[:4]
        sure = [self.edges(span) for span in latest][:4]
        for blocks in range(6):
            got = self.sack(blocks)
            assert len(got) == len(set(got)) == min(blocks, len(spans), 4)
            assert set(got) <= {self.edges(span) for span in spans}
            assert got[: len(sure)] == sure[: len(got)]


origins = st.one_of(st.integers(0, WRAP - 1), st.integers(WRAP - 300, WRAP - 1))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 300), st.integers(0, 6)),
        st.tuples(st.just("add"), st.integers(0, 300), st.integers(0, 80)),
        st.tuples(st.just("advance"), st.integers(0, 12), st.just(0)),
        st.tuples(st.just("free"), st.just(0), st.just(0)),
    ),
    min_size=10,
    max_size=80,
)


@given(origin=origins, limit=st.sampled_from([1, 4, 40]), steps=steps)
def test_against_a_set(origin: int, limit: int, steps: list[tuple[str, int, int]]) -> None:
    with Arena.create(limit=1 << 26) as arena:
        both = Both(arena, origin)
        now = 0
        for what, number, octets in steps:
            if what == "add":
                both.add(now + number, now + number + octets, limit)
            elif what == "advance":
                now += number
                both.advance(now)
            elif len(steps) % 5 == 0:
                ranges_free(both.buddy, both.ranges)
                both.members.clear()
            both.check()
            both.check_sack()


@pytest.fixture
def both(arena: Arena) -> Both:
    return Both(arena, WRAP - 1000)


def test_thousands_of_holes(both: Both) -> None:
    """The set grows to its limit, refuses what would be one more, and still takes what touches a range."""
    amount = MOST_RANGES
    for k in range(amount):
        place = (k * 611) % 1024
        assert ranges_add(both.buddy, both.ranges, both.at(2 * place), both.at(2 * place + 1), amount) == ADDED
        both.members.add(2 * place)
    both.check()
    assert both.buddy.used == 1 << order_of(8 * amount)
    assert ranges_add(both.buddy, both.ranges, both.at(5000), both.at(5001), amount) == REFUSED
    assert ranges_add(both.buddy, both.ranges, both.at(5000), both.at(5001), 5000) == REFUSED
    low, high = min(both.members), max(both.members)
    assert ranges_add(both.buddy, both.ranges, both.at(low + 1), both.at(low + 3), amount) == ADDED
    assert ranges_add(both.buddy, both.ranges, both.at(low), both.at(high + 1), amount) == ADDED
    assert both.ranges.count <= 2
    assert ranges_advance(both.buddy, both.ranges, both.at(low)) == both.at(high + 1)


def test_no_memory_changes_nothing(both: Both) -> None:
    for k in range(32):
        both.add(2 * k, 2 * k + 1)
    for order in range(22, 7, -1):
        assert buddy_take(both.buddy, order) != 0
    assert ranges_add(both.buddy, both.ranges, both.at(64), both.at(65), 40) == REFUSED
    assert both.buddy.refused == 1
    assert ranges_add(both.buddy, both.ranges, both.at(63), both.at(64), 40) == ADDED
    assert both.ranges.count == 32


def test_sack_reports_the_latest_first(both: Both) -> None:
    """RFC 2018 section 4: every block is repeated until others have pushed it out."""
    for left in (100, 300, 200, 500, 400):
        both.add(left, left + 10)
    names = {both.edges((left, left + 10)): left for left in (100, 200, 300, 400, 500)}
    assert [names[span] for span in both.sack(4)] == [400, 500, 200, 300]
    assert both.add(203, 205) == PRESENT
    assert [names[span] for span in both.sack(3)] == [200, 400, 500], "a duplicate's range comes first"
    both.add(310, 320)
    assert both.sack(1) == [both.edges((300, 320))]
    both.add(210, 300)
    assert both.sack(4) == [both.edges((200, 320)), *[both.edges((k, k + 10)) for k in (400, 500, 100)]]
    both.advance(200)
    assert both.sack(4) == [both.edges((k, k + 10)) for k in (400, 500)]


def test_sack_fills_up_with_the_lowest(both: Both) -> None:
    """The four latest are joined to one; the others were pushed out of memory, and are reported all the same, once."""
    for left in (500, 400, 300, 0, 10, 20, 30):
        both.add(left, left + 5)
    both.add(5, 30)
    assert both.ranges.recents == 1
    assert both.sack(4) == [both.edges((0, 35)), *[both.edges((k, k + 5)) for k in (300, 400, 500)]]
    assert both.sack(2) == [both.edges((0, 35)), both.edges((300, 305))]


def test_nothing_and_backwards(both: Both) -> None:
    assert ranges_add(both.buddy, both.ranges, 5, 5, 10) == PRESENT
    assert ranges_add(both.buddy, both.ranges, 6, 5, 10) == PRESENT
    assert (both.ranges.count, both.buddy.used) == (0, 0)
    assert ranges_advance(both.buddy, both.ranges, 77) == 77
    assert both.sack(4) == []
