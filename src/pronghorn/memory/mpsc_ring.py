"""A ring with many producers and one consumer, in which a producer that dies or stalls holds nobody up for long.

A producer reserves slots by moving `tail` with compare-and-exchange, then publishes each slot (after Vyukov's bounded
queue, 2010). The slot is a single word: 48 bits of entry (a user-space address or an index) under a 15-bit lap number,
so that entry and "it is there" are one store, and publishing can itself be a compare-and-exchange.

That is what makes a stalled producer harmless. When the consumer has waited `patience` at a reserved slot, it
revokes every slot that was reserved by the time the wait began and is still not published: it puts its own lap
number there, with no entry, and goes on. The producer's exchange then fails if it ever comes back, it is told that the
entry was not taken, and it cannot touch a slot of a later lap. So reading is held up by at most `patience` per stall,
however many slots the producer had reserved, and the price is an exchange per entry instead of a plain store.

Left out: producers that do not trust each other. They share `tail`; a hostile one can fill or starve the ring (the
consumer still terminates), so a process that is not trusted gets a ring of its own.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    View,
    array_at,
    au32,
    au64,
    compare_exchange64,
    entry,
    fence,
    field,
    fill,
    hot,
    leaf,
    u32,
    u64,
)

MPSC_HEADER = 128
ENTRY = (1 << 48) - 1
_LAPS = 0x7FFF
_TRIES = 64


class MpscRing(View, align=64, size=MPSC_HEADER):
    """The shared part; slots of 8 octets follow it."""

    tail: au64  # slots ever reserved; moved by the producers
    head: au64 = field(align=64)  # slots ever passed; written by the consumer
    dozing: au32  # 1 while the consumer asks for a wake-up


class MpscEnd(View, align=64, size=128):
    """A producer's or the consumer's own view. Written by its owner alone."""

    ring: u64  # address of the MpscRing
    slots: Array[au64]
    size: u64  # slots: a power of two
    order: u32  # its logarithm
    broken: u32  # 1 when an index in the ring was impossible
    full: u64  # producer: pushes that did not find room for everything
    lost: u64  # producer: entries not taken because their slots were revoked
    mine: u64  # consumer: slots passed
    revoked: u64  # consumer: slots given up
    patience: u64  # consumer: ns to wait at a slot that is reserved and not published
    stuck_at: u64  # consumer: slot at which it waits, plus 1; 0 when it does not
    stuck_since: u64  # consumer: ns when that began
    stuck_tail: u64  # consumer: slots that were reserved by then


@leaf
def mpsc_octets(size: int) -> int:
    """Memory for a ring of `size` slots."""
    return MPSC_HEADER + 8 * size


@hot
def mpsc_reset(ring: MpscRing, size: int) -> None:
    """Make the ring empty. Nobody may use it."""
    fill(ring.address, 0, mpsc_octets(size))


@hot
def mpsc_open(end: MpscEnd, ring: MpscRing, size: int, patience: int) -> None:
    """Begin using a ring of `size` slots (a power of two). The consumer opens it fresh; producers come at any time."""
    fill(end.address, 0, MpscEnd.SIZE)
    end.ring, end.size, end.patience = ring.address, size, patience
    end.slots = array_at(au64, ring.address + MPSC_HEADER)
    while 1 << end.order < size:
        end.order += 1


@entry
def mpsc_push(end: MpscEnd, entries: Array[u64], count: int) -> int:
    """Append up to `count` entries of 48 bits; returns how many were taken, and puts these first in `entries`."""
    first, room = _reserve(end, count)
    lost = 0
    for k in range(room):
        if not _publish(end, first + k, entries[k]):
            entries[lost] = entries[k]  # what stood there has been taken
            lost += 1
    for k in range(lost):
        entries[room - 1 - k] = entries[lost - 1 - k]
    end.lost += lost
    if room < count:
        end.full += 1
    return room - lost


@hot
def mpsc_pop(end: MpscEnd, to: Array[u64], room: int, now: int) -> int:
    """Take up to `room` entries, in order of reservation; returns how many. `now` in ns tells how long a wait lasts."""
    mine, count, mask = end.mine, 0, end.size - 1
    slots = end.slots
    while count < room:
        slot = slots[mine & mask]
        if slot >> 48 != _lap(end, mine):
            if not _give_up(end, mine, now):
                break
            if compare_exchange64(slots.address + 8 * (mine & mask), slot, _lap(end, mine) << 48):
                end.revoked += 1
                mine += 1
            continue  # otherwise it was published just now
        to[count] = slot & ENTRY
        count += 1
        mine += 1
    if mine != end.mine:
        end.mine = mine
        MpscRing(end.ring).head = mine
    return count


@leaf
def mpsc_waiting(end: MpscEnd) -> bool:
    """Consumer: whether there is something to pop, or a slot to wait for."""
    return end.broken == 0 and MpscRing(end.ring).tail != end.mine


@hot
def mpsc_doze(end: MpscEnd) -> bool:
    """Consumer, before it sleeps: ask for a wake-up. False when something came meanwhile: do not sleep."""
    MpscRing(end.ring).dozing = 1
    fence()  # the producer stores its slot, then loads dozing: one of us sees the other
    if mpsc_waiting(end):
        MpscRing(end.ring).dozing = 0
        return False
    return True


@entry
def mpsc_must_wake(end: MpscEnd) -> bool:
    """Producer, after it pushed: whether the consumer sleeps and is to be woken."""
    fence()
    ring = MpscRing(end.ring)
    if ring.dozing == 0:
        return False
    ring.dozing = 0
    return True


@leaf
def _lap(end: MpscEnd, position: int) -> int:
    """The lap number of a slot that is there: never 0 in the first lap, so that zeroed memory is empty."""
    return ((position >> end.order) + 1) & _LAPS


@hot
def _reserve(end: MpscEnd, count: int) -> tuple[int, int]:
    """Claim up to `count` slots: the first one's position, and how many."""
    ring = MpscRing(end.ring)
    for _ in range(_TRIES):
        head = ring.head  # before tail, so that tail is never behind it
        tail = ring.tail
        if head < 0 or tail < head:
            end.broken = 1
            return 0, 0
        room = min(count, end.size - (tail - head))
        if room <= 0:
            return 0, 0
        if compare_exchange64(ring.address, tail, tail + room):
            return tail, room
    return 0, 0  # everybody else is faster: the same as full


@leaf
def _publish(end: MpscEnd, position: int, entry: int) -> bool:
    """Put the entry into its slot; False when the consumer has revoked it."""
    place = position & (end.size - 1)
    old = end.slots[place]
    lap = _lap(end, position)
    if old >> 48 != (lap - 1) & _LAPS:
        return False
    return compare_exchange64(end.slots.address + 8 * place, old, lap << 48 | (entry & ENTRY))


@hot
def _give_up(end: MpscEnd, position: int, now: int) -> bool:
    """The slot at `position` is not published. Whether it is to be revoked: reserved, and waited for long enough."""
    if end.stuck_at != 0 and now - end.stuck_since >= end.patience and position < end.stuck_tail:
        return True
    tail = MpscRing(end.ring).tail
    if tail < position or tail > position + end.size:
        end.broken = 1
        tail = position
    if tail == position:
        end.stuck_at = 0
    elif end.stuck_at != position + 1:
        end.stuck_at, end.stuck_since, end.stuck_tail = position + 1, now, tail
    return False
