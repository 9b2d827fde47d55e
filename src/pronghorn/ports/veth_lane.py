"""A user-veth between two processes, the data plane: frames are copied into shared memory and out of it.

Per direction, and per pair of a sending and a receiving queue, there is a lane:

    sides   who is there: a session number of the sender's and one of the receiver's, and each one's echo of the other's
    ring    descriptors (memory/ring.py): place, length and marks of a frame, in one word
    data    LANE_DATA octets, used round and round; a frame lies in one piece. What the receiver has passed is free;
            when that is everything, the next frame lies at the front

No trust: the other process may write anything anywhere in the shared memory at any time, and may die. Every word is
read once and checked before it is used; sizes, places and own positions are kept in memory of one's own (LaneEnd); a
frame is copied out before anyone looks at it. An impossible index or descriptor breaks the lane: this side steps down,
and frames for it end as LINK_BROKEN, until the other side begins a new session.

Sessions. A side that comes sets its own indexes to zero, draws a new session number and echoes the other's. A side that
sees a session number it has not echoed sets its own indexes to zero, then echoes it. A lane is up for whom both numbers
are echoed: so nobody writes before both have begun at zero, whoever died and came back, and in which order.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, au64, copy, entry, fixed, hot, leaf, u32, u64
from pronghorn.memory.ring import RING_HEADER, Ring, RingEnd, ring_open, ring_push
from pronghorn.ports.veth_rings import CONSENT
from pronghorn.state.packet import CHECKSUM_PARTIAL, SMALL_ROOM, UNSEGMENTED, Packet
from pronghorn.state.packets import allocate_for, release
from pronghorn.state.port import Queue
from pronghorn.state.worker import Worker

LANE_RING = 512
"""Frames that may wait in a lane."""

LANE_DATA = 1 << 19
"""Octets of frames that may wait in a lane."""

BATCH = 64
SIDES = 128
LANE = SIDES + RING_HEADER + 8 * LANE_RING + LANE_DATA  # as ring_octets: compiling while importing takes seconds
"""Octets of shared memory per lane."""

LONGEST = 65536 + 18
_ETHERNET = 14
_LINE = 63

# a descriptor: 20 bits of place, 20 of length, 16 of gso_size, 2 of marks
_LENGTH, _GSO, _MARKS = 20, 40, 56
_PARTIAL, _UNSEGMENTED = 1, 2

DOWN, UP, BROKEN = range(3)


class LaneSide(View, align=64, size=64):
    """In shared memory; written by one side."""

    session: au64  # 0: nobody is there
    echo: au64  # the other side's session that this one has made ready for
    consent: u64  # receiver: offloads that it takes, of CHECKSUM_RX, SEGMENTATION


class LaneEnd(View, align=64):
    """One side's own view of a lane. Written by that worker alone, the addresses by the control plane."""

    end: RingEnd
    own: u64  # addresses of the LaneSides and of the Ring
    other: u64
    ring: u64
    data: u64
    session: u64  # our number
    known: u64  # the other's number, as echoed
    consent: u32  # sender: the receiver's; receiver: ours
    sender: u32  # 1: we send
    state: u32
    broken: u32  # times that the other side broke the rules
    written: u64  # sender: octets of data used ever, gaps included
    freed: u64  # sender: of these, what the receiver has passed
    octets: u64  # sender: of frames sent
    marks: Array[u64]  # sender: `written` after each entry of the ring
    entries: Array[u64] = fixed(BATCH, align=64)  # descriptors on their way


@entry
def lane_open(lane: LaneEnd, session: int) -> None:
    """Come: nobody must take what an earlier process left for ours, so its session ends first."""
    side = LaneSide(lane.own)
    side.session = 0
    side.echo = 0
    lane.session, lane.state, lane.known = session, DOWN, 0
    side.consent = lane.consent
    _begin(lane)
    side.session = session


@entry
def lane_close(lane: LaneEnd) -> None:
    """Go: the other side sees it at once."""
    lane.state = DOWN
    LaneSide(lane.own).session = 0


@leaf
def lane_ready(lane: LaneEnd) -> bool:
    """Whether frames can pass. Looks who is there, and begins anew if somebody new is."""
    session = LaneSide(lane.other).session
    return (session == lane.known and lane.state == UP) or _greet(lane, session)


@hot
def _greet(lane: LaneEnd, session: int) -> bool:
    side, other = LaneSide(lane.own), LaneSide(lane.other)
    if session != lane.known:
        if lane.state == BROKEN:
            lane.session += 1
        _begin(lane)
        lane.known = session
        side.session = lane.session
        side.echo = session
    if lane.state == BROKEN or session == 0 or other.echo != lane.session:
        return False
    if lane.sender != 0:
        lane.consent = other.consent & CONSENT
    lane.state = UP
    return True


@hot
def _begin(lane: LaneEnd) -> None:
    """Our half of the lane, empty."""
    ring = Ring(lane.ring)
    ring_open(lane.end, ring, LANE_RING)
    if lane.sender != 0:
        ring.tail = 0
    else:
        ring.head = 0
    lane.state, lane.written, lane.freed = DOWN, 0, 0


@hot
def lane_break(lane: LaneEnd) -> None:
    """The other side broke the rules: no more of it, until it begins a new session."""
    lane.broken += 1
    lane.state = BROKEN
    LaneSide(lane.own).session = 0


# --- sending ----------------------------------------------------------------------------------------------------------


@hot
def lane_send(worker: Worker, lane: LaneEnd, packets: Array[u64], count: int) -> int:
    """Copy up to BATCH frames in; returns how many from the front there was room for. These are freed."""
    _rewind(lane)
    placed = 0
    while placed < min(count, BATCH) and _entry_free(lane, placed):
        packet = Packet(packets[placed])
        at = _room(lane, packet.length)
        if at < 0:
            break
        copy(lane.data + at, packet.data, packet.length)
        lane.entries[placed] = _describe(packet, at)
        lane.marks[(lane.end.mine + placed) & (LANE_RING - 1)] = lane.written
        placed += 1
    if lane.end.broken != 0 or ring_push(lane.end, lane.entries, placed) < placed:
        lane_break(lane)
        return 0
    for place in range(placed):
        lane.octets += Packet(packets[place]).length
        release(worker, Packet(packets[place]))
    return placed


@leaf
def lane_fits(lane: LaneEnd, frames: int, octets: int) -> bool:
    """Whether so many frames will fit, of so many octets together, one of them up to LONGEST."""
    if lane.end.mine + frames - lane.end.other > LANE_RING or _needs(lane, octets) > LANE_DATA:
        _reclaim(lane)
    return lane.end.mine + frames - lane.end.other <= LANE_RING and _needs(lane, octets) <= LANE_DATA


@leaf
def _needs(lane: LaneEnd, octets: int) -> int:
    """Octets of data in use with so many more."""
    at = lane.written & (LANE_DATA - 1)
    skip = LANE_DATA - at if at + octets + _LINE > LANE_DATA else 0
    return lane.written + skip + octets + _LINE - lane.freed


@hot
def lane_begin(lane: LaneEnd, octets: int) -> int:
    """Take room for one frame: its address, for lane_end; 0: there is none."""
    _rewind(lane)
    at = _room(lane, octets) if _entry_free(lane, 0) else -1
    return lane.data + at if at >= 0 else 0


@hot
def lane_end(lane: LaneEnd, packet: Packet, place: int, octets: int) -> bool:
    """The frame at `place` is there, but for its headers, which the packet has: it goes. False: the lane broke.

    The packet is still the caller's; it is as long as the frame now.
    """
    copy(place, packet.data, packet.length)
    packet.length = octets
    lane.entries[0] = _describe(packet, place - lane.data)
    lane.marks[lane.end.mine & (LANE_RING - 1)] = lane.written
    if lane.end.broken != 0 or ring_push(lane.end, lane.entries, 1) < 1:
        lane_break(lane)
        return False
    lane.octets += octets
    return True


@leaf
def _rewind(lane: LaneEnd) -> None:
    """The receiver has passed everything: begin at the front again, so that a lane with little in it stays cached."""
    mine = lane.end.mine
    if mine != 0 and lane.written & (LANE_DATA - 1) != 0 and Ring(lane.ring).head == mine:
        lane.written = (lane.written + LANE_DATA - 1) & ~(LANE_DATA - 1)
        lane.freed = lane.written
        lane.end.other = mine
        lane.marks[(mine - 1) & (LANE_RING - 1)] = lane.written


@leaf
def _entry_free(lane: LaneEnd, placed: int) -> bool:
    """Whether the ring has room for one more than `placed`."""
    if lane.end.mine + placed - lane.end.other >= LANE_RING:
        _reclaim(lane)
    return lane.end.mine + placed - lane.end.other < LANE_RING


@leaf
def _describe(packet: Packet, at: int) -> int:
    flags = packet.flags
    marks = (_PARTIAL if flags & CHECKSUM_PARTIAL != 0 else 0) | (_UNSEGMENTED if flags & UNSEGMENTED != 0 else 0)
    return at | packet.length << _LENGTH | packet.gso_size << _GSO | marks << _MARKS


@leaf
def _room(lane: LaneEnd, length: int) -> int:
    """Place of `length` octets in the data, taken; -1 when there is no room."""
    if length > LONGEST:
        return -1
    octets = (length + _LINE) & ~_LINE
    at = lane.written & (LANE_DATA - 1)
    skip = LANE_DATA - at if at + octets > LANE_DATA else 0
    if lane.written + skip + octets - lane.freed > LANE_DATA:
        _reclaim(lane)
        if lane.written + skip + octets - lane.freed > LANE_DATA:
            return -1
    lane.written += skip + octets
    return 0 if skip != 0 else at


@hot
def _reclaim(lane: LaneEnd) -> None:
    """What the receiver has passed is free."""
    end = lane.end
    head = Ring(lane.ring).head
    if head < end.other or head > end.mine:
        end.broken = 1
        return
    end.other = head
    if head != 0:
        lane.freed = lane.marks[(head - 1) & (LANE_RING - 1)]


# --- receiving --------------------------------------------------------------------------------------------------------


@hot
def lane_receive(worker: Worker, queue: Queue, lane: LaneEnd, at: int, room: int) -> int:
    """Copy up to `room` frames out, into worker.burst from place `at`; returns how many."""
    end = lane.end
    mine, tail = end.mine, Ring(lane.ring).tail
    if tail < end.other or tail > mine + LANE_RING:
        lane_break(lane)
        return 0
    end.other = tail
    received, passed, octets = 0, 0, 0
    while passed < tail - mine and received < room:
        word = end.slots[(mine + passed) & (LANE_RING - 1)]
        if not _possible(word):
            lane_break(lane)
            break
        packet = allocate_for(worker, _length(word))
        if packet.address == 0 and worker.large_pool == 0 and _too_long(word):
            queue.rx_errors += 1  # this engine has no packets of that length, now or ever
            passed += 1
            continue
        if packet.address == 0:
            break  # the frame stays where it is
        _take(packet, lane, word)
        packet.port = queue.port
        worker.burst[at + received] = packet.address
        octets += packet.length
        received += 1
        passed += 1
    end.mine = mine + passed
    if lane.state == UP:
        Ring(lane.ring).head = mine + passed
    queue.rx_packets += received
    queue.rx_octets += octets
    return received


@leaf
def _length(word: int) -> int:
    return word >> _LENGTH & 0xFFFFF


@leaf
def _possible(word: int) -> bool:
    """Whether the descriptor says something that can be true."""
    length = _length(word)
    inside = (word & 0xFFFFF) + length <= LANE_DATA
    segments = word >> _MARKS & _UNSEGMENTED == 0 or word >> _GSO & 0xFFFF != 0
    return _ETHERNET <= length <= LONGEST and inside and segments and 0 <= word >> _MARKS <= 3


@leaf
def _too_long(word: int) -> bool:
    return _length(word) > SMALL_ROOM


@leaf
def _take(packet: Packet, lane: LaneEnd, word: int) -> None:
    length, marks = _length(word), word >> _MARKS
    copy(packet.data, lane.data + (word & 0xFFFFF), length)
    packet.length = length
    packet.gso_size = word >> _GSO
    packet.flags = (CHECKSUM_PARTIAL if marks & _PARTIAL != 0 else 0) | (
        UNSEGMENTED if marks & _UNSEGMENTED != 0 else 0
    )
