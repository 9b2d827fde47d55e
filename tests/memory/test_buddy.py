"""The buddy allocator against a plain set of intervals."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import View, array_at, cycles, fill, hot, load64, mode, store64, u8
from pronghorn.memory import (
    Arena,
    Buddy,
    buddy_address,
    buddy_give,
    buddy_open,
    buddy_settle,
    buddy_states,
    buddy_take,
    create_buddy,
    order_for,
)
from pronghorn.memory.buddy import LEAST, MOST, STRETCH, UNIT, buddy_lay
from pronghorn.memory.layout import Layout


@hot
def address_of(buddy: Buddy, block: int) -> int:
    """What the inlined function gives, compiled."""
    return buddy_address(buddy, block)


@hot
def order_of(octets: int) -> int:
    """What the inlined function gives, compiled."""
    return order_for(octets)


@dataclass
class Both:
    """A Buddy, the order of each block that should be taken, and a bit for each unit of theirs."""

    buddy: Buddy
    base: int
    octets: int
    taken: dict[int, int] = field(default_factory=dict)
    units: int = 0
    used: int = 0
    peak: int = 0

    def take(self, order: int) -> int:
        refused = self.buddy.refused
        block = buddy_take(self.buddy, order)
        assert self.buddy.refused == refused + (block == 0)
        if block == 0:
            assert not self.has_place(order)
            return 0
        first = address_of(self.buddy, block)
        start = first - self.base
        assert start % (1 << order) == 0
        assert 0 <= start <= self.octets - (1 << order)
        assert self.units & span(start, order) == 0
        self.units |= span(start, order)
        self.taken[block] = order
        store64(first, block)
        store64(first + (1 << order) - 8, block ^ order)
        self.used += 1 << order
        self.peak = max(self.peak, self.used)
        return block

    def give(self, block: int) -> None:
        order = self.taken.pop(block)
        first = address_of(self.buddy, block)
        last = first + (1 << order) - 8
        assert (load64(first), load64(last)) == (block, block ^ order), "nobody else writes a taken block"
        self.units ^= span(first - self.base, order)
        self.used -= 1 << order
        buddy_give(self.buddy, block, order)

    def has_place(self, order: int) -> bool:
        """Whether some aligned block of the memory meets no block that is taken."""
        return any(self.units & span(place << order, order) == 0 for place in range(self.octets >> order))

    def check(self) -> None:
        assert (self.buddy.used, self.buddy.peak) == (self.used, self.peak)

    def give_all(self) -> None:
        for block in list(self.taken):
            self.give(block)
        self.check()
        buddy_settle(self.buddy)


def span(start: int, order: int) -> int:
    """A bit for each unit of the block of this order at `start`."""
    return ((1 << (1 << order - LEAST)) - 1) << (start >> LEAST)


def free_blocks(buddy: Buddy) -> list[tuple[int, int]]:
    """Address relative to the first, and order, of every block in the lists."""
    found = []
    for order in range(LEAST, MOST + 1):
        block, previous = buddy.free[order - LEAST], 0
        assert (buddy.waiting >> order & 1) == (block != 0)
        while block:
            found.append((block * UNIT - STRETCH, order))
            assert buddy.states[block] == order
            link = address_of(buddy, block)
            assert load64(link) >> 32 == previous
            block, previous = load64(link) & 0xFFFFFFFF, block
    return sorted(found)


def small(arena: Arena, units: int, rubbish: int) -> Both:
    """A Buddy of any number of units, its states all the same."""
    buddy: Buddy = arena.table("buddy", Buddy, 1)[0]
    base = arena.table("memory", Block64K, -(-units * UNIT // Block64K.SIZE)).address
    states = arena.table("states", u8, units).address
    fill(states, rubbish, units)
    assert buddy_states(units * UNIT) == units
    buddy_open(buddy, base, states, units * UNIT)
    return Both(buddy, base, units * UNIT)


class Block64K(View, align=64, size=STRETCH):
    """Plain memory."""


orders = st.one_of(st.integers(8, 12), st.integers(8, 17))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), orders, st.integers(1, 5)),
        st.tuples(st.just("give"), st.integers(0, 1000), st.integers(1, 5)),
        st.tuples(st.just("settle"), st.just(0), st.just(0)),
    ),
    min_size=20,
    max_size=60,
)


@given(units=st.sampled_from([1, 2, 3, 40, 127, 515, 1000]), rubbish=st.integers(LEAST, MOST), steps=steps)
def test_against_intervals(units: int, rubbish: int, steps: list[tuple[str, int, int]]) -> None:
    with Arena.create(limit=1 << 26) as arena:
        both = small(arena, units, rubbish)
        for what, number, times in steps:
            for _ in range(times):
                if what == "take":
                    both.take(number)
                elif both.taken and what == "give":
                    both.give(list(both.taken)[number % len(both.taken)])
            if what == "settle":
                buddy_settle(both.buddy)
            both.check()
        both.give_all()
        while both.take(LEAST):
            pass
        assert len(both.taken) == units, "every unit can be had"
        both.give_all()
        whole = [(at, size) for at, size in free_blocks(both.buddy)]
        assert sum(1 << size for _, size in whole) == units * UNIT
        assert len(whole) == units.bit_count(), "all that can be joined is"


@pytest.mark.parametrize("order", range(LEAST, MOST + 1))
def test_every_order_to_the_end(arena: Arena, order: int) -> None:
    octets = 2 * STRETCH
    buddy = create_buddy(arena, "b", octets - 5)
    assert buddy.limit == octets
    both = Both(buddy, address_of(buddy, STRETCH // UNIT), octets)
    amount = min(octets >> order, 500)
    for _ in range(amount):
        assert both.take(order)
    if amount == octets >> order:
        assert both.take(order) == 0
    both.give_all()
    assert free_blocks(buddy) == [(at, MOST) for at in range(0, buddy.fresh * UNIT - STRETCH, STRETCH)]


def test_too_large_is_refused(arena: Arena) -> None:
    buddy = create_buddy(arena, "b", STRETCH)
    assert [buddy_take(buddy, order) for order in (24, 25, 40, 63)] == [0] * 4
    assert (buddy.refused, buddy.used) == (4, 0)
    assert buddy_take(buddy, MOST) != 0


def test_quick_lists_are_bounded_and_joined_in_need(arena: Arena) -> None:
    buddy = create_buddy(arena, "b", STRETCH)
    for order in range(LEAST, MOST + 1):
        amount = min(200, STRETCH >> order)
        blocks = [buddy_take(buddy, order) for _ in range(amount)]
        assert 0 not in blocks
        for block in blocks:
            buddy_give(buddy, block, order)
        kept = buddy.counts[order - LEAST]
        assert kept <= 64
        assert kept << order <= 1 << 20
        if kept:
            assert buddy_take(buddy, order) == blocks[kept - 1], "last in, first out"
            buddy_give(buddy, blocks[kept - 1], order)
    assert buddy.used == 0
    assert buddy_take(buddy, MOST) != 0, "the quick lists were joined"
    assert sum(buddy.counts[k] for k in range(16)) == 0


def test_memory_is_touched_when_used(arena: Arena) -> None:
    """Fresh memory is cut off one stretch after the other, and only when the last one is used up."""
    buddy = create_buddy(arena, "b", 4 * STRETCH)
    first = buddy.fresh
    blocks = [buddy_take(buddy, 20) for _ in range(8)]
    assert buddy.fresh == first + STRETCH // UNIT
    blocks.append(buddy_take(buddy, 8))
    assert buddy.fresh == first + 2 * STRETCH // UNIT
    for block in blocks[:8]:
        buddy_give(buddy, block, 20)
    for _ in range(8):
        assert buddy_take(buddy, 20) != 0
    assert buddy.fresh == first + 2 * STRETCH // UNIT


def test_laid_out_without_an_arena(arena: Arena) -> None:
    table = arena.table("memory", Block64K, 2)
    layout: Layout = arena.table("layout", Layout, 1)[0]
    layout.next, layout.end = table.address + 8, table.address + STRETCH
    assert buddy_lay(layout, 2 * STRETCH) == 0
    layout.full = 0
    layout.next = table.address + 8
    buddy = Buddy(buddy_lay(layout, 100 * UNIT))
    blocks = [buddy_take(buddy, 8) for _ in range(101)]
    assert blocks[100] == 0
    assert all(table.address < address_of(buddy, block) < layout.end for block in blocks[:100])
    assert len(set(blocks)) == 101


def test_made_again(tmp_path: object) -> None:
    """What an earlier process took is free again."""
    path = f"{tmp_path}/arena"
    with Arena.create(path=path, limit=1 << 26) as arena:
        buddy = create_buddy(arena, "b", STRETCH)
        assert 0 not in [buddy_take(buddy, order) for order in (8, 9, 20, 8, 22)]
    with Arena.attach(path) as arena:
        buddy = create_buddy(arena, "b", STRETCH)
        assert buddy_take(buddy, MOST) != 0


def test_order_for() -> None:
    assert [order_of(n) for n in (0, 1, 256, 257, 512, 513, 65536, 65537, STRETCH)] == [8, 8, 8, 9, 9, 10, 16, 17, MOST]
    assert order_of(STRETCH + 1) == MOST + 1


@hot
def pairs(buddy: Buddy, order: int, amount: int) -> int:
    """Cycles of so many takes and gives."""
    start = cycles()
    for _ in range(amount):
        buddy_give(buddy, buddy_take(buddy, order), order)
    return cycles() - start


def test_pairs_touch_no_memory(arena: Arena) -> None:
    buddy = create_buddy(arena, "b", STRETCH)
    block = buddy_take(buddy, 8)
    other = array_at(u8, address_of(buddy, block))
    other[0] = 77
    buddy_give(buddy, block, 8)
    amount = 1000 if mode() == "interpreted" else 1_000_000
    pairs(buddy, 8, amount)
    assert (other[0], buddy.used, buddy.peak) == (77, 0, 256)
