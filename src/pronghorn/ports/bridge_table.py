"""Where a station is: the table that a learning switch keeps (IEEE 802.1Q 8.7, 8.8).

One word per station: 48 bits of address, the member port it was last heard on, and when. A bucket of eight words is one
cache line; the bucket is chosen by a keyed hash, so that nobody can fill a chosen one, and that runs of addresses, as
vendors and hypervisors give them, spread evenly (a single multiplication puts a run into few buckets under some keys).
All workers of an engine share the table without a lock: a word is written by one 64-bit store. Two workers that learn
the same new station at once may enter it twice; the later copy is never found and ages out.

Time is counted in epochs, an eighth of the ageing time each. An entry is refreshed once per epoch, so a table in its
steady state is only read; it counts for eight whole epochs, and is swept away long before epochs, eight bits, repeat.

A full bucket gives up the station that was not heard of for longest, but none of the current epoch: a flood of invented
addresses pushes out those that are silent, and nobody who talks.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, compare_exchange64, entry, hot, leaf, u32, u64
from pronghorn.compiled.hashing import mix, shift_right

SLOTS = 8
NOWHERE = -1
EPOCHS = 8
"""How many epochs an entry counts for."""

_MAC = (1 << 48) - 1
_EPOCH, _MEMBER = 48, 56  # places in the word: 8 bits, 7 bits
_AGES = 0xFF


class BridgeTable(View, align=64, size=64):
    """The stations of one switch. Constant, but for the counters."""

    entries: Array[u64]  # SLOTS words per bucket; 0 is empty
    key: u64  # secret
    epoch: u64  # ns
    shift: u32  # 64 minus the logarithm of the number of buckets
    buckets: u32
    full: u64  # stations that found no place; approximate


@leaf
def epoch_at(table: BridgeTable, now: int) -> int:
    """The epoch, modulo 256."""
    return now // table.epoch & _AGES


@leaf
def bucket_of(table: BridgeTable, mac: int) -> int:
    """Index of the bucket's first entry."""
    return shift_right(mix(mac, 0, table.key), table.shift) * SLOTS


@leaf
def station_find(table: BridgeTable, mac: int, epoch: int) -> int:
    """The member on which the station was heard, or NOWHERE."""
    first = bucket_of(table, mac)
    entries = table.entries
    for slot in range(SLOTS):
        word = entries[first + slot]
        if word & _MAC == mac:
            return word >> _MEMBER if _age(word, epoch) <= EPOCHS else NOWHERE
    return NOWHERE


@leaf
def station_learn(table: BridgeTable, mac: int, member: int, epoch: int) -> None:
    """The station was heard on `member`. `mac` is neither zero nor a group."""
    word = member << _MEMBER | epoch << _EPOCH | mac
    first = bucket_of(table, mac)
    if table.entries[first] != word:
        _learn(table, first, word, mac, epoch)


@hot
def _learn(table: BridgeTable, first: int, word: int, mac: int, epoch: int) -> None:
    """Find the station's place in the bucket, or the best one to give it."""
    entries = table.entries
    best, oldest = -1, 0
    for slot in range(SLOTS):
        present = entries[first + slot]
        if present & _MAC == mac:
            if present != word:
                entries[first + slot] = word
            return
        age = _AGES + 1 if present == 0 else _age(present, epoch)
        if age > oldest:
            best, oldest = first + slot, age
    if best >= 0:
        entries[best] = word
    else:
        table.full += 1


@leaf
def _age(word: int, epoch: int) -> int:
    return (epoch - (word >> _EPOCH)) & _AGES


@leaf
def station_sweep(table: BridgeTable, bucket: int, epoch: int) -> None:
    """Forget what is too old in one bucket."""
    for slot in range(bucket * SLOTS, bucket * SLOTS + SLOTS):
        word = table.entries[slot]
        if word != 0 and _age(word, epoch) > EPOCHS:
            compare_exchange64(table.entries.address + 8 * slot, word, 0)


@entry
def stations_forget(table: BridgeTable, member: int) -> int:
    """Forget every station on `member`; returns how many there were."""
    forgotten = 0
    for slot in range(table.buckets * SLOTS):
        word = table.entries[slot]
        if word != 0 and word >> _MEMBER == member:
            forgotten += compare_exchange64(table.entries.address + 8 * slot, word, 0)
    return forgotten
