"""RACK: what was sent long enough before something that has arrived is lost (RFC 8985 6). And its last resort, the RTO.

Records that were sent once lie in the order of their transmission: a cursor, `rack_from`, says which are judged. Those
that were sent again form a list in that order (segments.py). So an acknowledgement looks at what it condemns, and one
more of each kind.

The reordering window is 0 until reordering was seen, and three segments' worth of SACK or a recovery stand against it;
then a quarter of the least RTT, more with each DSACK, at most srtt. Linux's bound, srtt / 8, is for a window in its own
units of srtt: the same.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import LOST_RETRANSMIT
from pronghorn.state.worker import Worker
from pronghorn.tcp.sample import REORDER_SEEN
from pronghorn.tcp.segments import (
    EVER,
    LISTED,
    LOST,
    RACKED,
    RESENT,
    SACKED,
    Flight,
    Segment,
    end_of,
    find,
    flight_of,
    mark_lost,
    record,
)
from pronghorn.tcp.tcb import RECOVERY, Tcb, elapsed

DUPLICATES = 3


@leaf
def reorder_window(tcb: Tcb) -> int:
    """RFC 8985 6.2, step 4: us that a segment may be late."""
    if tcb.marks & REORDER_SEEN == 0 and (tcb.recovery >= RECOVERY or tcb.sacked >= DUPLICATES * tcb.mss):
        return 0
    return min((tcb.rtt_min >> 2) * max(tcb.reorder_steps, 1), tcb.srtt >> 3)


@leaf
def _sent_before(segment: Segment, flight: Flight) -> bool:
    """Whether the record was sent before the most recently sent of what was delivered."""
    if segment.sent == flight.rack_sent:
        return sequence.before(end_of(segment), flight.rack_end)
    return sequence.before(segment.sent, flight.rack_sent)


@hot
def detect_losses(worker: Worker, tcb: Tcb, now: int) -> tuple[int, int]:
    """RFC 8985 6.2, step 5, at the stamp `now`. Returns us until the next one is due (0: none waits), and 1 if a
    retransmission was lost."""
    flight = flight_of(worker, tcb)
    if flight.address == 0 or flight.flags & RACKED == 0:
        return 0, 0
    patience = flight.rack_rtt + reorder_window(tcb)
    wait = _judge_first(tcb, flight, now, patience)
    again = 0
    while flight.flags & LISTED != 0:
        segment = record(flight, find(flight, flight.resent_first))
        if not _sent_before(segment, flight):
            break
        remaining = patience - elapsed(now, segment.sent)
        if remaining > 0:
            wait = remaining if wait == 0 else min(wait, remaining)
            break
        mark_lost(tcb, flight, segment)
        count(worker, LOST_RETRANSMIT, 1)
        again = 1
    return wait, again


@hot
def _judge_first(tcb: Tcb, flight: Flight, now: int, patience: int) -> int:
    """Judge the records that were sent once. Returns us until the next is due; 0: none waits.

    After an undo some stand among them that were sent twice: out of order, so that the cursor stays at the first.
    """
    number = find(flight, flight.rack_from)
    wait, held = 0, -1
    while number < flight.count:
        segment = record(flight, number)
        if segment.flags & (SACKED | LOST | RESENT) == 0:
            remaining = patience - elapsed(now, segment.sent)
            if _sent_before(segment, flight) and remaining <= 0:
                mark_lost(tcb, flight, segment)
            elif segment.flags & EVER == 0:
                wait = remaining if _sent_before(segment, flight) else 0
                break
            elif held < 0:
                held = number
        number += 1
    if held >= 0:
        number = held
    flight.rack_from = record(flight, number).start if number < flight.count else tcb.snd_nxt
    return wait


@hot
def forget_sacks(tcb: Tcb, flight: Flight) -> None:
    """The receiver has thrown away what it had reported (RFC 2018 8)."""
    for number in range(flight.count):
        record(flight, number).flags &= ~SACKED
    tcb.sacked = 0
    flight.rack_from = tcb.snd_una


@hot
def condemn(tcb: Tcb, flight: Flight, now: int, everything: bool) -> None:
    """A time-out: the oldest record is lost, and all others that RACK would find late now, or everything.

    RFC 8985 6.3: what was sent a moment ago is not lost because the oldest is.
    """
    patience = (flight.rack_rtt if flight.flags & RACKED != 0 else tcb.srtt >> 3) + reorder_window(tcb)
    for number in range(flight.count):
        segment = record(flight, number)
        if segment.flags & (SACKED | LOST) != 0:
            continue
        if everything or number == 0 or elapsed(now, segment.sent) >= patience:
            mark_lost(tcb, flight, segment)


@hot
def forgive(tcb: Tcb, flight: Flight) -> None:
    """Nothing was lost after all: what was not sent again yet is on its way."""
    for number in range(flight.count):
        record(flight, number).flags &= ~LOST
    tcb.lost = 0
    flight.rack_from = tcb.snd_una
