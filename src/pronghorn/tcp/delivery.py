"""What arrived at the peer: cumulative removal, and what each delivered record tells about time, rate and order.

    remove_acknowledged    the cumulative acknowledgement moves on
    deliver                a record, or its beginning, has arrived, by either way
    finish_rate            the delivery rate of the sample, once all of it is in

RTT samples: Karn (RFC 6298 3). RACK: RFC 8985 6.2, steps 1 to 3. Rates: sample.py.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.tcp.congestion import is_own_master
from pronghorn.tcp.sample import (
    ADVANCED,
    BUBBLE,
    NO_RTT,
    ORIGINAL,
    RATE_LIMITED,
    RATED,
    REORDER_SEEN,
    REORDERED,
    RESENT_ACKED,
    Sample,
)
from pronghorn.tcp.segments import (
    EVER,
    LIMITED,
    LOST,
    RACKED,
    RESENT,
    SACK_HIGH,
    SACKED,
    Flight,
    Segment,
    end_of,
    pop,
    record,
    unmark,
)
from pronghorn.tcp.statistics import note_rate
from pronghorn.tcp.tcb import SACK, Tcb, elapsed


@hot
def deliver(tcb: Tcb, flight: Flight, segment: Segment, sample: Sample, octets: int) -> None:
    """The first `octets` of the record have arrived, for the first time as far as is known."""
    tcb.delivered += octets
    sample.delivered += octets
    end = sequence.add(segment.start, octets)
    rtt = elapsed(sample.now, segment.sent)
    if segment.flags & EVER == 0:
        if sample.rtt == NO_RTT:
            sample.rtt = rtt
        sample.rtt_last = rtt
        if not sequence.after(end, tcb.recovery_point):
            sample.flags |= ORIGINAL
        if flight.flags & SACK_HIGH != 0 and sequence.before(segment.start, sample.floor):
            tcb.marks |= REORDER_SEEN
            sample.flags |= REORDERED
    elif rtt < tcb.rtt_min:
        return  # the acknowledgement may be of an earlier transmission
    _advance(flight, segment.sent, end, rtt)
    if sample.flags & RATED == 0 or _later(segment.sent, end, sample.sent, sample.end):
        sample.flags = sample.flags & ~RATE_LIMITED | RATED | (RATE_LIMITED if segment.flags & LIMITED != 0 else 0)
        sample.prior_delivered, sample.prior_at = segment.delivered, segment.delivered_at
        sample.sent, sample.end, sample.first_sent = segment.sent, end, segment.first_sent


@leaf
def _later(sent: int, end: int, other_sent: int, other_end: int) -> bool:
    """Whether the first transmission was after the other (RFC 8985 6.1: ties are broken by the end)."""
    return sequence.after(sent, other_sent) or (sent == other_sent and sequence.after(end, other_end))


@leaf
def _advance(flight: Flight, sent: int, end: int, rtt: int) -> None:
    """RACK: the most recently sent segment that was delivered."""
    if flight.flags & RACKED == 0 or _later(sent, end, flight.rack_sent, flight.rack_end):
        flight.flags |= RACKED
        flight.rack_sent, flight.rack_end, flight.rack_rtt = sent, end, rtt


@hot
def remove_acknowledged(tcb: Tcb, flight: Flight, sample: Sample, ack: int) -> None:
    """Take what is before `ack` off the scoreboard, and move snd_una. `ack` is after snd_una, not after snd_nxt."""
    while flight.count > 0:
        segment = record(flight, 0)
        start, octets = segment.start, segment.octets
        whole = not sequence.after(end_of(segment), ack)
        if not whole:
            octets = sequence.difference(ack, start)
            if octets <= 0:
                break
        _acknowledge(tcb, flight, segment, sample, octets)
        if not whole:
            segment.start, segment.octets = ack, segment.octets - octets
            break
        unmark(tcb, flight, segment)
        pop(flight)
    sample.acked = ack - tcb.snd_una & 0xFFFF_FFFF
    flags = sample.flags | ADVANCED  # one store of all bits: a load of all after a store of some is slow
    sample.flags = flags
    tcb.snd_una = ack
    if flags & RESENT_ACKED != 0:
        sample.rtt = NO_RTT
        sample.rtt_last = NO_RTT


@leaf
def _acknowledge(tcb: Tcb, flight: Flight, segment: Segment, sample: Sample, octets: int) -> None:
    """The first `octets` of the oldest record are acknowledged."""
    flags = segment.flags
    if flags & SACKED != 0:
        tcb.sacked -= octets
        return
    if flags & EVER != 0:
        sample.flags |= RESENT_ACKED
    deliver(tcb, flight, segment, sample, octets)
    if octets == segment.octets:
        return
    if flags & LOST != 0:
        tcb.lost -= octets
    elif flags & RESENT != 0:
        tcb.resent -= octets


@hot
def finish_rate(tcb: Tcb, flight: Flight, sample: Sample) -> None:
    """Compute the delivery rate of a RATED sample, and end the time that the application limited."""
    if tcb.marks & BUBBLE != 0 and sequence.after(tcb.delivered, tcb.app_limited_until):
        tcb.marks &= ~BUBBLE
    flight.first_sent = sample.sent
    sending = elapsed(sample.sent, sample.first_sent)
    interval = max(sending, elapsed(sample.now, sample.prior_at))
    octets = tcb.delivered - sample.prior_delivered & 0xFFFF_FFFF
    if interval >= max(min(tcb.rtt_min, sample.rtt), 1):  # else compressed: more than the path can carry
        note_rate(tcb, octets, interval, sample.flags & RATE_LIMITED != 0)
    if not is_own_master(tcb) or interval < max(tcb.rtt_min, 1):
        return
    sample.interval = interval
    sample.rate = octets * 1_000_000 // interval


@leaf
def uses_sack(tcb: Tcb) -> bool:
    """Whether the peer sends SACK blocks."""
    return tcb.agreed & SACK != 0
