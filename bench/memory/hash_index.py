"""The hash index: longest pause of an add and of a remove, and look-ups in batches of 64.

    python -m bench.memory.hash_index [ENTRIES ...]

Every operation is timed by the time-stamp counter. The same entries are added and removed in RUNS runs, and the least
time of each operation over the runs is kept: what the operation costs by itself, page faults included, since each run
starts with fresh memory. What only one run shows was the scheduler or the hypervisor, and is printed beside it.
"""

from __future__ import annotations

import ctypes
import sys
import time

from pronghorn.compiled import Array, View, cycles, hashing, hot, prefetch, u32, u64
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

RUNS = 5
BATCHES = 100_000
_LIMIT = 0xFFFFFFFF


class Record(View, align=64, size=128):
    """As large as a connection; the key is the first line."""

    key: u64


@hot
def tsc() -> int:
    """The time-stamp counter."""
    return cycles()


@hot
def add_all(index: HashIndex, records: Array[Record], amount: int, took: Array[u32]) -> int:
    """Add records 0, 1, 2 ...; `took` keeps the least cycles of each add. Returns the longest of this run."""
    longest = 0
    for number in range(amount):
        records[number].key = number
        hash = hashing.mix(number, 77, index.secret)
        begin = cycles()
        hash_add(index, hash, number)
        spent = min(cycles() - begin, _LIMIT)
        longest = max(longest, spent)
        took[number] = min(took[number], spent)
    return longest


@hot
def remove_all(index: HashIndex, amount: int, took: Array[u32]) -> int:
    """Remove them again; as `add_all`."""
    longest = 0
    for number in range(amount):
        hash = hashing.mix(number, 77, index.secret)
        begin = cycles()
        hash_remove(index, hash, number)
        spent = min(cycles() - begin, _LIMIT)
        longest = max(longest, spent)
        took[number] = min(took[number], spent)
    return longest


@hot
def longest_of(took: Array[u32], amount: int) -> int:
    """The longest time in the array."""
    longest = 0
    for number in range(amount):
        longest = max(longest, took[number])
    return longest


@hot
def look_up(index: HashIndex, records: Array[Record], amount: int, batches: int, work: Array[u64]) -> int:
    """Look `batches` * 64 records up, at random, in the three steps of the index; returns how many were not found."""
    state, missing = 1, 0
    for _ in range(batches):
        for k in range(64):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            work[k] = state % amount
            work[64 + k] = hashing.mix(work[k], 77, index.secret)
            hash_prefetch(index, work[64 + k])
        for k in range(64):
            work[128 + k] = hash_first(index, work[64 + k])
            prefetch(records[work[128 + k]].address)
        for k in range(64):
            value = work[128 + k]
            while value >= 0 and records[value].key != work[k]:
                value = hash_next(index, work[64 + k], value)
            missing += 1 if value < 0 else 0
    return missing


@hot
def choose_only(index: HashIndex, amount: int, batches: int, work: Array[u64]) -> int:
    """What `look_up` does besides looking up."""
    state = 1
    for _ in range(batches):
        for k in range(64):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            work[k] = state % amount
            work[64 + k] = hashing.mix(work[k], 77, index.secret)
    return state


def cycles_per_microsecond() -> float:
    tsc()
    wall, begin = time.perf_counter(), tsc()
    time.sleep(0.2)
    return (tsc() - begin) / (time.perf_counter() - wall) / 1e6


def spread(values: list[float]) -> str:
    return f"{min(values):.0f} to {max(values):.0f}"


def measure(amount: int, rate: float) -> str:
    """One line of figures for an index of `amount` entries."""
    single_adds, single_removes, times, lookups = list[float](), list[float](), list[float](), 1e9
    with Arena.create() as keep:
        took = [keep.table(name, u32, amount) for name in ("adds", "removes")]
        for array in took:
            ctypes.memset(array.address, 0xFF, 4 * amount)
        for _ in range(RUNS):
            with Arena.create() as arena:
                records = arena.table("records", Record, amount, count=amount)
                work = arena.table("work", u64, 192)
                index = create_hash_index(arena, "index", amount, secret=12345)
                begin = time.perf_counter()
                single_adds.append(add_all(index, records, amount, took[0]) / rate)
                times.append((time.perf_counter() - begin) / amount * 1e9)
                begin = time.perf_counter()
                assert look_up(index, records, amount, BATCHES, work) == 0
                middle = time.perf_counter()
                choose_only(index, amount, BATCHES, work)
                spent = (middle - begin) - (time.perf_counter() - middle)
                lookups = min(lookups, spent / BATCHES / 64 * 1e9)
                single_removes.append(remove_all(index, amount, took[1]) / rate)
        adds, removes = longest_of(took[0], amount), longest_of(took[1], amount)
    alone = f"(in single runs {spread(single_adds)} and {spread(single_removes)})"
    return (
        f"{amount:>10,} entries: look-up {lookups:5.1f} ns, add {min(times):5.1f} ns, "
        f"longest add {adds / rate:5.1f} us, longest remove {removes / rate:5.1f} us {alone}"
    )


if __name__ == "__main__":
    for text in sys.argv[1:] or ("100000", "1000000", "10000000"):
        print(measure(int(text), cycles_per_microsecond()), flush=True)
