"""A hash index that grows and shrinks one bucket at a time: linear hashing (Litwin, VLDB 1980).

It maps a 64-bit hash to a 32-bit value, normally the index of a record in the owner's table. Keys lie in the records,
so the owner compares them; the index says which records to compare. The hash must be keyed with the index's secret:

    hash = mix(addresses, ports, index.secret)

Look-ups come in two stages, so that a batch waits for memory once and not once per packet:

    for k in range(n): hash_prefetch(index, hashes[k])                     # the bucket's line
    for k in range(n):
        found[k] = hash_first(index, hashes[k])                           # a candidate, or -1
        prefetch(flows[found[k]].address)                                 # the record's line
    for k in range(n):
        value = found[k]
        while value >= 0 and not is_flow(flows[value], ...):              # the owner's comparison
            value = hash_next(index, hashes[k], value)

A bucket is one cache line: 7 tags (the low half of the hash), their values, and the number of an overflow bucket.
Buckets are an array whose addresses are reserved for the largest size, so growing moves nothing: when there are more
than LOAD entries per two buckets, each `hash_add` splits one bucket, whose entries part by one more bit of their tags;
when there are fewer than half as many, each `hash_remove` merges one. There is no pause at any size, and no work in the
background.

Rules:
* The pairs (hash, value) are different from each other; hashes need not be.
* All buckets of a chain but the last are full. A chain has at most 8 overflow buckets, then `hash_add` refuses.
* `limit` is how many buckets have memory behind them. At the limit nothing splits, and chains grow instead: a control
  plane that touches memory ahead of the data plane raises it.
"""

from __future__ import annotations

import os

from pronghorn.compiled import (
    Array,
    View,
    array_at,
    entry,
    field,
    fill,
    fixed,
    hashing,
    hot,
    leaf,
    prefetch,
    trailing_zeros,
    u32,
    u64,
)
from pronghorn.memory.arena import Arena
from pronghorn.memory.layout import Layout, lay

SLOTS = 7
LOAD = 9
"""Entries per two buckets beyond which a bucket is split: 14.2 octets for an entry, and 1.3 in overflow buckets."""

_LONGEST = 8
_MOST = SLOTS * (1 + _LONGEST)
_TAG = 0xFFFFFFFF
_LEAST = 16


class Bucket(View, align=64, size=64):
    """One line of the index. Slots are used from the first on."""

    tags: Array[u32] = fixed(SLOTS)  # low half of the hash
    count: u32  # slots used
    values: Array[u32] = fixed(SLOTS)
    next: u32  # overflow bucket that goes on from here; 0 at the end


class HashIndex(View, align=64, size=640):
    """One index. Written by its owner alone."""

    buckets: Array[Bucket]
    size: u64  # buckets in use
    mask: u64  # 2**k - 1, where 2**k <= size < 2**(k + 1)
    overflow: Array[Bucket]  # number 0 is not used
    secret: u64  # key for the hash of this index
    count: u64  # entries
    limit: u64  # buckets that may be used
    refused: u64  # entries for which there was no place
    free: u32 = field(align=64)  # first of the overflow buckets that were given back; 0 when there is none
    fresh: u32  # overflow buckets ever used, counting number 0
    overflow_limit: u32  # overflow buckets, counting number 0
    moved: u32  # entries in the two arrays below
    tags: Array[u32] = fixed(_MOST + 1)  # scratch of a split or merge
    values: Array[u32] = fixed(_MOST + 1)


@leaf
def _bucket(index: HashIndex, hash: int) -> Bucket:
    """Where entries with this hash begin: a bucket that has been split already has one more bit."""
    number = hash & (index.mask << 1 | 1)
    return index.buckets[number if number < index.size else number & index.mask]


@leaf
def _hits(bucket: Bucket, tag: int) -> int:
    """One bit for each used slot with this tag."""
    hits = 0
    for slot in range(SLOTS):
        hits |= (1 if bucket.tags[slot] == tag else 0) << slot
    return hits & ((1 << bucket.count) - 1)


@leaf
def hash_prefetch(index: HashIndex, hash: int) -> None:
    """Ask for the line that `hash_first` will read."""
    prefetch(_bucket(index, hash).address)


@hot
def hash_first(index: HashIndex, hash: int) -> int:
    """The value of an entry whose tag is that of `hash`, or -1. The owner compares keys."""
    tag = hash & _TAG
    bucket = _bucket(index, hash)
    while True:
        hits = _hits(bucket, tag)
        if hits != 0:
            return bucket.values[trailing_zeros(hits)]
        if bucket.next == 0:
            return -1
        bucket = index.overflow[bucket.next]


@hot
def hash_next(index: HashIndex, hash: int, value: int) -> int:
    """The candidate after `value`, or -1."""
    tag = hash & _TAG
    bucket = _bucket(index, hash)
    seen = False
    while True:
        hits = _hits(bucket, tag)
        while hits != 0:
            candidate = bucket.values[trailing_zeros(hits)]
            if seen:
                return candidate
            seen = candidate == value
            hits &= hits - 1
        if bucket.next == 0:
            return -1
        bucket = index.overflow[bucket.next]


@entry
def hash_add(index: HashIndex, hash: int, value: int) -> bool:
    """Add the pair. False, and counted in `refused`, when there is no place."""
    if 2 * index.count >= index.size * LOAD and index.size < index.limit:
        _split(index)
    if not _append(index, _bucket(index, hash), hash & _TAG, value):
        index.refused += 1
        return False
    index.count += 1
    return True


@entry
def hash_remove(index: HashIndex, hash: int, value: int) -> bool:
    """Remove the pair; False when it is not there."""
    tag = hash & _TAG
    head = _bucket(index, hash)
    bucket = head
    while True:
        hits = _hits(bucket, tag)
        while hits != 0:
            slot = trailing_zeros(hits)
            if bucket.values[slot] == value:
                _take_out(index, head, bucket, slot)
                index.count -= 1
                if index.size > _LEAST and index.count * 4 < index.size * LOAD:
                    _merge(index)
                return True
            hits &= hits - 1
        if bucket.next == 0:
            return False
        bucket = index.overflow[bucket.next]


@hot
def _append(index: HashIndex, bucket: Bucket, tag: int, value: int) -> bool:
    """Put a pair at the end of the chain that `bucket` begins; False when the chain or the overflow is at its limit."""
    length = 0
    while bucket.next != 0:
        bucket = index.overflow[bucket.next]
        length += 1
    if bucket.count == SLOTS:
        if length == _LONGEST:
            return False
        number = _new_overflow(index)
        if number == 0:
            return False
        bucket.next = number
        bucket = index.overflow[number]
        bucket.count, bucket.next = 0, 0
    slot = bucket.count
    bucket.tags[slot] = tag
    bucket.values[slot] = value
    bucket.count = slot + 1
    return True


@hot
def _take_out(index: HashIndex, head: Bucket, bucket: Bucket, slot: int) -> None:
    """Empty a slot of a bucket in the chain that `head` begins, by moving the chain's last pair into it."""
    before, last = head, head
    while last.next != 0:
        before = last
        last = index.overflow[last.next]
    end = last.count - 1
    bucket.tags[slot] = last.tags[end]
    bucket.values[slot] = last.values[end]
    last.count = end
    if end == 0 and last.address != head.address:
        _free_overflow(index, before.next)
        before.next = 0


@hot
def _split(index: HashIndex) -> None:
    """Part the entries of the next bucket in turn between it and a new one at the end."""
    source = index.size & index.mask
    index.moved = 0
    _gather(index, index.buckets[source])
    target = index.buckets[index.size]
    target.count, target.next = 0, 0
    index.size += 1
    if index.size > index.mask << 1 | 1:
        index.mask = index.mask << 1 | 1
    _scatter(index)


@hot
def _merge(index: HashIndex) -> None:
    """Undo the last split, if the entries of both buckets fit into one chain."""
    last = index.size - 1
    mask = index.mask >> 1 if last == index.mask else index.mask
    if index.free == 0 and index.fresh == index.overflow_limit:
        return  # both chains together may need one more
    if _length(index, index.buckets[last]) + _length(index, index.buckets[last & mask]) > _MOST:
        return
    index.moved = 0
    _gather(index, index.buckets[last])
    _gather(index, index.buckets[last & mask])
    index.size, index.mask = last, mask
    _scatter(index)


@hot
def _length(index: HashIndex, bucket: Bucket) -> int:
    """Entries in a chain."""
    length = bucket.count
    while bucket.next != 0:
        bucket = index.overflow[bucket.next]
        length += bucket.count
    return length


@hot
def _gather(index: HashIndex, bucket: Bucket) -> None:
    """Move all pairs of a chain to the scratch arrays and free its overflow buckets."""
    number = bucket.next
    bucket.next = 0
    while True:
        moved = index.moved
        for slot in range(bucket.count):
            index.tags[moved + slot] = bucket.tags[slot]
            index.values[moved + slot] = bucket.values[slot]
        index.moved = moved + bucket.count
        bucket.count = 0
        if number == 0:
            return
        bucket = index.overflow[number]
        following = bucket.next
        _free_overflow(index, number)
        number = following


@hot
def _scatter(index: HashIndex) -> None:
    """Put the pairs of the scratch arrays where they belong. Cannot fail: their overflow buckets were freed."""
    for k in range(index.moved):
        _append(index, _bucket(index, index.tags[k]), index.tags[k], index.values[k])


@hot
def _new_overflow(index: HashIndex) -> int:
    """An overflow bucket's number, or 0 when there is none."""
    number = index.free
    if number != 0:
        index.free = index.overflow[number].next
        return number
    number = index.fresh
    if number == index.overflow_limit:
        return 0
    index.fresh = number + 1
    return number


@leaf
def _free_overflow(index: HashIndex, number: int) -> None:
    index.overflow[number].next = index.free
    index.free = number


@leaf
def hash_buckets(capacity: int) -> int:
    """Buckets of an index for `capacity` entries, at its largest."""
    return max(_LEAST, (2 * capacity + LOAD - 1) // LOAD)


@leaf
def hash_spare(buckets: int) -> int:
    """Overflow buckets beside so many buckets: nearly twice what random hashes need, 0.145 for each bucket when half of
    them are split."""
    return buckets // 4 + 64


@hot
def hash_open(index: HashIndex, buckets: int, limit: int, overflow: int, spare: int, secret: int) -> None:
    """Make the index empty: buckets at one address, of which `limit` may be used, `spare` overflow buckets at another.

    The first 16 buckets are zero.
    """
    fill(index.address, 0, HashIndex.SIZE)
    index.buckets, index.overflow = array_at(Bucket, buckets), array_at(Bucket, overflow)
    index.size, index.mask, index.limit = _LEAST, _LEAST - 1, limit
    index.fresh, index.overflow_limit, index.secret = 1, spare, secret


@hot
def hash_lay(layout: Layout, capacity: int, secret: int) -> int:
    """The address of a new index for `capacity` entries; 0: no room."""
    most = hash_buckets(capacity)
    spare = hash_spare(most)
    index = lay(layout, HashIndex.SIZE, HashIndex.ALIGN)
    buckets = lay(layout, most * Bucket.SIZE, Bucket.ALIGN)
    overflow = lay(layout, spare * Bucket.SIZE, Bucket.ALIGN)
    if layout.full != 0:
        return 0
    hash_open(HashIndex(index), buckets, most, overflow, spare, secret)
    return index


LARGE = (2 << 20) // Bucket.SIZE
"""Buckets of an index that is worth a large page."""


def create_hash_index(
    arena: Arena, name: str, capacity: int, owner: int = -1, secret: int | None = None, ahead: int | None = None
) -> HashIndex:
    """An empty index for `capacity` entries in tables `name`.* of the arena; memory comes as it grows.

    `secret` is drawn from the kernel unless a test gives it. With `ahead`, that many buckets have memory now, and
    `limit` is to be raised after `arena.grow(name + ".buckets", ...)`; without it, pages of 4 KiB come on first touch.
    An earlier process may have died in the middle of a split: what it left is emptied, and the owner adds its records
    again.
    """
    most = hash_buckets(capacity)
    spare = hash_spare(most)
    index: HashIndex = arena.table(f"{name}.index", HashIndex, 1, owner)[0]
    buckets = arena.table(f"{name}.buckets", Bucket, most, owner, count=ahead)
    overflow = arena.table(f"{name}.overflow", Bucket, spare, owner)
    if ahead is None and most >= LARGE:
        arena.warm(f"{name}.buckets", LARGE)  # a large page can only come before the first touch
    fill(buckets.address, 0, _LEAST * Bucket.SIZE)
    if secret is None:
        secret = hashing.wrap(int.from_bytes(os.urandom(8), "little"))
    hash_open(index, buckets.address, most if ahead is None else ahead, overflow.address, spare, secret)
    return index
