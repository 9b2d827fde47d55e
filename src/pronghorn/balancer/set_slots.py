"""What the control plane writes into a set's tables (sets.py), compiled: one word at a time, the entry first.

Entries for packets to find are written by set_changes.py; here they get their slots, and lose them.
"""

from __future__ import annotations

from pronghorn.balancer.sets import (
    FIRST_SLOT,
    GONE,
    PROBES,
    USED,
    AccessSet,
    entry_hash,
    entry_tag,
    filter_bit,
    filter_octet,
    probe,
)
from pronghorn.compiled import Array, array_at, entry, fence, hot, load8, store8, u64


@hot
def put(set: AccessSet, slots: int, number: int) -> bool:
    """Make the entry known in the table of slots. False: no place near enough."""
    one = set.entries[number]
    hash = entry_hash(one.hi, one.lo, one.key, set.secret)
    table: Array[u64] = array_at(u64, slots)
    mask = table[0]
    place = hash & mask
    for _ in range(PROBES):
        there = table[FIRST_SLOT + place] & GONE
        if there == 0 or there == GONE:
            octet = filter_octet(slots, mask, hash)
            store8(octet, load8(octet) | filter_bit(hash))
            fence()
            table[FIRST_SLOT + place] = entry_tag(hash) << 32 | (number + 1)
            return True
        place = (place + 1) & mask
    return False


@entry
def set_put(set: AccessSet, number: int) -> bool:
    """Let packets find an entry that is written."""
    return put(set, set.slots, number)


@entry
def set_fill(set: AccessSet, slots: int) -> bool:
    """Put all entries into a table that nobody uses yet. False: it is too small."""
    for number in range(set.fresh):
        if set.entries[number].flags & USED != 0 and not put(set, slots, number):
            return False
    return True


@entry
def set_search(set: AccessSet, hi: int, lo: int, key: int) -> int:
    """The number of exactly this entry, or -1."""
    return probe(set, hi, lo, key)


@entry
def set_take(set: AccessSet, number: int) -> int:
    """Let packets find the entry no more. Returns how many slots are GONE for it: 1, or 0."""
    one = set.entries[number]
    hash = entry_hash(one.hi, one.lo, one.key, set.secret)
    table: Array[u64] = array_at(u64, set.slots)
    mask = table[0]
    place = hash & mask
    for _ in range(PROBES):
        if table[FIRST_SLOT + place] & GONE == number + 1:
            last = table[FIRST_SLOT + ((place + 1) & mask)] == 0
            table[FIRST_SLOT + place] = 0 if last else GONE
            return 0 if last else 1
        place = (place + 1) & mask
    return 0


@entry
def set_next(set: AccessSet, first: int, now: int) -> int:
    """The next entry from `first` on, or -1; with `now`, the next whose time is over then."""
    for number in range(first, set.fresh):
        one = set.entries[number]
        if one.flags & USED != 0 and (now == 0 or (one.expires != 0 and one.expires <= now)):
            return number
    return -1


@entry
def set_sum(set: AccessSet, workers: int, octets: bool) -> int:
    """Packets, or octets, that all entries have met."""
    total = 0
    for worker in range(workers):
        for number in range(set.fresh):
            if set.entries[number].flags & USED != 0:
                count = set.counts[worker * set.capacity + number]
                total += count.octets if octets else count.packets
    return total
