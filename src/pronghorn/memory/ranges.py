"""Ranges of sequence numbers: what a TCP receiver holds beyond a gap, sorted, disjoint and at most 1024.

A range is half open, [left, right), modulo 2**32; all of a set lie within 2**31 of each other, so that "before" has a
meaning (compiled/sequence.py). Ranges that touch are one. They lie in one block of the buddy allocator, in order; the
descriptor also keeps which of them changed last, for the order in which SACK reports them (RFC 2018 section 4).

    ranges_add(buddy, beyond, seq, seq + octets, 256)         # ADDED, PRESENT or REFUSED
    rcv_nxt = ranges_advance(buddy, beyond, rcv_nxt)          # after the gap was filled
    blocks = ranges_sack(buddy, beyond, target, 3)

Rules:
* Adding finds its place in O(log n), then moves what follows, at most 8 KiB. Ranges that are joined are gone, so a walk
  over them is paid for by the segments that made them.
* A set that is full takes only what touches a range that is there: a sender of one-octet segments wins nothing.
* The block grows with the set and is given back when that is empty. An empty descriptor is 16 zero octets.

Left out: shrinking the block before the set is empty; taking a piece out of the middle.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, fixed, hot, leaf, move, sequence, u8, u16, u32
from pronghorn.memory.buddy import Buddy, buddy_address, buddy_give, buddy_take, order_for

MOST_RANGES = 1024
"""No set holds more, whatever limit its owner gives."""

REFUSED, ADDED, PRESENT = 0, 1, 2
"""What came of ranges_add: no place; something is new; all of it was there."""

_RECENT = 4


class Range(View, align=4, size=8):
    """The positions from `left` to the one before `right`."""

    left: u32
    right: u32


class Ranges(View, align=8, size=16):
    """A set, embedded in the owner's record. All zero when it is empty."""

    block: u32  # in the Buddy; 0: no memory
    count: u16  # ranges
    order: u8  # log2 of the block's octets
    recents: u8  # entries of `recent`
    recent: Array[u16] = fixed(_RECENT)  # indexes of the ranges that changed last, the latest first


@leaf
def _at(buddy: Buddy, ranges: Ranges, index: int) -> Range:
    """The range `index`, in order of position."""
    return Range(buddy_address(buddy, ranges.block) + index * Range.SIZE)


@hot
def ranges_add(buddy: Buddy, ranges: Ranges, left: int, right: int, limit: int) -> int:
    """Add the positions from `left` to before `right`: ADDED, or PRESENT when the set holds them all already.

    REFUSED, and nothing has changed, when this would be one range more than `limit`, or when there is no memory.
    """
    if sequence.difference(right, left) <= 0:
        return PRESENT
    first = _search(buddy, ranges, left)
    last = first
    low, high = left, right
    while last < ranges.count:
        entry = _at(buddy, ranges, last)
        if sequence.after(entry.left, right):
            break
        if last == first and sequence.before(entry.left, low):
            low = entry.left
        if sequence.after(entry.right, high):
            high = entry.right
        last += 1
    if first == last:
        if ranges.count >= min(limit, MOST_RANGES) or not _reserve(buddy, ranges):
            return REFUSED
        _shift(buddy, ranges, first, first, 1)
    else:
        entry = _at(buddy, ranges, first)
        if low == entry.left and high == entry.right:
            _renumber(ranges, first, last, 0)
            _put_first(ranges, first)
            return PRESENT
        _shift(buddy, ranges, first, last, 1)
    changed = _at(buddy, ranges, first)
    changed.left, changed.right = low, high
    _put_first(ranges, first)
    return ADDED


@hot
def ranges_advance(buddy: Buddy, ranges: Ranges, left: int) -> int:
    """Everything before `left` has come: where the next gap begins, `left` or the end of a range that it met.

    The ranges up to there are taken out of the set.
    """
    gone = 0
    while gone < ranges.count:
        entry = _at(buddy, ranges, gone)
        if sequence.after(entry.left, left):
            break
        if sequence.after(entry.right, left):
            left = entry.right
        gone += 1
    if gone != 0:
        _shift(buddy, ranges, 0, gone, 0)
        if ranges.count == 0:
            ranges_free(buddy, ranges)
    return left


@hot
def ranges_sack(buddy: Buddy, ranges: Ranges, target: Array[u32], blocks: int) -> int:
    """Write up to `blocks` (at most 4) ranges as pairs of left and right edge; returns how many.

    RFC 2018 section 4: first the one that changed last, then those that did before it. When fewer are remembered, the
    lowest of the others follow.
    """
    blocks = min(min(blocks, _RECENT), ranges.count)
    done = 0
    while done < blocks and done < ranges.recents:
        _report(buddy, ranges, ranges.recent[done], target, done)
        done += 1
    index = 0
    while done < blocks:
        if not _remembered(ranges, index):
            _report(buddy, ranges, index, target, done)
            done += 1
        index += 1
    return done


@hot
def ranges_end(buddy: Buddy, ranges: Ranges, position: int) -> int:
    """The right edge of the last range; `position` when there is none."""
    return _at(buddy, ranges, ranges.count - 1).right if ranges.count != 0 else position


@hot
def ranges_free(buddy: Buddy, ranges: Ranges) -> None:
    """Empty the set and give its memory back."""
    if ranges.block != 0:
        buddy_give(buddy, ranges.block, ranges.order)
    ranges.block, ranges.order, ranges.count, ranges.recents = 0, 0, 0, 0


@hot
def _search(buddy: Buddy, ranges: Ranges, position: int) -> int:
    """The first range that does not end before `position`; as many as there are when all do."""
    low, high = 0, ranges.count
    if high != 0 and sequence.before(_at(buddy, ranges, high - 1).right, position):
        return high  # most often a segment lies beyond all others
    while low < high:
        middle = (low + high) >> 1
        if sequence.before(_at(buddy, ranges, middle).right, position):
            low = middle + 1
        else:
            high = middle
    return low


@hot
def _shift(buddy: Buddy, ranges: Ranges, first: int, last: int, amount: int) -> None:
    """Let `amount` ranges stand in the place of those from `first` to before `last`, and what follows right behind."""
    after = ranges.count - last
    if after != 0 and first + amount != last:
        target, source = _at(buddy, ranges, first + amount), _at(buddy, ranges, last)
        move(target.address, source.address, after * Range.SIZE)
    ranges.count = first + amount + after
    _renumber(ranges, first, last, first + amount - last)


@hot
def _renumber(ranges: Ranges, first: int, last: int, change: int) -> None:
    """Forget that the ranges from `first` to before `last` changed; those after them get numbers larger by `change`."""
    kept = 0
    for k in range(ranges.recents):
        index = ranges.recent[k]
        if index < first or index >= last:
            ranges.recent[kept] = index if index < last else index + change
            kept += 1
    ranges.recents = kept


@hot
def _put_first(ranges: Ranges, index: int) -> None:
    """Remember that the range, which is not remembered, has just changed."""
    count = min(ranges.recents + 1, _RECENT)
    for k in range(count - 1):
        ranges.recent[count - 1 - k] = ranges.recent[count - 2 - k]
    ranges.recent[0] = index
    ranges.recents = count


@hot
def _remembered(ranges: Ranges, index: int) -> bool:
    """Whether the range is one of those that changed last."""
    for k in range(ranges.recents):
        if ranges.recent[k] == index:
            return True
    return False


@hot
def _report(buddy: Buddy, ranges: Ranges, index: int, target: Array[u32], place: int) -> None:
    """Write the range as pair number `place`."""
    entry = _at(buddy, ranges, index)
    target[2 * place], target[2 * place + 1] = entry.left, entry.right


@hot
def _reserve(buddy: Buddy, ranges: Ranges) -> bool:
    """Let the block have room for one range more; False when there is no memory."""
    octets = ranges.count * Range.SIZE
    if ranges.block != 0 and octets < 1 << ranges.order:
        return True
    order = order_for(octets + Range.SIZE)
    block = buddy_take(buddy, order)
    if block == 0:
        return False
    if ranges.block != 0:
        copy(buddy_address(buddy, block), buddy_address(buddy, ranges.block), octets)
        buddy_give(buddy, ranges.block, ranges.order)
    ranges.block, ranges.order = block, order
    return True
