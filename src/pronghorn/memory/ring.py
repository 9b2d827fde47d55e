"""A ring between one producer and one consumer (Lamport 1977), in memory that both sides map.

    Ring     head, tail and the slots: shared, anywhere, and never believed
    RingEnd  one side's own view of it, in memory that the other side cannot write

Both indexes count entries for ever and are taken modulo the size only to find a slot; each is written by one side (with
release) and read by the other (with acquire) only when its last known value no longer suffices, so that in the steady
state a line changes hands once per burst, not once per entry (the "cached index" of FastForward and MCRingBuffer).

The other side may be hostile or crashed. Where the ring lies, how large it is and this side's own index are kept in the
RingEnd. An index that runs backwards or leaves the ring sets `broken`; from then on the ring reads as empty and as
full. What an entry says is for the caller to check.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, array_at, au32, au64, fence, field, fill, hot, leaf, u32, u64

RING_HEADER = 128


class Ring(View, align=64, size=RING_HEADER):
    """The part that both sides map; slots of 8 octets follow it."""

    tail: au64  # entries ever pushed; written by the producer
    head: au64 = field(align=64)  # entries ever popped; written by the consumer
    dozing: au32  # 1 while the consumer asks for a wake-up; set by the consumer, cleared by either


class RingEnd(View, align=64, size=64):
    """One side's own view. Written by that side alone."""

    ring: u64  # address of the Ring
    slots: Array[u64]
    size: u64  # entries that fit: a power of two
    mine: u64  # entries this side has pushed (popped)
    other: u64  # entries the other side had popped (pushed) when last looked at
    full: u64  # pushes that did not find room for everything
    broken: u32  # 1 when the other side's index was impossible


@leaf
def ring_octets(size: int) -> int:
    """Memory for a ring of `size` entries."""
    return RING_HEADER + 8 * size


@hot
def ring_reset(ring: Ring) -> None:
    """Make the ring empty. Neither side may be open."""
    fill(ring.address, 0, RING_HEADER)


@hot
def ring_open(end: RingEnd, ring: Ring, size: int) -> None:
    """Begin using a fresh ring of `size` entries (a power of two) from one side."""
    fill(end.address, 0, RingEnd.SIZE)
    end.ring, end.size = ring.address, size
    end.slots = array_at(u64, ring.address + RING_HEADER)


@hot
def ring_push(end: RingEnd, entries: Array[u64], count: int) -> int:
    """Append up to `count` entries; returns how many there was room for."""
    mine = end.mine
    if end.size - (mine - end.other) < count and not _look(end, Ring(end.ring).head, mine):
        return 0
    room = end.size - (mine - end.other)
    if room < count:
        end.full += 1
        count = room
    mask = end.size - 1
    slots = end.slots
    for k in range(count):
        slots[(mine + k) & mask] = entries[k]
    end.mine = mine + count
    Ring(end.ring).tail = mine + count
    return count


@hot
def ring_pop(end: RingEnd, to: Array[u64], room: int) -> int:
    """Take up to `room` entries, oldest first; returns how many there were."""
    mine = end.mine
    if end.other - mine < room and not _look(end, Ring(end.ring).tail, mine + end.size):
        return 0
    count = min(end.other - mine, room)
    if count == 0:
        return 0
    mask = end.size - 1
    slots = end.slots
    for k in range(count):
        to[k] = slots[(mine + k) & mask]
    end.mine = mine + count
    Ring(end.ring).head = mine + count
    return count


@leaf
def ring_waiting(end: RingEnd) -> bool:
    """Consumer: whether there is something to pop (or to find out)."""
    return end.broken == 0 and Ring(end.ring).tail != end.mine


@hot
def ring_doze(end: RingEnd) -> bool:
    """Consumer, before it sleeps: ask for a wake-up. False when something came meanwhile: do not sleep."""
    Ring(end.ring).dozing = 1
    fence()  # the producer stores tail, then loads dozing: one of us sees the other
    if ring_waiting(end):
        Ring(end.ring).dozing = 0
        return False
    return True


@hot
def ring_must_wake(end: RingEnd) -> bool:
    """Producer, after it pushed: whether the consumer sleeps and is to be woken. True once per sleep."""
    fence()
    ring = Ring(end.ring)
    if ring.dozing == 0:
        return False
    ring.dozing = 0
    return True


@leaf
def _look(end: RingEnd, other: int, limit: int) -> bool:
    """Believe the other side's index when it can be true: between what it was and `limit`."""
    if end.broken != 0 or other < end.other or other > limit:
        end.broken = 1
        return False
    end.other = other
    return True
