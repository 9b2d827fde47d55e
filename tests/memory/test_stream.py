"""The stream's ring against a dictionary from position to octet."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import Array, View, copy, hot, u8
from pronghorn.memory import (
    Arena,
    Buddy,
    Stream,
    buddy_take,
    create_buddy,
    stream_free,
    stream_get,
    stream_piece,
    stream_put,
    stream_reserve,
    stream_shrink,
    stream_size,
)

WRAP = 1 << 32


class Room(View, align=64, size=1 << 17):
    """Octets that go in and come out."""


@hot
def size_of(stream: Stream) -> int:
    """What the inlined function gives, compiled."""
    return stream_size(stream)


@hot
def piece_of(buddy: Buddy, stream: Stream, position: int, octets: int) -> tuple[int, int]:
    """What the inlined function gives, compiled."""
    return stream_piece(buddy, stream, position, octets)


@hot
def collect(buddy: Buddy, stream: Stream, position: int, octets: int, target: int) -> int:
    """Copy the octets piece by piece; returns how many pieces there were."""
    pieces = 0
    while octets > 0:
        address, inside = stream_piece(buddy, stream, position, octets)
        copy(target, address, inside)
        target += inside
        position += inside
        octets -= inside
        pieces += 1
    return pieces


@dataclass
class Both:
    """A stream and the octets that it should hold, of which `first` is the position of the first."""

    arena: Arena
    first: int
    octets: bytearray = field(default_factory=bytearray)
    written: int = 0

    def __post_init__(self) -> None:
        self.buddy = create_buddy(self.arena, "b", 1 << 23)
        self.stream: Stream = self.arena.table("stream", Stream, 1)[0]
        self.room: Array[int] = self.arena.table("room", u8, 1 << 17)

    def put(self, octets: int) -> None:
        """Append what continues a pattern of 251 octets."""
        used = len(self.octets)
        assert stream_reserve(self.buddy, self.stream, self.first, used, used + octets)
        assert size_of(self.stream) >= used + octets
        for k in range(octets):
            self.room[k] = (self.written + k) % 251
        stream_put(self.buddy, self.stream, (self.first + used) % WRAP, self.room.address, octets)
        self.octets += bytes((self.written + k) % 251 for k in range(octets))
        self.written += octets

    def consume(self, octets: int) -> None:
        octets = min(octets, len(self.octets))
        self.first = (self.first + octets) % WRAP
        del self.octets[:octets]

    def check(self) -> None:
        used = len(self.octets)
        stream_get(self.buddy, self.stream, self.first, self.room.address, used)
        assert bytes(self.room[k] for k in range(used)) == self.octets
        for k in range(used):
            self.room[k] = 0
        assert collect(self.buddy, self.stream, self.first, used, self.room.address) <= 2
        assert bytes(self.room[k] for k in range(used)) == self.octets
        assert self.buddy.used == size_of(self.stream)


starts = st.one_of(st.integers(0, WRAP - 1), st.integers(WRAP - 3000, WRAP - 1))
steps = st.lists(
    st.tuples(st.sampled_from(["put", "consume", "shrink"]), st.one_of(st.integers(0, 300), st.integers(0, 3000))),
    min_size=8,
    max_size=25,
)


@given(first=starts, steps=steps)
def test_against_octets(first: int, steps: list[tuple[str, int]]) -> None:
    with Arena.create(limit=1 << 26) as arena:
        both = Both(arena, first)
        for what, octets in steps:
            if what == "put":
                both.put(octets)
            elif what == "consume":
                both.consume(octets)
            else:
                before = size_of(both.stream)
                given_back = stream_shrink(both.buddy, both.stream, both.first, len(both.octets))
                assert size_of(both.stream) == before - given_back
                assert size_of(both.stream) <= max(256, 4 * len(both.octets)) or not both.octets
            both.check()
        stream_free(both.buddy, both.stream)
        assert both.buddy.used == 0


@pytest.fixture
def both(arena: Arena) -> Both:
    return Both(arena, WRAP - 200)


def test_no_memory_changes_nothing(both: Both) -> None:
    both.put(700)
    blocks = [buddy_take(both.buddy, order) for order in range(22, 7, -1)]
    while buddy_take(both.buddy, 8):
        pass
    assert 0 not in blocks[:5]
    held = (both.stream.block, both.stream.order)
    assert not stream_reserve(both.buddy, both.stream, both.first, 700, 1025)
    assert (both.stream.block, both.stream.order) == held
    stream_get(both.buddy, both.stream, both.first, both.room.address, 700)
    assert bytes(both.room[k] for k in range(700)) == both.octets
    assert stream_shrink(both.buddy, both.stream, both.first, 10) == 0
    assert (both.stream.block, both.stream.order) == held


def test_more_than_the_largest_block_is_refused(both: Both) -> None:
    assert not stream_reserve(both.buddy, both.stream, 0, 0, (1 << 23) + 1)
    assert size_of(both.stream) == 0
    assert stream_reserve(both.buddy, both.stream, 0, 0, 1 << 23)


def test_empty_stream(both: Both) -> None:
    both.check()
    stream_put(both.buddy, both.stream, 12345, both.room.address, 0)
    stream_free(both.buddy, both.stream)
    assert stream_shrink(both.buddy, both.stream, 0, 0) == 0
    assert stream_reserve(both.buddy, both.stream, 0, 0, 0)
    assert (size_of(both.stream), both.buddy.used) == (0, 0)


@pytest.mark.parametrize("first", [0, 100, 400, 512 - 7, 1024 - 7, 65536 - 7, WRAP - 7])
def test_shrinking_across_either_end(arena: Arena, first: int) -> None:
    """The octets are in one piece in the large ring and in two in the small one, or the other way round."""
    both = Both(arena, first)
    assert stream_reserve(both.buddy, both.stream, first, 0, 65536)
    both.put(200)
    assert stream_shrink(both.buddy, both.stream, first, 200) == 65536 - 512
    both.check()


def test_shrinking_leaves_room(both: Both) -> None:
    assert stream_reserve(both.buddy, both.stream, both.first, 0, 65536)
    both.put(16385)
    assert stream_shrink(both.buddy, both.stream, both.first, 16385) == 0, "more than a quarter"
    both.consume(15385)
    assert stream_shrink(both.buddy, both.stream, both.first, 1000) == 65536 - 2048
    assert piece_of(both.buddy, both.stream, both.first, 5000)[1] <= 2048
    both.check()
    both.consume(1000)
    assert stream_shrink(both.buddy, both.stream, both.first, 0) == 2048
    assert both.buddy.used == 0
