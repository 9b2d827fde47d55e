"""The scoreboard: a record of every transmission that is in flight, in order of sequence numbers.

The records lie in a ring in a block of the worker's Buddy, behind a `Flight`: what the sender has to remember only
while something is in flight. The ring grows by doubling, and the block is given back when the last record goes.

    flight_of      the Flight; address 0 when nothing is in flight
    record         record number i, from the oldest
    find           the number of the record that holds a sequence number, in O(log n)
    flight_for     the same, with room for a record more
    append, pop    at the end, at the beginning
    split          one record becomes two

Records that were sent again stand on a list besides, in the order of their retransmission; there they name each other
by sequence number, since numbers change when a record is split. `lost_from` and `rack_from` are cursors: no record
before them is LOST, or waits for RACK's judgement.

Rules:
* A record covers one transmission, which may be 64 KB; SYN and FIN count as an octet. It is split only at multiples of
  the segment size from its start, so the peer's SACK blocks make at most one record of each segment (CVE-2019-11478).
* There are at most 65,534 records for a connection.
* `flight_for` and `split` may move everything: take `flight_of` and `record` anew afterwards.
"""

from __future__ import annotations

from pronghorn.compiled import View, cold, copy, fill, hot, leaf, move, sequence, u16, u32
from pronghorn.memory.buddy import Buddy, buddy_address, buddy_give, buddy_take
from pronghorn.state.endpoints import Endpoints
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import Segments, Tcb

# Segment.flags
SACKED = 1
LOST = 2  # considered lost, not sent again since
RESENT = 4  # sent again, on the list; neither SACKED nor LOST again
EVER = 8  # was sent again at some time: no RTT sample (Karn)
LIMITED = 16  # sent when the application had nothing more: no rate sample
HAS_NEXT = 32
HAS_PREVIOUS = 64

# Flight.flags
LISTED = 1  # the list of what was sent again is not empty
RACKED = 2  # rack_... are valid
PROBED = 4  # a loss probe is out, which ends the episode when probe_end is acknowledged ...
PROBE_RESENT = 8  # ... and it was a retransmission
PROBING = 16  # the next thing sent is a loss probe
SPURIOUS = 32  # F-RTO: the time-out may have been spurious
FRESH_ONLY = 64  # F-RTO step 2b: new data now, no retransmission
STAMPED = 128  # resent_ts is valid
SACK_HIGH = 256  # sack_high is valid

RECORD = 32
HEADER = 64
LEAST_ORDER, MOST_ORDER = 8, 21


class Segment(View, align=8, size=32):
    """One transmission."""

    start: u32
    octets: u16
    flags: u16
    sent: u32  # stamp of the last transmission
    delivered: u32  # tcb.delivered at that time
    delivered_at: u32  # tcb.delivered_at at that time
    first_sent: u32  # the Flight's first_sent at that time
    next: u32  # RESENT: start of the record sent again after this one; SACKED: all up to there is SACKED
    previous: u32  # RESENT: start of the one before


class Flight(View, align=8, size=64):
    """In front of the records."""

    first: u16  # place of the oldest record
    count: u16
    capacity: u16  # places
    flags: u16
    resent_first: u32  # start of the record sent again longest ago
    resent_last: u32
    lost_from: u32
    rack_from: u32
    rack_sent: u32  # stamp: of the most recently sent segment that was delivered
    rack_end: u32  # its end
    rack_rtt: u32  # us
    prr_delivered: u32  # octets delivered in this recovery
    prr_out: u32  # octets sent in it
    prr_flight: u32  # octets in flight when it began
    probe_end: u32  # snd_nxt after the loss probe
    resent_ts: u32  # our timestamp of the first retransmission of the episode
    sack_high: u32  # end of the highest segment that arrived
    first_sent: u32  # stamp: of the segment that began the current sampling interval


@leaf
def buddy_of(worker: Worker) -> Buddy:
    """The worker's buffer memory."""
    return Buddy(Endpoints(worker.transports).buddy)


@leaf
def flight_of(worker: Worker, tcb: Tcb) -> Flight:
    """What is in flight; address 0: nothing."""
    block = tcb.segments.block
    return Flight(buddy_address(buddy_of(worker), block) if block != 0 else 0)


@leaf
def record(flight: Flight, number: int) -> Segment:
    """Record `number`, the oldest being 0."""
    place = flight.first + number
    capacity = flight.capacity
    if place >= capacity:
        place -= capacity
    return Segment(flight.address + HEADER + place * RECORD)


@leaf
def end_of(segment: Segment) -> int:
    """The position after the record."""
    return sequence.add(segment.start, segment.octets)


@hot
def find(flight: Flight, seq: int) -> int:
    """Number of the last record that starts at or before `seq`; 0 when all start later."""
    low, high = 0, flight.count
    while low < high:
        middle = (low + high) >> 1
        if sequence.after(record(flight, middle).start, seq):
            high = middle
        else:
            low = middle + 1
    return max(low - 1, 0)


# --- memory -------------------------------------------------------------------------------------------------------


@hot
def open_flight(worker: Worker, tcb: Tcb) -> Flight:
    """Memory for a few records; address 0 when there is none."""
    buddy = buddy_of(worker)
    block = buddy_take(buddy, LEAST_ORDER)
    if block == 0:
        return Flight(0)
    tcb.segments.block, tcb.segments.order = block, LEAST_ORDER
    flight = Flight(buddy_address(buddy, block))
    fill(flight.address, 0, Flight.SIZE)
    flight.capacity = ((1 << LEAST_ORDER) - HEADER) // RECORD
    flight.lost_from = flight.rack_from = tcb.snd_una
    return flight


@hot
def close_flight(worker: Worker, tcb: Tcb) -> None:
    """Nothing is in flight any more."""
    segments = tcb.segments
    if segments.block != 0:
        buddy_give(buddy_of(worker), segments.block, segments.order)
        segments.block = 0


@cold
def _grow(worker: Worker, segments: Segments, flight: Flight) -> Flight:
    """Twice the room; address 0, and nothing has changed, when there is no memory."""
    buddy = buddy_of(worker)
    order = segments.order + 1
    block = buddy_take(buddy, order) if order <= MOST_ORDER else 0
    if block == 0:
        return Flight(0)
    larger = Flight(buddy_address(buddy, block))
    copy(larger.address, flight.address, HEADER)
    count = flight.count
    front = min(count, flight.capacity - flight.first)
    copy(larger.address + HEADER, record(flight, 0).address, front * RECORD)
    copy(larger.address + HEADER + front * RECORD, flight.address + HEADER, (count - front) * RECORD)
    larger.first = 0
    larger.capacity = ((1 << order) - HEADER) // RECORD
    buddy_give(buddy, segments.block, segments.order)
    segments.block, segments.order = block, order
    return larger


# --- records ------------------------------------------------------------------------------------------------------


@leaf
def flight_for(worker: Worker, tcb: Tcb) -> Flight:
    """The Flight, with room for one record more; address 0 when there is no memory for it."""
    flight = flight_of(worker, tcb)
    if flight.address == 0:
        return open_flight(worker, tcb)
    return flight if flight.count < flight.capacity else _grow(worker, tcb.segments, flight)


@leaf
def append(flight: Flight, start: int, octets: int) -> Segment:
    """A new record at the end; there is room."""
    count = flight.count
    segment = record(flight, count)
    flight.count = count + 1
    segment.start, segment.octets, segment.flags = start, octets, 0
    return segment


@leaf
def pop(flight: Flight) -> None:
    """The oldest record goes."""
    flight.first = flight.first + 1 if flight.first + 1 < flight.capacity else 0
    flight.count -= 1


@hot
def _move_down(flight: Flight, count: int) -> None:
    """Records 1 .. count become 0 .. count - 1: what lies before the end of the memory, across it, and behind."""
    base = flight.address + HEADER
    first, capacity = flight.first, flight.capacity
    front = min(count, capacity - first - 1)
    move(base + first * RECORD, base + (first + 1) * RECORD, front * RECORD)
    if front < count:
        copy(base + (capacity - 1) * RECORD, base, RECORD)
        move(base, base + RECORD, (count - front - 1) * RECORD)


@hot
def _move_up(flight: Flight, number: int, count: int) -> None:
    """Records number .. count - 1 become number + 1 .. count."""
    base = flight.address + HEADER
    capacity = flight.capacity
    first, last = flight.first + number, flight.first + count  # places, as if the memory did not end
    if first >= capacity:
        first, last = first - capacity, last - capacity
    if last > capacity:
        move(base + RECORD, base, (last - capacity) * RECORD)
    if last >= capacity:
        copy(base, base + (capacity - 1) * RECORD, RECORD)
        last = capacity - 1
    move(base + (first + 1) * RECORD, base + first * RECORD, (last - first) * RECORD)


@hot
def split(worker: Worker, tcb: Tcb, number: int, octets: int) -> bool:
    """Let record `number` keep its first `octets`; the rest becomes the record after it. False: no memory."""
    flight = flight_of(worker, tcb)
    if flight.count == flight.capacity:
        flight = _grow(worker, tcb.segments, flight)
        if flight.address == 0:
            return False
    count = flight.count
    if number < count >> 1:  # the shorter side moves
        flight.first = flight.first - 1 if flight.first > 0 else flight.capacity - 1
        _move_down(flight, number + 1)
    else:
        _move_up(flight, number, count)
    flight.count = count + 1
    segment, rest = record(flight, number), record(flight, number + 1)
    rest.start = sequence.add(segment.start, octets)
    rest.octets = segment.octets - octets
    segment.octets = octets
    if segment.flags & RESENT != 0:
        _resent_after(flight, segment, rest)
    return True


# --- what was sent again, the oldest first ------------------------------------------------------------------------


@hot
def _resent_after(flight: Flight, segment: Segment, rest: Segment) -> None:
    """Put `rest`, a copy of `segment`, behind it on the list."""
    if segment.flags & HAS_NEXT != 0:
        record(flight, find(flight, segment.next)).previous = rest.start
    else:
        flight.resent_last = rest.start
    segment.next = rest.start
    segment.flags |= HAS_NEXT
    rest.previous = segment.start
    rest.flags |= HAS_PREVIOUS


@hot
def resent_add(flight: Flight, segment: Segment) -> None:
    """Put the record at the end of the list and mark it RESENT."""
    segment.flags |= RESENT | EVER
    if flight.flags & LISTED == 0:
        flight.flags |= LISTED
        flight.resent_first = segment.start
    else:
        last = record(flight, find(flight, flight.resent_last))
        last.next = segment.start
        last.flags |= HAS_NEXT
        segment.previous = last.start
        segment.flags |= HAS_PREVIOUS
    flight.resent_last = segment.start


@hot
def resent_remove(flight: Flight, segment: Segment) -> None:
    """Take the record off the list; it is no longer RESENT."""
    flags = segment.flags
    if flags & HAS_PREVIOUS != 0:
        before = record(flight, find(flight, segment.previous))
        before.next = segment.next
        if flags & HAS_NEXT == 0:
            before.flags &= ~HAS_NEXT
    elif flags & HAS_NEXT != 0:
        flight.resent_first = segment.next
    else:
        flight.flags &= ~LISTED
    if flags & HAS_NEXT != 0:
        after = record(flight, find(flight, segment.next))
        after.previous = segment.previous
        if flags & HAS_PREVIOUS == 0:
            after.flags &= ~HAS_PREVIOUS
    elif flags & HAS_PREVIOUS != 0:
        flight.resent_last = segment.previous
    segment.flags = flags & ~(RESENT | HAS_NEXT | HAS_PREVIOUS)


# --- marks --------------------------------------------------------------------------------------------------------


@hot
def mark_lost(tcb: Tcb, flight: Flight, segment: Segment) -> None:
    """The record is considered lost. It must be neither SACKED nor LOST."""
    if segment.flags & RESENT != 0:
        resent_remove(flight, segment)
        tcb.resent -= segment.octets
    segment.flags |= LOST
    if tcb.lost == 0 or sequence.before(segment.start, flight.lost_from):
        flight.lost_from = segment.start
    tcb.lost += segment.octets


@hot
def mark_resent(tcb: Tcb, flight: Flight, segment: Segment) -> None:
    """The record is being sent again."""
    if segment.flags & LOST != 0:
        segment.flags &= ~LOST
        tcb.lost -= segment.octets
    if segment.flags & RESENT != 0:
        resent_remove(flight, segment)
        tcb.resent -= segment.octets
    resent_add(flight, segment)
    tcb.resent += segment.octets


@leaf
def unmark(tcb: Tcb, flight: Flight, segment: Segment) -> None:
    """The record was delivered: it is no longer LOST or RESENT."""
    if segment.flags & LOST != 0:
        segment.flags &= ~LOST
        tcb.lost -= segment.octets
    elif segment.flags & RESENT != 0:
        resent_remove(flight, segment)
        tcb.resent -= segment.octets
