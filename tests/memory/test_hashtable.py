"""The hash index against a dictionary, at its limits, and against chosen keys."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pronghorn.compiled import Array, hashing, hot, mode, u64
from pronghorn.memory import (
    Arena,
    HashIndex,
    create_hash_index,
    hash_add,
    hash_first,
    hash_next,
    hash_prefetch,
    hash_remove,
)
from pronghorn.memory.hashtable import LOAD, SLOTS, Bucket, hash_buckets

ENTRIES = 3_000 if mode() == "interpreted" else 300_000


def candidates(index: HashIndex, hash: int) -> list[int]:
    found, value = [], hash_first(index, hash)
    while value >= 0:
        found.append(value)
        value = hash_next(index, hash, value)
    return found


def chain(bucket: Bucket, index: HashIndex) -> list[int]:
    """Entries in each bucket of a chain."""
    counts = [bucket.count]
    while bucket.next:
        bucket = index.overflow[bucket.next]
        counts.append(bucket.count)
    return counts


def check(index: HashIndex) -> None:
    """The rules of the structure, from the outside of its functions."""
    assert index.mask + 1 <= index.size <= 2 * (index.mask + 1)
    total, overflow = 0, 0
    for number in range(index.size):
        counts = chain(index.buckets[number], index)
        assert all(count == SLOTS for count in counts[:-1]), "only the last bucket of a chain has room"
        assert len(counts) == 1 or counts[-1] > 0, "no empty overflow bucket"
        total, overflow = total + sum(counts), overflow + len(counts) - 1
    free, number = 0, index.free
    while number:
        free, number = free + 1, index.overflow[number].next
    assert total == index.count
    assert overflow + free == index.fresh - 1, "no overflow bucket is lost"


class AgainstDictionary(RuleBasedStateMachine):
    """Random adds and removes; few different hashes, so that chains and splits meet."""

    def __init__(self) -> None:
        super().__init__()
        self.arena = Arena.create(limit=1 << 30)
        self.index = create_hash_index(self.arena, "index", 2000, secret=1)
        self.model: dict[int, set[int]] = defaultdict(set)
        self.number = 0

    def teardown(self) -> None:
        self.arena.close()

    @rule(hash=st.integers(-(1 << 63), (1 << 63) - 1), copies=st.integers(1, 9))
    def add(self, hash: int, copies: int) -> None:
        for _ in range(copies):
            assert hash_add(self.index, hash, self.number)
            self.model[hash].add(self.number)
            self.number += 1

    @rule(seed=st.integers(0, 1000), amount=st.integers(1, 60))
    def add_many(self, seed: int, amount: int) -> None:
        for k in range(amount):
            self.add(hashing.mix(seed, k, 5), 1)

    @precondition(lambda self: any(self.model.values()))
    @rule(data=st.data(), amount=st.integers(1, 80))
    def remove(self, data: st.DataObject, amount: int) -> None:
        hashes = [hash for hash, values in self.model.items() if values]
        first = data.draw(st.integers(0, len(hashes) - 1))
        for hash in hashes[first : first + amount]:
            value = min(self.model[hash])
            assert hash_remove(self.index, hash, value)
            assert not hash_remove(self.index, hash, value)
            self.model[hash].discard(value)

    @invariant()
    def same(self) -> None:
        check(self.index)
        for hash, values in self.model.items():
            found = candidates(self.index, hash)
            assert len(found) == len(set(found))
            assert values <= set(found)
        assert self.index.count == sum(map(len, self.model.values()))


TestAgainstDictionary = AgainstDictionary.TestCase
TestAgainstDictionary.settings = settings(max_examples=15, stateful_step_count=25)


@hot
def fill_up(index: HashIndex, first: int, amount: int) -> int:
    """Add the numbers from `first` on as keys and values. Returns how many were taken."""
    taken = 0
    for number in range(first, first + amount):
        taken += 1 if hash_add(index, hashing.mix(number, 7, index.secret), number) else 0
    return taken


@hot
def find_batch(index: HashIndex, first: int, work: Array[u64]) -> int:
    """Look 64 keys up in the three steps of the module's docstring; returns how many were found."""
    found = 0
    for k in range(64):
        work[k] = hashing.mix(first + k, 7, index.secret)
        hash_prefetch(index, work[k])
    for k in range(64):
        work[64 + k] = hash_first(index, work[k])
    for k in range(64):
        value = work[64 + k]
        while value >= 0 and value != first + k:
            value = hash_next(index, work[k], value)
        found += 1 if value >= 0 else 0
    return found


@hot
def empty(index: HashIndex, first: int, amount: int) -> int:
    """Remove what `fill_up` added. Returns how many were there."""
    gone = 0
    for number in range(first, first + amount):
        gone += 1 if hash_remove(index, hashing.mix(number, 7, index.secret), number) else 0
    return gone


def test_grows_and_shrinks(arena: Arena) -> None:
    index = create_hash_index(arena, "index", ENTRIES)
    work = arena.table("work", u64, 128)
    least = index.size
    used = [fill_up(index, first, ENTRIES // 20) and index.fresh for first in range(0, ENTRIES, ENTRIES // 20)]
    assert index.count == ENTRIES
    assert index.size == hash_buckets(ENTRIES)
    assert max(used) < 0.7 * index.overflow_limit, "near its limit at some size"
    check(index)
    for first in range(0, ENTRIES - 64, ENTRIES // 10):
        assert find_batch(index, first, work) == 64
    assert find_batch(index, ENTRIES, work) == 0
    assert empty(index, 0, ENTRIES) == ENTRIES
    assert empty(index, 0, 100) == 0
    assert (index.count, index.size, index.refused) == (0, least, 0)
    check(index)


def test_load_and_chains_stay_as_poisson_says(arena: Arena) -> None:
    index = create_hash_index(arena, "index", ENTRIES)
    fill_up(index, 0, ENTRIES)
    chains = [chain(index.buckets[number], index) for number in range(index.size)]
    assert max(map(len, chains)) <= 4
    assert sum(len(counts) > 1 for counts in chains) < len(chains) * 0.2


def test_keys_chosen_for_one_secret_do_not_collide_under_another(arena: Arena) -> None:
    """A sender who knew an old secret, or guesses one, gains nothing: hash flooding (CVE-2003-0364's class)."""
    known = create_hash_index(arena, "known", 5000, secret=0x123456789ABCDEF)
    chosen = [key for key in range(400_000) if hashing.mix(key, 7, known.secret) & 0xFFF == 5][:60]
    assert len(chosen) == 60
    for key in chosen:
        hash_add(known, hashing.mix(key, 7, known.secret), key)
    assert max(len(chain(known.buckets[number], known)) for number in range(known.size)) > 3
    other = create_hash_index(arena, "other", 5000)
    third = create_hash_index(arena, "third", 5000)
    assert len({known.secret, other.secret, third.secret}) == 3
    for key in chosen:
        assert hash_add(other, hashing.mix(key, 7, other.secret), key)
    assert max(len(chain(other.buckets[number], other)) for number in range(other.size)) <= 3


def test_one_hash_for_all_is_refused_and_not_slow(arena: Arena) -> None:
    index = create_hash_index(arena, "index", 10_000, secret=1)
    taken = [value for value in range(200) if hash_add(index, 5, value)]
    assert len(taken) == 9 * SLOTS
    assert index.refused == 200 - len(taken)
    assert sorted(candidates(index, 5)) == taken
    for value in taken:
        assert hash_remove(index, 5, value)
    check(index)


def test_without_memory_ahead_nothing_splits_until_the_limit_is_raised(arena: Arena) -> None:
    index = create_hash_index(arena, "index", 1 << 20, secret=1, ahead=64)
    assert fill_up(index, 0, 800) == 800
    assert index.size == 64
    check(index)
    index.limit = arena.grow("index.buckets", 1000)
    assert index.limit >= 1000
    fill_up(index, 800, 600)
    assert index.size == 2 * 1400 // LOAD
    assert empty(index, 0, 1400) == 1400
    check(index)


@pytest.mark.parametrize("limit", [1, 2, 5, 20])
def test_overflow_runs_out(arena: Arena, limit: int) -> None:
    index = create_hash_index(arena, "index", 640, secret=1)
    index.overflow_limit = limit
    taken = fill_up(index, 0, 2000)
    assert index.refused == 2000 - taken > 0
    assert empty(index, 0, 2000) == taken
    check(index)


def test_chains_too_long_to_merge_stay_apart(arena: Arena) -> None:
    index = create_hash_index(arena, "index", 2000, secret=1)
    fill_up(index, 0, 1200)
    crowded = [hash for hash in (200, 72) for _ in range(50)]
    assert all(hash_add(index, hash, 5000 + number) for number, hash in enumerate(crowded))
    assert empty(index, 0, 1200) == 1200
    assert index.size == 201
    check(index)
    assert all(hash_remove(index, hash, 5000 + number) for number, hash in enumerate(crowded))


def test_size_does_not_swing(arena: Arena) -> None:
    """Between half full and full nothing is split or merged."""
    index = create_hash_index(arena, "index", 2000, secret=1)
    fill_up(index, 0, 1200)
    size = index.size
    empty(index, 0, 500)
    fill_up(index, 0, 400)
    assert index.size == size


def test_successor_starts_empty(arena: Arena) -> None:
    """A process that died in the middle of a split leaves nothing that its successor would believe."""
    index = create_hash_index(arena, "index", 1000, secret=1)
    fill_up(index, 0, 500)
    for table in ("index", "buckets", "overflow"):
        arena._held.discard(f"index.{table}")
    again = create_hash_index(arena, "index", 1000, secret=1)
    assert again.address == index.address
    check(again)
    assert fill_up(again, 0, 1000) == 1000
    check(again)


@pytest.mark.parametrize("value", [0, 1, (1 << 31) - 1, (1 << 32) - 1])
def test_values_have_32_bits(arena: Arena, value: int) -> None:
    index = create_hash_index(arena, "index", 10)
    assert hash_first(index, -5) == -1
    hash_add(index, -5, value)
    assert (hash_first(index, -5), hash_next(index, -5, value)) == (value, -1)
