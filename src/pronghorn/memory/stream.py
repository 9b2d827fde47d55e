"""The octets of a byte stream that wait to be sent, acknowledged or read: a ring inside a block of the buddy allocator.

The octet at position `s` (a sequence number, modulo 2**32) lies at s modulo the ring's size, a power of two. So a
position stays a position when the ring grows: each octet is copied once, and nothing is counted anew. It grows to a
power of two, so a stream that grew to n octets has copied fewer than 2n. An idle stream has no ring: its descriptor is
8 zero octets.

    stream_reserve(buddy, stream, una, end - una, end - una + octets)      # False: no memory
    stream_put(buddy, stream, end, source, octets)
    stream_get(buddy, stream, una, target, octets)
    stream_free(buddy, stream)

Rules:
* The owner knows which positions hold octets, and that what it puts fits: the ring does not.
* A ring has 256 octets to 8 MiB. A piece of it is at most two stretches of memory.
* Memory that is lent (stream_lend) is not given back, though the stream moves away or ends, before its return.
"""

from __future__ import annotations

from pronghorn.compiled import View, cold, copy, hot, leaf, u8, u16, u32
from pronghorn.memory.buddy import Buddy, buddy_address, buddy_give, buddy_take, order_for

LENT = 128
"""In Stream.order: somebody else looks at the memory, or writes it."""
_ORDER = 31


class Stream(View, align=8, size=8):
    """Embedded in the owner's record. All zero when it has no memory."""

    block: u32  # in the Buddy; 0: no memory
    order: u8  # log2 of the ring's octets, and LENT
    owner8: u8  # of no meaning here: the owner's own
    owner16: u16


@leaf
def stream_size(stream: Stream) -> int:
    """Octets that the ring can hold; 0 when there is none."""
    return 1 << (stream.order & _ORDER) if stream.block != 0 else 0


@leaf
def _at(buddy: Buddy, stream: Stream, position: int) -> int:
    """Address of the octet at `position`."""
    return buddy_address(buddy, stream.block) + (position & ((1 << (stream.order & _ORDER)) - 1))


@leaf
def _left(stream: Stream, position: int) -> int:
    """Octets from `position` to where the ring's memory ends."""
    size = 1 << (stream.order & _ORDER)
    return size - (position & (size - 1))


@hot
def stream_reserve(buddy: Buddy, stream: Stream, first: int, used: int, wanted: int) -> bool:
    """Let the ring hold at least `wanted` octets, keeping the `used` ones from `first` on (at most `wanted`).

    False, and nothing has changed, when there is no memory.
    """
    if wanted <= stream_size(stream):
        return True
    if stream.block != 0:
        return _resize(buddy, stream, first, used, order_for(wanted))
    return _begin(buddy, stream, order_for(wanted))


@leaf
def _begin(buddy: Buddy, stream: Stream, order: int) -> bool:
    """A ring of 2**order octets for a stream that has none; False: no memory."""
    block = buddy_take(buddy, order)
    if block == 0:
        return False
    stream.block, stream.order = block, order
    return True


@hot
def stream_shrink(buddy: Buddy, stream: Stream, first: int, used: int) -> int:
    """Give memory back when at most a quarter of the ring is used; returns how many octets.

    `used` octets from `first` on are kept, all that the ring holds, also beyond gaps. What is kept can double before
    the ring must grow again.
    """
    size = stream_size(stream)
    if size == 0:
        return 0
    if used == 0:
        stream_free(buddy, stream)
        return size
    order = order_for(2 * used)
    if order >= stream.order & _ORDER or not _resize(buddy, stream, first, used, order):
        return 0
    return size - (1 << order)


@hot
def stream_put(buddy: Buddy, stream: Stream, position: int, source: int, octets: int) -> None:
    """Copy `octets` from the address `source` to `position`. They fit into the ring."""
    if octets <= 0:
        return
    head = min(octets, _left(stream, position))
    copy(_at(buddy, stream, position), source, head)
    if head < octets:
        copy(buddy_address(buddy, stream.block), source + head, octets - head)


@hot
def stream_get(buddy: Buddy, stream: Stream, position: int, target: int, octets: int) -> None:
    """Copy the `octets` at `position` to the address `target`. They are not more than the ring holds."""
    if octets <= 0:
        return
    head = min(octets, _left(stream, position))
    copy(target, _at(buddy, stream, position), head)
    if head < octets:
        copy(target + head, buddy_address(buddy, stream.block), octets - head)


@leaf
def stream_piece(buddy: Buddy, stream: Stream, position: int, octets: int) -> tuple[int, int]:
    """Where the octets at `position` lie: an address, and how many of `octets` lie there in one piece."""
    return _at(buddy, stream, position), min(octets, _left(stream, position))


@hot
def stream_free(buddy: Buddy, stream: Stream) -> None:
    """Give the ring's memory back, if it has any."""
    if stream.block != 0:
        if stream.order & LENT == 0:
            buddy_give(buddy, stream.block, stream.order)
        stream.block, stream.order = 0, 0


@leaf
def stream_lend(stream: Stream) -> int:
    """Lend the ring's memory, which is not lent yet: its order. `stream_returned` is to follow some time."""
    order = stream.order
    stream.order = order | LENT
    return order


@hot
def stream_returned(buddy: Buddy, stream: Stream, block: int, order: int) -> None:
    """The memory `block` that the stream has lent is not looked at any more."""
    if stream.block == block and stream.order & LENT != 0:
        stream.order = order
    else:
        buddy_give(buddy, block, order)


@cold
def _resize(buddy: Buddy, stream: Stream, first: int, used: int, order: int) -> bool:
    """Move the `used` octets from `first` on, which fit, into a ring of 2**order octets; False: no memory."""
    block = buddy_take(buddy, order)
    if block == 0:
        return False
    base, size = buddy_address(buddy, block), 1 << order
    while used > 0:  # three pieces at most: either ring wraps once
        inside = first & (size - 1)
        piece = min(min(used, size - inside), _left(stream, first))
        copy(base + inside, _at(buddy, stream, first), piece)
        first += piece
        used -= piece
    stream_free(buddy, stream)
    stream.block, stream.order = block, order
    return True
