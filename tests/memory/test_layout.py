"""Laying tables out without an arena: the same tables, in memory that is handed out once."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from pronghorn.compiled import bounds
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_first, hash_lay
from pronghorn.memory.layout import Layout, lay
from pronghorn.memory.pool import Chunk, Pool, pool_free_count, pool_get, pool_lay
from pronghorn.memory.prefix import PrefixTable, prefix_add4, prefix_find4, prefix_lay
from pronghorn.memory.wheel import Wheel, wheel_lay, wheel_next

OCTETS = 1 << 20


@pytest.fixture
def layout() -> Iterator[Layout]:
    """A megabyte of zeros."""
    memory = ctypes.create_string_buffer(OCTETS + 4096)
    start = -(-ctypes.addressof(memory) // 4096) * 4096
    bounds.register(start, OCTETS, 0, "layout")
    made = Layout(start)
    made.next, made.end = start + Layout.SIZE, start + OCTETS
    yield made
    bounds.unregister(start)
    del memory


def test_tables_follow_each_other_aligned(layout: Layout) -> None:
    first = lay(layout, 3, 1)
    assert lay(layout, 8, 64) == -(-(first + 3) // 64) * 64
    assert lay(layout, 0, 8) == layout.next
    assert layout.full == 0


def test_what_does_not_fit_is_said_and_takes_nothing(layout: Layout) -> None:
    before = layout.next
    assert lay(layout, OCTETS, 1) == 0
    assert lay(layout, -1, 1) == 0
    assert lay(layout, (1 << 63) - 1, 64) == 0
    assert layout.next == before
    assert layout.full == 1
    layout.full = 0
    assert lay(layout, layout.end - layout.next, 1) == before
    assert lay(layout, 1, 1) == 0


def test_structures_work_where_they_were_laid(layout: Layout) -> None:
    pool = Pool(pool_lay(layout, Chunk.SIZE, 100, 1))
    assert pool_free_count(pool) == 100
    assert pool_get(pool.caches[0]) >= 0
    assert pool.base % 4096 == 0
    index = HashIndex(hash_lay(layout, 1000, 7))
    assert index.secret == 7
    assert all(hash_add(index, number * 0x9E3779B97F4A7C1 & (1 << 63) - 1, number) for number in range(1000))
    assert hash_first(index, 5 * 0x9E3779B97F4A7C1 & (1 << 63) - 1) == 5
    table = PrefixTable(prefix_lay(layout, 50))
    assert prefix_add4(table, 0x0A000000, 8, 3)
    assert prefix_find4(table, 0x0A010203) == 3
    wheel = Wheel(wheel_lay(layout, layout.next, 16, 10))
    assert wheel.tick == 10
    assert wheel_next(wheel) > 1 << 30


@pytest.mark.parametrize("room", [0, 64, 1000, 20_000])
def test_structures_without_room_are_refused(layout: Layout, room: int) -> None:
    """Nothing is written outside: the bounds-check mode would see it."""
    layout.end = layout.next + room
    made = [
        pool_lay(layout, Chunk.SIZE, 100, 1),
        hash_lay(layout, 10_000, 7),
        prefix_lay(layout, 5000),
        wheel_lay(layout, 0, 16, 0),
    ]
    assert not any(made)
    assert layout.full == 1
