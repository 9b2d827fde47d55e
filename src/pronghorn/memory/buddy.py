"""A buddy allocator: blocks of 256 octets to 8 MiB, in powers of two, from memory that is touched when it is used.

Knowlton (CACM 8, 1965); Knuth, The Art of Computer Programming, volume 1, 2.5, algorithms R and S. A block of 2**order
octets lies at a multiple of its size, so the block beside it with which it forms the next larger one, its buddy, is
found by one exclusive-or. What connections buffer lies here: stream.py, ranges.py.

    block = buddy_take(buddy, order_for(octets))           # 0: no memory
    address = buddy_address(buddy, block)
    buddy_give(buddy, block, order)

In front of the buddy system stand quick lists (Weinstock & Wulf, "QuickFit", SIGPLAN Notices 23:10, 1988): a block that
is given back is not joined with its buddy but kept, as a number in an array of the view, to be taken again first. A
take and a give of the same size then touch nothing but the view. Memory that was never used stands behind everything:
it is cut off in stretches of 8 MiB.

Rules:
* A block is named by its number in units of 256 octets, which fits 32 bits. Numbers begin at 32768; 0 is no block.
* One writer: each worker has its own. A block may only be given back to the Buddy it came from, with its order.
* A take does at most 16 steps, and so does a give. A take that fails has joined what the quick lists hold before, at
  most as many blocks as were given since the last time.
* Whatever can be one free block is one once the quick lists are joined; so a take fails only if no free memory of that
  size and alignment is left.
* A block's octets are what was left in it. A state is written before it is read, by the split that made the block.

Left out: giving free memory back to the kernel (a large block that stays free keeps its pages); finding a block that is
given twice.
"""

from __future__ import annotations

from typing import Any

from pronghorn.compiled import (
    Array,
    View,
    array_at,
    cold,
    fill,
    fixed,
    hot,
    leading_zeros,
    leaf,
    trailing_zeros,
    u8,
    u32,
    u64,
)
from pronghorn.memory.arena import Arena
from pronghorn.memory.layout import Layout, lay

LEAST = 8
"""The order of the smallest block, 256 octets."""

MOST = 23
"""The order of the largest block, 8 MiB."""

UNIT = 1 << LEAST
STRETCH = 1 << MOST
_ORDERS = MOST + 1 - LEAST
_FIRST = STRETCH // UNIT
_QUICK = 64
_QUICK_OCTETS = 1 << 20
_QUICK_MOST = 20


class Stretch(View, align=64, size=STRETCH):
    """Memory for one block of the largest order, or many smaller ones."""


class FreeBlock(View, align=8, size=8):
    """The head of a free block that waits in its order's list."""

    next: u32  # block after it; 0 at the end
    previous: u32  # block before it; 0 at the start


class Buddy(View, align=64):
    """One worker's buffer memory. Written by that worker alone."""

    base: u64  # address of block 0, which is not there: 8 MiB before the memory
    used: u64  # octets of blocks that are taken now
    peak: u64  # the most of `used` ever
    limit: u64  # octets of memory
    refused: u64  # takes that failed
    states: Array[u8]  # per unit: the order of the free block in a list that begins here; 0 elsewhere
    fresh: u32  # first unit that was never used
    end: u32  # unit after the last one
    waiting: u32  # bit per order: its list holds blocks
    unused: u32
    counts: Array[u32] = fixed(_ORDERS, align=64)  # blocks in each quick list
    free: Array[u32] = fixed(_ORDERS, align=64)  # first block of each order's list; 0 when it is empty
    quick: Array[u32] = fixed(_ORDERS * _QUICK, align=64)  # quick lists, 64 places for each order


@leaf
def order_for(octets: int) -> int:
    """The smallest order whose block holds so many octets: 8 and up; beyond 23 no block does."""
    return 64 - leading_zeros(max(octets, UNIT) - 1)


@leaf
def buddy_address(buddy: Buddy, block: int) -> int:
    """Address of the block."""
    return buddy.base + (block << LEAST)


@leaf
def _quick_room(order: int) -> int:
    """The most blocks that the quick list keeps: 64, and 1 MiB of them."""
    return min(_QUICK, _QUICK_OCTETS >> order)


@leaf
def _count(buddy: Buddy, order: int) -> None:
    used = buddy.used + (1 << order)
    buddy.used = used
    buddy.peak = max(buddy.peak, used)


@hot
def buddy_take(buddy: Buddy, order: int) -> int:
    """Take a block of 2**order octets, order 8 and up: its number; 0, and counted in `refused`, when there is none."""
    if order > _QUICK_MOST or buddy.counts[order - LEAST] == 0:
        return _take(buddy, order)
    place = order - LEAST
    count = buddy.counts[place] - 1
    buddy.counts[place] = count
    _count(buddy, order)
    return buddy.quick[place * _QUICK + count]


@hot
def buddy_give(buddy: Buddy, block: int, order: int) -> None:
    """Give back the block of 2**order octets."""
    buddy.used -= 1 << order
    place = order - LEAST
    count = buddy.counts[place]
    if count >= _quick_room(order):
        _join(buddy, block, order)
        return
    buddy.quick[place * _QUICK + count] = block
    buddy.counts[place] = count + 1


@cold
def buddy_settle(buddy: Buddy) -> None:
    """Join what the quick lists hold with its buddies, as before a take that would fail."""
    for place in range(_ORDERS):
        for k in range(buddy.counts[place]):
            _join(buddy, buddy.quick[place * _QUICK + k], LEAST + place)
        buddy.counts[place] = 0


@cold
def _take(buddy: Buddy, order: int) -> int:
    """Take a block that is on no quick list."""
    block = 0
    if order <= MOST:
        block = _cut(buddy, order)
        if block == 0:
            buddy_settle(buddy)
            block = _cut(buddy, order)
    if block == 0:
        buddy.refused += 1
        return 0
    _count(buddy, order)
    return block


@hot
def _cut(buddy: Buddy, order: int) -> int:
    """A block out of the smallest free one that is large enough (TAOCP 2.5, algorithm R); 0 when there is none."""
    while buddy.waiting >> order == 0:
        if not _grow(buddy):
            return 0
    size = order + trailing_zeros(buddy.waiting >> order)
    block = buddy.free[size - LEAST]
    _unlink(buddy, block, size)
    while size > order:
        size -= 1
        _link(buddy, block + (1 << (size - LEAST)), size)
    return block


@cold
def _join(buddy: Buddy, block: int, order: int) -> None:
    """Make the block free, as one with its buddy when that is free too, and so on (TAOCP 2.5, algorithm S)."""
    while order < MOST:
        other = block ^ 1 << (order - LEAST)
        if other >= buddy.fresh or buddy.states[other] != order:
            break
        _unlink(buddy, other, order)
        block = min(block, other)
        order += 1
    _link(buddy, block, order)


@hot
def _grow(buddy: Buddy) -> bool:
    """Make the next stretch of fresh memory free, or the largest block that is left of it; False at the end."""
    block = buddy.fresh
    if block == buddy.end:
        return False
    order = min(MOST, LEAST + 63 - leading_zeros(buddy.end - block))
    buddy.fresh = block + (1 << (order - LEAST))
    _link(buddy, block, order)
    return True


@hot
def _link(buddy: Buddy, block: int, order: int) -> None:
    """Put the block at the head of its order's list."""
    following = buddy.free[order - LEAST]
    head = FreeBlock(buddy_address(buddy, block))
    head.next, head.previous = following, 0
    if following != 0:
        FreeBlock(buddy_address(buddy, following)).previous = block
    buddy.free[order - LEAST] = block
    buddy.states[block] = order
    buddy.waiting |= 1 << order


@hot
def _unlink(buddy: Buddy, block: int, order: int) -> None:
    """Take the block out of its order's list."""
    head = FreeBlock(buddy_address(buddy, block))
    following, previous = head.next, head.previous
    if following != 0:
        FreeBlock(buddy_address(buddy, following)).previous = previous
    if previous != 0:
        FreeBlock(buddy_address(buddy, previous)).next = following
    else:
        buddy.free[order - LEAST] = following
        if following == 0:
            buddy.waiting &= ~(1 << order)
    buddy.states[block] = 0


@leaf
def buddy_states(octets: int) -> int:
    """Octets of state that so many octets of memory need."""
    return octets >> LEAST


@hot
def buddy_open(buddy: Buddy, base: int, states: int, octets: int) -> None:
    """Make `octets` at the address `base` (a multiple of 64) free, with `buddy_states(octets)` octets at `states`.

    `octets` is a multiple of 256, below 1 TiB. What memory and states hold does not matter; neither is touched yet.
    """
    fill(buddy.address, 0, Buddy.SIZE)
    buddy.base, buddy.states = base - STRETCH, array_at(u8, states - _FIRST)
    buddy.limit = octets
    buddy.fresh, buddy.end = _FIRST, _FIRST + (octets >> LEAST)


@hot
def buddy_lay(layout: Layout, octets: int) -> int:
    """The address of a new Buddy with `octets` (a multiple of 256) of memory; 0: no room. The memory begins a page."""
    buddy = lay(layout, Buddy.SIZE, Buddy.ALIGN)
    states = lay(layout, buddy_states(octets), 64)
    base = lay(layout, octets, 4096)
    if layout.full != 0:
        return 0
    buddy_open(Buddy(buddy), base, states, octets)
    return buddy


def create_buddy(arena: Arena, name: str, octets: int, owner: int = -1) -> Buddy:
    """A Buddy with all its memory free, `octets` rounded up to 8 MiB, in tables `name`.* of the arena.

    Only addresses are taken up; memory comes page by page when it is first touched.
    """
    stretches = -(-octets // STRETCH)
    table: Array[Any] = arena.table(f"{name}.buddy", Buddy, 1, owner)
    buddy: Buddy = table[0]
    base = arena.table(f"{name}.blocks", Stretch, stretches, owner)
    states = arena.table(f"{name}.states", u8, buddy_states(stretches * STRETCH), owner)
    buddy_open(buddy, base.address, states.address, stretches * STRETCH)
    return buddy
