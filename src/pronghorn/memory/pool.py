"""The packet pool: which chunks are free, shared by many workers that almost never meet.

Chunks of one size lie side by side and are named by their index. Bonwick & Adams ("Magazines and Vmem", USENIX 2001):
every worker owns two magazines, arrays of free indexes of which one is loaded and the other is empty or full; only
when both run out, or over, does it exchange one with the depot. So a worker takes and frees packets without touching a
line that others write, and keeps up to two magazines of slack between the two directions.

The depot is two stacks of magazines, full ones and empty ones, each a single word (31-bit tag, 32-bit magazine)
changed by compare-and-exchange (Treiber 1986; the tag answers ABA). A worker that is stopped anywhere holds nobody up.

Rules:
* A chunk may be freed by another worker than the one that took it, through the freeing worker's own cache.
* An empty magazine is always there when one is needed: there are chunks/size + 3 per worker + 1.
* With `checked`, each chunk carries a mark and freeing a chunk twice is counted and refused.
* `pool_reset` makes everything free again: after a restart the packets in flight are gone.
"""

from __future__ import annotations

from typing import Any, Literal

from pronghorn.compiled import (
    Array,
    View,
    array_at,
    au64,
    cold,
    compare_exchange64,
    copy,
    entry,
    fetch_add64,
    field,
    fill,
    fixed,
    hot,
    leaf,
    u8,
    u32,
    u64,
)
from pronghorn.memory.arena import Arena
from pronghorn.memory.layout import Layout, lay

MAGAZINE = 256
"""Indexes that a magazine can hold; small pools use fewer of them."""


class Chunk(View, align=64, size=2048):
    """Room for one ordinary frame and its headroom."""


class LargeChunk(View, align=64, size=65536 + 512):
    """Room for one unsegmented frame of 64 KB and its headroom."""


class Magazine(View, align=64, size=64 + 4 * MAGAZINE):
    """Indexes of free chunks. Written by the worker that holds it; nobody while it lies in the depot."""

    below: u32  # in the depot: magazine under this one, plus 1; 0 at the bottom
    count: u32  # in the depot: indexes inside
    items: Array[u32] = fixed(MAGAZINE, align=64)


class Depot(View, align=64, size=64):
    """A stack of magazines."""

    head: au64  # bits 0-31: top magazine plus 1, 0 when empty; bits 32-62: tag, changes with every exchange
    chunks: au64  # free chunks inside


_CHUNKS = Depot.offset("chunks")


class PoolCache(View, align=64, size=64):
    """One worker's own free chunks. Written by that worker alone."""

    pool: u64  # address of the Pool
    items: Array[u32]  # of the loaded magazine
    marks: Array[u8]  # Pool.marks
    refused: u64  # times that no chunk was left
    wrong: u64  # chunks freed twice (checked pools only) or more often than there are
    count: u32  # indexes in the loaded magazine
    spare_count: u32  # indexes in the spare one: 0 or `size`, less just after a start
    loaded: u32  # the magazine that chunks are taken from and put into
    spare: u32  # the other one
    size: u32  # most indexes in a magazine
    checked: u32  # 1 when marks are kept


class Pool(View, align=64, size=256):
    """Chunks of one size. The first line is never written while workers run."""

    base: u64  # address of chunk 0
    octets: u32  # in a chunk
    chunks: u32
    magazines: Array[Magazine]
    caches: Array[PoolCache]  # one per worker
    marks: Array[u8]  # per chunk: 1 while it is in use; only with `checked`
    magazine_count: u32
    workers: u32
    size: u32  # most indexes in a magazine
    checked: u32
    full: Depot = field(align=64)
    empty: Depot
    low: u64  # fewest chunks that the depot ever held: the low-water mark, what workers cache not counted


@leaf
def pool_chunk(pool: Pool, index: int) -> int:
    """Address of the chunk `index`."""
    return pool.base + index * pool.octets


@leaf
def pool_index(pool: Pool, address: int) -> int:
    """Index of the chunk that `address` lies in."""
    return (address - pool.base) // pool.octets


@leaf
def pool_get(cache: PoolCache) -> int:
    """Take a chunk: its index, or -1 when none is left."""
    if cache.count == 0 and not pool_refill(cache):
        return -1
    count = cache.count - 1
    index = cache.items[count]
    cache.count = count
    if cache.checked != 0:
        cache.marks[index] = 1
    return index


@leaf
def pool_put(cache: PoolCache, index: int) -> None:
    """Free the chunk `index`."""
    if (cache.checked == 0 or _unmark(cache, index)) and (cache.count < cache.size or pool_spill(cache)):
        cache.items[cache.count] = index
        cache.count += 1


@hot
def pool_get_many(cache: PoolCache, to: Array[u32], wanted: int) -> int:
    """Take up to `wanted` chunks into `to`; returns how many."""
    taken = 0
    while taken < wanted and (cache.count != 0 or pool_refill(cache)):
        step = min(wanted - taken, cache.count)
        copy(to.address + 4 * taken, cache.items.address + 4 * (cache.count - step), 4 * step)
        cache.count -= step
        taken += step
    if cache.checked != 0:
        for place in range(taken):
            cache.marks[to[place]] = 1
    return taken


@hot
def pool_put_many(cache: PoolCache, chunks: Array[u32], count: int) -> None:
    """Free `count` chunks."""
    if cache.checked != 0:
        for place in range(count):
            pool_put(cache, chunks[place])
        return
    done = 0
    while done < count and (cache.count < cache.size or pool_spill(cache)):
        step = min(count - done, cache.size - cache.count)
        copy(cache.items.address + 4 * cache.count, chunks.address + 4 * done, 4 * step)
        cache.count += step
        done += step


@hot
def pool_free_count(pool: Pool) -> int:
    """Free chunks, in the depot and in all caches: exact when no worker runs."""
    free = pool.full.chunks
    for worker in range(pool.workers):
        cache = pool.caches[worker]
        free += cache.count + cache.spare_count
    return free


@cold
def pool_refill(cache: PoolCache) -> bool:
    """The loaded magazine is empty: load the spare one, or one from the depot. False when all are empty."""
    if cache.spare_count == 0:
        pool = Pool(cache.pool)
        magazine = _take(pool.full, pool.magazines)
        if magazine < 0:
            cache.refused += 1
            return False
        count = pool.magazines[magazine].count
        left = fetch_add64(pool.full.address + _CHUNKS, -count) - count
        if left < pool.low:
            pool.low = left
        _give(pool.empty, pool.magazines, cache.loaded)
        _load(cache, magazine, count)
        return True
    _swap(cache)
    return True


@cold
def pool_spill(cache: PoolCache) -> bool:
    """The loaded magazine is full: load the spare one if it is empty, or an empty one from the depot."""
    if cache.spare_count != 0:
        pool = Pool(cache.pool)
        magazine = _take(pool.empty, pool.magazines)
        if magazine < 0:  # more chunks were freed than there are
            cache.wrong += 1
            return False
        pool.magazines[cache.spare].count = cache.spare_count
        fetch_add64(pool.full.address + _CHUNKS, cache.spare_count)
        _give(pool.full, pool.magazines, cache.spare)
        cache.spare = magazine
        cache.spare_count = 0
    _swap(cache)
    return True


@cold
def _unmark(cache: PoolCache, index: int) -> bool:
    """Note that the chunk is free; False, and counted, when it was free already."""
    if cache.marks[index] == 0:
        cache.wrong += 1
        return False
    cache.marks[index] = 0
    return True


@leaf
def _swap(cache: PoolCache) -> None:
    loaded, count = cache.loaded, cache.count
    _load(cache, cache.spare, cache.spare_count)
    cache.spare, cache.spare_count = loaded, count


@leaf
def _load(cache: PoolCache, magazine: int, count: int) -> None:
    cache.loaded, cache.count = magazine, count
    cache.items = Pool(cache.pool).magazines[magazine].items


@hot
def _take(depot: Depot, magazines: Array[Magazine]) -> int:
    """Pop a magazine; -1 when there is none."""
    while True:
        head = depot.head
        top = (head & 0xFFFFFFFF) - 1
        if top < 0:
            return -1
        tag = ((head >> 32) + 1) & 0x7FFFFFFF
        if compare_exchange64(depot.address, head, tag << 32 | magazines[top].below):
            return top


@hot
def _give(depot: Depot, magazines: Array[Magazine], magazine: int) -> None:
    """Push a magazine."""
    while True:
        head = depot.head
        magazines[magazine].below = head & 0xFFFFFFFF
        tag = ((head >> 32) + 1) & 0x7FFFFFFF
        if compare_exchange64(depot.address, head, tag << 32 | (magazine + 1)):
            return


@entry
def pool_reset(pool: Pool) -> None:
    """Make every chunk free. No worker may run."""
    fill(pool.full.address, 0, Depot.SIZE)
    fill(pool.empty.address, 0, Depot.SIZE)
    if pool.checked != 0:
        fill(pool.marks.address, 0, pool.chunks)
    pool.low = pool.chunks
    for worker in range(pool.workers):
        cache = pool.caches[worker]
        cache.pool, cache.marks, cache.size, cache.checked = pool.address, pool.marks, pool.size, pool.checked
        cache.refused, cache.wrong, cache.spare, cache.spare_count = 0, 0, 2 * worker + 1, 0
        _load(cache, 2 * worker, 0)
    index = 0
    for number in range(2 * pool.workers, pool.magazine_count):
        magazine = pool.magazines[number]
        magazine.count = 0
        while index < pool.chunks and magazine.count < pool.size:
            magazine.items[magazine.count] = index
            magazine.count += 1
            index += 1
        if magazine.count > 0:
            pool.full.chunks += magazine.count
            _give(pool.full, pool.magazines, number)
        else:
            _give(pool.empty, pool.magazines, number)


@leaf
def pool_size(chunks: int, workers: int) -> int:
    """Most indexes in a magazine."""
    return max(1, min(MAGAZINE, chunks // (4 * workers)))


@leaf
def pool_magazines(chunks: int, workers: int) -> int:
    """Magazines, so that an empty one is always there when one is needed."""
    size = pool_size(chunks, workers)
    return (chunks + size - 1) // size + 3 * workers + 1


@hot
def pool_open(pool: Pool, base: int, octets: int, chunks: int, workers: int) -> None:
    """Make all of `chunks` chunks of `octets` at the address `base` free. pool.magazines and pool.caches are set, and
    pool.marks when chunks are to be checked."""
    pool.base, pool.octets, pool.chunks, pool.workers = base, octets, chunks, workers
    pool.size, pool.magazine_count = pool_size(chunks, workers), pool_magazines(chunks, workers)
    pool.checked = 1 if pool.marks.address != 0 else 0
    pool_reset(pool)


@hot
def pool_lay(layout: Layout, octets: int, chunks: int, workers: int) -> int:
    """The address of a new pool of `chunks` chunks of `octets`, all free; 0: no room. Chunks begin a page."""
    pool = Pool(lay(layout, Pool.SIZE, Pool.ALIGN))
    magazines = lay(layout, pool_magazines(chunks, workers) * Magazine.SIZE, Magazine.ALIGN)
    caches = lay(layout, workers * PoolCache.SIZE, PoolCache.ALIGN)
    base = lay(layout, chunks * octets, 4096)
    if layout.full != 0:
        return 0
    pool.magazines, pool.caches = array_at(Magazine, magazines), array_at(PoolCache, caches)
    pool_open(pool, base, octets, chunks, workers)
    return pool.address


def create_pool(
    arena: Arena, name: str, kind: type[View], chunks: int, workers: int, checks: Literal["none", "marks"] = "none"
) -> Pool:
    """A pool of `chunks` chunks of `kind` (Chunk or LargeChunk), all free, in tables `name`.* of the arena."""
    table: Array[Any] = arena.table(f"{name}.pool", Pool, 1)
    pool: Pool = table[0]
    base = arena.table(f"{name}.chunks", kind, chunks).address
    if kind is Chunk:
        arena.warm(f"{name}.chunks", chunks)  # all of them are used in turn; large chunks wait for their first use
    pool.magazines = arena.table(f"{name}.magazines", Magazine, pool_magazines(chunks, workers))
    pool.caches = arena.table(f"{name}.caches", PoolCache, workers)
    pool.marks = arena.table(f"{name}.marks", u8, chunks) if checks == "marks" else array_at(u8, 0)
    pool_open(pool, base, kind.SIZE, chunks, workers)
    return pool
