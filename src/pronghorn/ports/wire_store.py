"""One direction of a simulated wire: the frames in flight, in order of arrival, and what is set and counted.

The octets of a frame in flight lie in a slot of the wire's own memory: the sender's packet is free at once, and the
receiver takes one of its own. Slots are handed out last in, first out, so a lane that holds few frames touches little
memory. A binary heap orders the frames by the time at which they arrive; those of the same nanosecond keep the order
in which they were put in. Everything is bounded by the number of slots.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, au32, compare_exchange32, copy, field, hot, leaf, pause, u16, u32, u64

SLOT_BITS = 20
"""Bits of a slot's number; what is above them in WireDue.order counts the frames."""
MOST_SLOTS = 1 << SLOT_BITS
_NO_SLOT = 0xFFFFFFFF


class WireDue(View, align=16, size=16):
    """An entry of the heap: a frame in flight."""

    when: u64  # ns: when it arrives
    order: u64  # count of frames << SLOT_BITS | its slot


class WireFrame(View, align=16, size=16):
    """What is known of the frame in a slot."""

    length: u32  # octets
    flags: u16  # of Packet.flags: CHECKSUM_PARTIAL, UNSEGMENTED
    gso_size: u16
    next: u32  # of a free slot: the next free one, or _NO_SLOT
    unused: u32


class WireStart(View, align=16, size=16):
    """A frame that waits for its turn on the line."""

    when: u64  # ns: when its first bit leaves
    octets: u64


class WireLane(View, align=64):
    """One direction. The control plane writes what is set; whoever sends or receives holds `lock` for the rest."""

    # set; 0 means without
    rate: u64  # bit/s of the line
    overhead: u64  # octets added to each frame's length on the line: preamble, checksum, gap
    delay: u64  # ns from the last bit sent to arrival
    jitter: u64  # ns: delay is drawn evenly from delay - jitter to delay + jitter
    queue_octets: u64  # that may wait for the line; a frame beyond is dropped
    queue_frames: u64
    mark_octets: u64  # waiting, from which on frames of ECN-capable transports are marked (RFC 3168)
    reorder_delay: u64  # ns: delay of frames that `reorder` picks
    loss: u32  # parts per million, as are those that follow
    burst_begin: u32  # Gilbert-Elliott model: chance per frame that a bad time begins
    burst_end: u32  # that it ends
    burst_loss: u32  # loss in bad times
    duplicate: u32
    reorder: u32
    corrupt: u32  # frames of which one bit is turned
    keep_order: u32  # 1: jitter never lets a frame overtake another
    # laid out once
    heap: Array[WireDue] = field(align=64)
    frames: Array[WireFrame]
    starts: Array[WireStart]  # a ring
    store: u64  # address of slot 0's octets
    stride: u64  # octets from one slot to the next
    slots: u32  # also the places in `starts`
    longest: u32  # octets of an ordinary frame
    # moving
    lock: au32 = field(align=64)
    bad: u32  # 1 in bad times
    waiting: u32  # frames in flight
    touched: u32  # slots that have been used
    free: u32  # first free slot of those, plus 1; 0 when there is none
    start_head: u32
    start_count: u32
    unused: u32
    random: u64 = field(align=64)  # state of the generator
    busy_until: u64  # ns: when the line is free
    carry: u64  # the part of a nanosecond beyond busy_until, in units of 1/rate ns
    queued_octets: u64  # that wait for the line
    last_due: u64  # ns: latest arrival so far, for keep_order
    order: u64  # frames ever put into the heap
    # counts
    sent: u64 = field(align=64)  # frames given to this direction
    octets: u64  # in them
    dropped: u64  # no room in the queue, or no slot
    lost: u64
    duplicated: u64
    reordered: u64
    corrupted: u64
    marked: u64
    delivered: u64  # frames taken out
    unfit: u64  # arrived, and the receiver had no packet for it


_LOCK = WireLane.offset("lock")


@leaf
def lane_enter(lane: WireLane) -> None:
    """Hold the lane's lock; for a burst at most."""
    while not compare_exchange32(lane.address + _LOCK, 0, 1):
        pause()


@leaf
def lane_leave(lane: WireLane) -> None:
    """Let go of it."""
    lane.lock = 0


@leaf
def lane_next(lane: WireLane) -> int:
    """When (ns) the first frame in flight arrives; -1 when there is none."""
    return lane.heap[0].when if lane.waiting != 0 else -1


@leaf
def lane_first(lane: WireLane) -> int:
    """Slot of the frame that arrives first; there is one."""
    return lane.heap[0].order & MOST_SLOTS - 1


@leaf
def lane_octets(lane: WireLane, slot: int) -> int:
    """Address of the octets in a slot."""
    return lane.store + slot * lane.stride


@hot
def lane_put(lane: WireLane, address: int, length: int, flags: int, gso_size: int, when: int) -> int:
    """Copy a frame, at most `stride` octets, into the lane, to arrive at `when`; returns its slot, -1 without one."""
    slot = lane.free - 1
    if slot >= 0:
        following = lane.frames[slot].next
        lane.free = 0 if following == _NO_SLOT else following + 1
    elif lane.touched < lane.slots:
        slot = lane.touched
        lane.touched += 1
    else:
        return -1
    frame = lane.frames[slot]
    frame.length, frame.flags, frame.gso_size = length, flags, gso_size
    copy(lane_octets(lane, slot), address, length)
    lane.order += 1
    _push(lane, when, lane.order << SLOT_BITS | slot)
    return slot


@leaf
def lane_drop_first(lane: WireLane) -> None:
    """Free the frame that arrives first; there is one."""
    slot = lane_first(lane)
    lane.frames[slot].next = _NO_SLOT if lane.free == 0 else lane.free - 1
    lane.free = slot + 1
    _pop(lane)


@hot
def lane_clear(lane: WireLane) -> None:
    """Forget all that is in flight or waits for the line; settings, counts and the generator stay."""
    lane.waiting, lane.touched, lane.free, lane.last_due = 0, 0, 0, 0
    lane.start_head, lane.start_count, lane.queued_octets, lane.busy_until, lane.carry = 0, 0, 0, 0, 0


@hot
def _push(lane: WireLane, when: int, order: int) -> None:
    heap, place = lane.heap, lane.waiting
    lane.waiting = place + 1
    while place > 0:
        above = heap[place - 1 >> 1]
        if above.when < when or (above.when == when and above.order < order):
            break
        heap[place].when, heap[place].order = above.when, above.order
        place = place - 1 >> 1
    heap[place].when, heap[place].order = when, order


@hot
def _pop(lane: WireLane) -> None:
    """Take the first entry off: the last one sinks from its place."""
    heap, count = lane.heap, lane.waiting - 1
    lane.waiting = count
    when, order = heap[count].when, heap[count].order
    place, child = 0, 1
    while child < count:
        low = heap[child]
        if child + 1 < count:
            right = heap[child + 1]
            if right.when < low.when or (right.when == low.when and right.order < low.order):
                child += 1
                low = heap[child]
        if when < low.when or (when == low.when and order < low.order):
            break
        heap[place].when, heap[place].order = low.when, low.order
        place, child = child, 2 * child + 1
    heap[place].when, heap[place].order = when, order
