"""Small ordered arrays of 1 to 64 equal elements, many of them in one table: what a trie's nodes keep their children
in.

An array is named by the number of its first element and lives in a block of the next power of two. Inserting or
removing an element shifts what follows it, or moves the array to a block of the next size: at most 64 elements are
copied. Blocks that were given back wait in one list per size.

The owner knows each array's length. Elements are at least 4 octets, and new ones are zero.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, fill, fixed, hot, leading_zeros, leaf, load32, move, store32, u32, u64

_CLASSES = 7


class Blocks(View, align=64, size=64):
    """A table of blocks. Written by its owner alone."""

    base: u64  # address of element 0, which is not used
    octets: u32  # in an element
    limit: u32  # elements in the table
    fresh: u32  # elements ever used
    free: Array[u32] = fixed(_CLASSES)  # first free block of 1, 2, 4 ... 64 elements; 0 when there is none


@hot
def blocks_open(blocks: Blocks, base: int, octets: int, limit: int) -> None:
    """An empty table of `limit` elements at the address `base`."""
    fill(blocks.address, 0, Blocks.SIZE)
    blocks.base, blocks.octets, blocks.limit, blocks.fresh = base, octets, limit, 1


@hot
def blocks_insert(blocks: Blocks, first: int, length: int, place: int) -> int:
    """Insert a zero element at `place` of an array of `length`; returns where the array lies now, 0: no room."""
    octets = blocks.octets
    size = _class(length + 1)
    target = first
    if length == 0 or size != _class(length):
        target = _take(blocks, size)
        if target == 0:
            return 0
        copy(_at(blocks, target), _at(blocks, first), place * octets)
    move(_at(blocks, target + place + 1), _at(blocks, first + place), (length - place) * octets)
    if length != 0 and target != first:
        _give(blocks, first, _class(length))
    fill(_at(blocks, target + place), 0, octets)
    return target


@hot
def blocks_remove(blocks: Blocks, first: int, length: int, place: int) -> int:
    """Remove the element at `place` of an array of `length`; returns where the array lies now, 0: it is empty."""
    octets = blocks.octets
    move(_at(blocks, first + place), _at(blocks, first + place + 1), (length - place - 1) * octets)
    if length == 1:
        _give(blocks, first, 0)
        return 0
    size = _class(length - 1)
    if size == _class(length):
        return first
    target = _take(blocks, size)
    if target == 0:  # no room to move to: the array keeps the lower half of its block
        _give(blocks, first + (1 << size), size)
        return first
    copy(_at(blocks, target), _at(blocks, first), (length - 1) * octets)
    _give(blocks, first, size + 1)
    return target


@leaf
def _at(blocks: Blocks, number: int) -> int:
    return blocks.base + number * blocks.octets


@leaf
def _class(length: int) -> int:
    """The logarithm of the smallest power of two that `length` elements fit in."""
    return 64 - leading_zeros(length - 1)


@hot
def _take(blocks: Blocks, size: int) -> int:
    """A block of 2**size elements, or 0."""
    number = blocks.free[size]
    if number != 0:
        blocks.free[size] = load32(_at(blocks, number))
        return number
    number = blocks.fresh
    if number + (1 << size) <= blocks.limit:
        blocks.fresh = number + (1 << size)
        return number
    return _take_half(blocks, size)


@hot
def _take_half(blocks: Blocks, size: int) -> int:
    """The table is used up: cut a larger free block. 0 when there is none."""
    for larger in range(size + 1, _CLASSES):
        number = blocks.free[larger]
        if number != 0:
            blocks.free[larger] = load32(_at(blocks, number))
            for half in range(size, larger):
                _give(blocks, number + (1 << half), half)
            return number
    return 0


@leaf
def _give(blocks: Blocks, number: int, size: int) -> None:
    store32(_at(blocks, number), blocks.free[size])
    blocks.free[size] = number
