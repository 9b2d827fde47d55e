"""What an acknowledgement does to the sender: the steps of Linux's tcp_ack, each in its file.

Whether the acknowledgement is acceptable at all (RFC 9293 3.10.7.4, RFC 5961 5) was decided before. Octets are
counted, never acknowledgements, so splitting them gains nothing (RFC 3465, RFC 9438 5.8).
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import DELIVERED_TOTAL, SACK_REORDER
from pronghorn.state.worker import Worker
from pronghorn.tcp.alert import alert
from pronghorn.tcp.congestion import congestion_acked, is_own_master, pace
from pronghorn.tcp.delivery import finish_rate, remove_acknowledged, uses_sack
from pronghorn.tcp.rack import detect_losses
from pronghorn.tcp.reduction import is_safe, keep_open, reduce, undo_duplicates
from pronghorn.tcp.retransmit_timer import set_rto, set_timer, timer_acked
from pronghorn.tcp.rtt import rtt_sample
from pronghorn.tcp.sack import take_blocks
from pronghorn.tcp.sample import (
    ADVANCED,
    DSACK_SEEN,
    DUPLICATE,
    ECE_SEEN,
    ECHOED,
    LOST_AGAIN,
    NO_RTT,
    PURE,
    RATED,
    RENEGED,
    REORDER_SEEN,
    REORDERED,
    REORDERING,
    RESENT_ACKED,
    RETRANSMIT,
    UNDO_ARMED,
    WINDOW_CHANGED,
    WINDOW_PROBE,
    Sample,
)
from pronghorn.tcp.segments import FRESH_ONLY, PROBED, SACKED, Flight, close_flight, flight_of, record
from pronghorn.tcp.statistics import count_reordering
from pronghorn.tcp.tcb import DISORDER, NEVER, OPEN, RECOVERY, REDUCED, TIMESTAMPS, Tcb, Tcp, moment, stamp
from pronghorn.wire.tcp import HAS_SACK, HAS_TIMESTAMPS, TCPOptions

MASK = 0xFFFF_FFFF
RENEGE_LEAST = 10_000
"""us: how long the receiver may take to explain itself (Linux's tcp_check_sack_reneging)."""
UNDO_REACH = 1 << 29
"""Octets after which a DSACK can no longer mean the reduction."""


@hot
def acknowledge(worker: Worker, tcp: Tcp, tcb: Tcb, ack: int, options: TCPOptions, signals: int) -> int:
    """Take in an acceptable acknowledgement: snd_una <= ack <= snd_nxt. `signals`: PURE, ECE_SEEN, WINDOW_CHANGED.

    Moves snd_una, and sets cwnd and all that goes with it. Returns the octets newly acknowledged.
    """
    sample = tcp.sample
    flight = flight_of(worker, tcb)
    if flight.address == 0:
        if options.present & HAS_SACK != 0 and uses_sack(tcb):
            _late_duplicate(worker, tcb, options, sample, signals)
        return 0
    _begin(worker, tcb, flight, sample, options, signals)
    flight.flags &= ~FRESH_ONLY
    if ack != tcb.snd_una:
        remove_acknowledged(tcb, flight, sample, ack)
        tcb.backoff, tcb.probes, tcb.segments.soft = 0, 0, 0
        tcb.octets_out += sample.acked
    if uses_sack(tcb):
        if options.present & HAS_SACK != 0:
            take_blocks(worker, tcb, options, sample)
            flight = flight_of(worker, tcb)
    elif sample.flags & (ADVANCED | PURE | WINDOW_CHANGED) == PURE:  # RFC 5681 2
        sample.flags |= DUPLICATE
    if sample.flags & REORDERED != 0:
        count(worker, SACK_REORDER, 1)
        count_reordering(tcb)
    _measure(worker, tcb, flight, sample)
    if flight.count > 0 and record(flight, 0).flags & SACKED != 0:
        sample.flags |= RENEGED
    wait = 0
    if not _is_plain(tcb, flight, sample):
        wait = _find_losses(worker, tcb, sample)
        alert(worker, tcb, flight, sample)
        flight = flight_of(worker, tcb)  # a split may have moved it
    _set_window(worker, tcb, flight, sample)
    _set_timer(worker, tcp, tcb, flight, sample, wait)
    return sample.acked


@leaf
def _begin(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample, options: TCPOptions, signals: int) -> None:
    sample.flags = signals
    sample.now, sample.before, sample.floor = stamp(worker), tcb.snd_una, flight.sack_high
    sample.acked, sample.sacked, sample.lost, sample.delivered, sample.interval, sample.rate = 0, 0, 0, 0, 0, 0
    sample.flight = (tcb.snd_nxt - tcb.snd_una & MASK) - tcb.sacked
    sample.rtt, sample.rtt_last = NO_RTT, NO_RTT
    if tcb.agreed & TIMESTAMPS != 0 and options.present & HAS_TIMESTAMPS != 0 and options.echo != 0:
        sample.flags |= ECHOED
        sample.echo = options.echo


@leaf
def _is_plain(tcb: Tcb, flight: Flight, sample: Sample) -> bool:
    """Whether something was acknowledged in order and all is well: what is left was sent later, and is not late."""
    return (
        tcb.recovery == OPEN
        and sample.flags & (ADVANCED | ECE_SEEN | DSACK_SEEN | RESENT_ACKED) == ADVANCED
        and tcb.sacked | tcb.lost | tcb.resent | tcb.duplicates == 0
        and flight.flags & PROBED == 0
    )


@cold
def _late_duplicate(worker: Worker, tcb: Tcb, options: TCPOptions, sample: Sample, signals: int) -> None:
    """Nothing is in flight; a DSACK may still say that the last recovery was needless."""
    sample.flags, sample.before = signals, tcb.snd_una
    take_blocks(worker, tcb, options, sample)
    if sample.flags & DSACK_SEEN != 0 and tcb.recovery <= DISORDER and undo_duplicates(worker, tcb):
        keep_open(tcb)


@hot
def _measure(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> None:
    """RTT and rate samples."""
    if sample.delivered != 0:
        delivered, mss = sample.delivered, tcb.mss
        count(worker, DELIVERED_TOTAL, 1 if delivered <= mss else (delivered + mss - 1) // max(mss, 1))
        tcb.delivered_at = sample.now
        if sample.flags & RATED != 0:
            finish_rate(tcb, flight, sample)
    rtt = _round_trip(worker, tcb, flight, sample)
    sample.rtt_last = min(sample.rtt_last, rtt) if rtt != NO_RTT else NO_RTT
    if rtt != NO_RTT:
        sample.rtt = rtt
        rtt_sample(tcb, sample.now, rtt)


@leaf
def _round_trip(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> int:
    """us of the round trip that the acknowledgement tells; NO_RTT: it tells none (Karn; RFC 7323 4.1).

    What it covers may have arrived long ago, when acknowledgements before it were lost. So a long one is measured by
    what has provoked it: in order, the echoed timestamp; out of order, where none is delayed, what was sent last. But a
    duplicate's echo is of what came before it. Linux takes all these: the wait for a time-out counts as a round trip,
    the next wait is longer still, and where a third is lost both ways the RTO grows to its limit.
    """
    rtt, flags = sample.rtt, sample.flags
    if rtt != NO_RTT and (tcb.srtt == 0 or rtt <= tcb.srtt >> 2):
        return rtt
    if flags & ADVANCED == 0:
        return sample.rtt_last
    if flags & RESENT_ACKED != 0:
        if tcb.srtt == 0 and flags & ECHOED != 0 and sequence.before(sample.echo, flight.resent_ts):
            return NO_RTT  # of a SYN: RFC 6298 5.7 has an RTO for that
        rtt = NO_RTT
    if flags & (ECHOED | DSACK_SEEN) == ECHOED:
        passed = sequence.difference(moment(worker) + tcb.ts_offset & MASK, sample.echo)
        if 0 <= passed < 1 << 17:  # two minutes at most
            rtt = min(rtt, max(passed, 1) * 1000)
    return rtt


@cold
def _find_losses(worker: Worker, tcb: Tcb, sample: Sample) -> int:
    """RACK, for who uses SACK. Returns us until something more may be lost; 0: nothing waits."""
    if not uses_sack(tcb):
        return 0
    if sample.delivered == 0 and tcb.sacked == 0 and tcb.resent == 0:
        return 0
    lost = tcb.lost
    wait, again = detect_losses(worker, tcb, sample.now)
    sample.lost = tcb.lost - lost
    if again != 0:
        sample.flags |= LOST_AGAIN
    return wait


@hot
def _set_window(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> None:
    """Congestion control: reduce, grow, or what BBR makes of it (Linux's tcp_cong_control)."""
    if is_own_master(tcb):
        congestion_acked(worker, tcb, sample)
    elif tcb.recovery == REDUCED or tcb.recovery == RECOVERY:
        if sample.delivered != 0:
            reduce(tcb, flight, sample.delivered, is_safe(sample))
    elif sample.flags & ADVANCED != 0 or (sample.delivered != 0 and tcb.marks & REORDER_SEEN != 0):
        congestion_acked(worker, tcb, sample)
    if sample.flags & ADVANCED != 0 and tcb.recovery == OPEN:
        tcb.recovery_point = tcb.snd_una
        if tcb.marks & UNDO_ARMED != 0 and sequence.difference(tcb.snd_una, tcb.undo_from) > UNDO_REACH:
            tcb.marks &= ~UNDO_ARMED
    pace(tcb)


@hot
def _set_timer(worker: Worker, tcp: Tcp, tcb: Tcb, flight: Flight, sample: Sample, wait: int) -> None:
    """The next deadline."""
    if flight.count == 0:
        if flight.flags & PROBED == 0:  # else what comes next tells what became of the probe
            close_flight(worker, tcb)
        if tcb.retransmit_kind != WINDOW_PROBE:
            tcb.retransmit_at, tcb.retransmit_kind = NEVER, 0
    elif sample.flags & RENEGED != 0:
        if sample.flags & ADVANCED != 0:
            set_timer(worker, tcp, tcb, RETRANSMIT, max(tcb.srtt >> 4, RENEGE_LEAST) * 1000)
    elif wait > 0:
        set_timer(worker, tcp, tcb, REORDERING, wait * 1000)
    elif sample.flags & ADVANCED != 0:
        timer_acked(worker, tcp, tcb, flight)
    elif tcb.retransmit_kind == REORDERING or tcb.retransmit_at == NEVER:
        set_rto(worker, tcp, tcb)
