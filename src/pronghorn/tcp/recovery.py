"""The sender's reliability: what input, output and timers call when something is sent, acknowledged or late.

    recovery_open, recovery_established, recovery_close     with the connection
    segment_sent, segment_resent        a transmission begins
    acknowledge                         an acceptable acknowledgement has come (acknowledge.py)
    timer_due                           retransmit_at is reached (timeout.py)
    next_lost, probe_range, allowance   what to send again, and how much may be sent
    recovery_idle, mss_changed

How it is put together: segments.py keeps what is in flight; delivery.py and sack.py say what has arrived; rack.py says
what is lost; alert.py decides what state that makes; reduction.py and congestion/ set the window; retransmit_timer.py
sets the timer. The states are Linux's: OPEN; DISORDER, something is missing; REDUCED, the window goes down because of
ECN or a loss that a probe repaired; RECOVERY, fast retransmission; LOSS, after a time-out.

Left out: accurate ECN, RFC 8511 (a smaller reduction for ECN), forward RTO recovery for SYNs.
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import FAST_RETRANS, LOSS_PROBES, SLOW_START_RETRANS
from pronghorn.state.worker import Worker
from pronghorn.tcp.acknowledge import acknowledge
from pronghorn.tcp.congestion import congestion_idle, congestion_start, is_own_master, pace
from pronghorn.tcp.reduction import UNLIMITED, current_ssthresh, resend_quietly
from pronghorn.tcp.retransmit_timer import set_rto, timer_sent
from pronghorn.tcp.rtt import rtt_open, rtt_sample
from pronghorn.tcp.sample import BUBBLE, HANDSHAKE_LOST, UNDO_ARMED, UNDO_SENT, WINDOW_LIMITED
from pronghorn.tcp.segments import (
    FRESH_ONLY,
    LIMITED,
    LOST,
    PROBE_RESENT,
    PROBED,
    PROBING,
    SACKED,
    STAMPED,
    Flight,
    Segment,
    append,
    close_flight,
    find,
    flight_for,
    flight_of,
    mark_lost,
    mark_resent,
    record,
    split,
)
from pronghorn.tcp.statistics import RATE_OF_APP
from pronghorn.tcp.tcb import LOSS, NEVER, OPEN, RECOVERY, REDUCED, SACK, Tcb, Tcp, elapsed, in_flight, stamp
from pronghorn.tcp.timeout import timer_due

__all__ = [
    "acknowledge",
    "allowance",
    "mss_changed",
    "next_lost",
    "probe_range",
    "recovery_close",
    "recovery_established",
    "recovery_idle",
    "recovery_open",
    "recovery_sample",
    "segment_resent",
    "segment_sent",
    "segments_refused",
    "timer_due",
]

MASK = 0xFFFF_FFFF
WINDOW_INITIAL = 14_600
"""Octets: RFC 6928 2."""


# --- with the connection ------------------------------------------------------------------------------------------


@hot
def recovery_open(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """A connection is being made: SYN_SENT or SYN_RECEIVED. snd_una, snd_nxt and congestion are set already."""
    rtt_open(tcb)
    tcb.cwnd, tcb.ssthresh = first_window(tcp, tcb), UNLIMITED
    tcb.sacked, tcb.lost, tcb.resent = 0, 0, 0
    tcb.recovery, tcb.backoff, tcb.duplicates = OPEN, 0, 0
    tcb.recovery_point, tcb.rtt_round, tcb.small_end = tcb.snd_una, tcb.snd_una, tcb.snd_una
    tcb.segments.flight_max, tcb.segments.flight_end, tcb.segments.persist = 0, tcb.snd_una, 0
    tcb.delivered, tcb.pacing_rate, tcb.paced_at = 0, 0, 0
    tcb.rate_octets, tcb.rate_interval = 0, RATE_OF_APP
    tcb.marks, tcb.reorder_steps = 0, 1


@leaf
def first_window(tcp: Tcp, tcb: Tcb) -> int:
    """RFC 6928: ten segments, and less of large ones."""
    mss = tcb.mss if tcb.mss != 0 else 536
    most = max(2 * mss, WINDOW_INITIAL) if tcp.initial_window == 10 else tcp.initial_window * mss
    return max(min(tcp.initial_window * mss, most), mss)


@hot
def recovery_established(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The handshake is over: mss is known, and what its acknowledgement told of the RTT."""
    tcb.cwnd = first_window(tcp, tcb)
    if tcb.retransmits > 1 or (tcb.retransmits == 1 and tcb.marks & HANDSHAKE_LOST != 0):
        tcb.cwnd = tcb.mss  # RFC 5681 3.1; Linux forgives one that was needless
    tcb.ssthresh = UNLIMITED
    tcb.recovery, tcb.backoff, tcb.segments.slow = OPEN, 0, 0
    tcb.marks &= ~(UNDO_ARMED | UNDO_SENT | HANDSHAKE_LOST | WINDOW_LIMITED)
    tcb.recovery_point = tcb.snd_una
    tcb.rate_octets, tcb.rate_interval = 0, RATE_OF_APP  # a SYN tells of no rate
    tcb.segments.flight_max, tcb.segments.flight_end = 0, tcb.snd_una
    tcb.spoken = stamp(worker)
    if tcb.srtt == 0 and tcb.retransmits != 0:
        tcb.rto = 3_000_000  # RFC 6298 5.7: no sample, for the SYN was sent again
    congestion_start(worker, tcb)
    pace(tcb)


@hot
def recovery_sample(worker: Worker, tcp: Tcp, tcb: Tcb, rtt: int) -> None:
    """An RTT of `rtt` us that was measured otherwise: of a SYN cookie's handshake, by its timestamp."""
    rtt_sample(tcb, stamp(worker), rtt)


@hot
def recovery_close(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Nothing more will be acknowledged."""
    close_flight(worker, tcb)
    tcb.sacked, tcb.lost, tcb.resent = 0, 0, 0
    tcb.retransmit_at = NEVER


# --- transmissions ------------------------------------------------------------------------------------------------


@hot
def segment_sent(worker: Worker, tcp: Tcp, tcb: Tcb, octets: int) -> bool:
    """`octets` (1 to 65535; SYN and FIN count one) of new sequence space are about to be sent from snd_nxt.

    Moves snd_nxt. False, and nothing has changed, when there is no memory for the record.
    """
    flight = flight_for(worker, tcb)
    if flight.address == 0:
        return False
    segment = append(flight, tcb.snd_nxt, octets)
    now = stamp(worker)
    if flight.count == 1:  # stored twice: what was just stored in halves is slow to read back as a whole
        flight.first_sent, tcb.delivered_at = now, now
        segment.sent, segment.delivered, segment.delivered_at, segment.first_sent = now, tcb.delivered, now, now
    else:
        _stamp(tcb, flight, segment, now)
    if tcb.marks & BUBBLE != 0:
        segment.flags |= LIMITED
    tcb.snd_nxt = sequence.add(tcb.snd_nxt, octets)
    tcb.spoken = now
    flight.prr_out += octets
    _note_flight(tcb)
    if flight.flags & PROBING != 0:
        _probe_sent(worker, tcp, tcb, flight)
    else:
        timer_sent(worker, tcp, tcb, flight, now)
    return True


@leaf
def _stamp(tcb: Tcb, flight: Flight, segment: Segment, now: int) -> None:
    segment.sent = now
    segment.delivered, segment.delivered_at, segment.first_sent = tcb.delivered, tcb.delivered_at, flight.first_sent


@leaf
def _note_flight(tcb: Tcb) -> None:
    """Whether the congestion window or the application limits what is in flight."""
    amount = in_flight(tcb)
    segments = tcb.segments
    limited = amount + tcb.mss > tcb.cwnd
    if limited or amount > segments.flight_max or not sequence.before(tcb.snd_una, segments.flight_end):
        if limited:
            tcb.marks |= WINDOW_LIMITED
        elif not sequence.before(tcb.snd_una, segments.flight_end):
            tcb.marks &= ~WINDOW_LIMITED
        segments.flight_max, segments.flight_end = amount, tcb.snd_nxt
    if not limited and tcb.lost == 0 and not sequence.before(tcb.snd_nxt, tcb.snd_end):
        tcb.marks |= BUBBLE  # nothing more to send: samples say less than the path can carry, up to there
        tcb.app_limited_until = tcb.delivered + amount & MASK


@cold
def _probe_sent(worker: Worker, tcp: Tcp, tcb: Tcb, flight: Flight) -> None:
    """What was just sent was a loss probe; the RTO follows."""
    flight.flags = flight.flags & ~PROBING | PROBED
    flight.probe_end = tcb.snd_nxt
    count(worker, LOSS_PROBES, 1)
    set_rto(worker, tcp, tcb)


@hot
def segment_resent(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, octets: int) -> None:
    """`octets` from `seq` were sent again, a range that `next_lost` or `probe_range` gave, or its beginning."""
    flight = flight_of(worker, tcb)
    if flight.address == 0 or flight.count == 0:
        return
    number = find(flight, seq)
    if record(flight, number).octets > octets and split(worker, tcb, number, octets):
        flight = flight_of(worker, tcb)
    segment = record(flight, number)
    now = stamp(worker)
    mark_resent(tcb, flight, segment)
    _stamp(tcb, flight, segment, now)
    tcb.marks |= UNDO_SENT
    tcb.octets_resent += segment.octets
    tcb.undo_count += segment.octets
    flight.prr_out += segment.octets
    if flight.flags & STAMPED == 0:
        flight.flags |= STAMPED
        flight.resent_ts = worker.now // 1_000_000 + tcb.ts_offset & MASK
    if flight.flags & PROBING != 0:
        flight.flags |= PROBE_RESENT
        _probe_sent(worker, tcp, tcb, flight)
        return
    if tcb.srtt == 0:
        tcb.marks |= HANDSHAKE_LOST
    if tcb.recovery == LOSS:
        count(worker, SLOW_START_RETRANS, 1)
    else:
        count(worker, FAST_RETRANS, 1)
    if number == 0 or tcb.retransmit_at == NEVER:
        set_rto(worker, tcp, tcb)


@hot
def next_lost(worker: Worker, tcp: Tcp, tcb: Tcb) -> tuple[int, int]:
    """The next range to send again, at most `allowance` octets and at least a segment; octets 0: none."""
    flight = flight_of(worker, tcb)
    if tcb.lost == 0 or flight.address == 0 or flight.flags & FRESH_ONLY != 0:
        return 0, 0
    number = find(flight, flight.lost_from)
    while number < flight.count and record(flight, number).flags & LOST == 0:
        number += 1
    if number == flight.count:
        return 0, 0
    segment = record(flight, number)
    flight.lost_from = segment.start
    mss = max(tcb.mss, 1)
    permitted = max(allowance(worker, tcp, tcb), mss)
    return segment.start, min(segment.octets, permitted - permitted % mss)


@hot
def probe_range(worker: Worker, tcp: Tcp, tcb: Tcb) -> tuple[int, int]:
    """What a loss probe sends (RFC 8985 7.3): new data (octets 0), or the last segment again."""
    flight = flight_of(worker, tcb)
    fresh = tcb.snd_end - tcb.snd_nxt & MASK
    open_window = tcb.snd_window - (tcb.snd_nxt - tcb.snd_una & MASK)
    if flight.address == 0 or flight.count == 0 or (0 < fresh < 1 << 31 and open_window >= min(fresh, tcb.mss)):
        return tcb.snd_nxt, 0
    number = flight.count - 1
    while number > 0 and record(flight, number).flags & SACKED != 0:
        number -= 1
    segment = record(flight, number)
    before_last = (segment.octets - 1) // tcb.mss * tcb.mss
    if before_last > 0 and split(worker, tcb, number, before_last):
        segment = record(flight_of(worker, tcb), number + 1)
    return segment.start, segment.octets


@leaf
def allowance(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    """Octets that the congestion window permits to put into flight now; 0 or negative: none."""
    return tcb.cwnd - in_flight(tcb)


# --- events -------------------------------------------------------------------------------------------------------


@hot
def recovery_idle(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """New data is about to be sent, and nothing is in flight (RFC 5681 4.1, Linux's tcp_slow_start_after_idle)."""
    idle = elapsed(stamp(worker), tcb.spoken)
    if idle == 0:
        return
    congestion_idle(worker, tcb, idle)
    if idle <= tcb.rto or is_own_master(tcb) or tcb.recovery == REDUCED or tcb.recovery == RECOVERY:
        return
    restart = min(first_window(tcp, tcb), tcb.cwnd)
    tcb.ssthresh = current_ssthresh(tcb)
    while idle > tcb.rto and tcb.cwnd > restart:
        tcb.cwnd >>= 1
        idle -= tcb.rto
    tcb.cwnd = max(tcb.cwnd, restart)
    tcb.segments.flight_max, tcb.segments.flight_end = 0, tcb.snd_una


@hot
def mss_changed(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The path takes smaller segments now: what is in flight in larger ones is sent again, and no window is reduced.

    A record may stand for many segments that fitted: it is condemned if it is larger than a segment now. The state is
    LOSS until all of it has arrived (Linux's tcp_simple_retransmit).
    """
    flight = flight_of(worker, tcb)
    if flight.address == 0:
        return
    for number in range(flight.count):
        segment = record(flight, number)
        if segment.flags & (SACKED | LOST) == 0 and segment.octets > tcb.mss:
            mark_lost(tcb, flight, segment)
    if tcb.agreed & SACK == 0:  # what duplicates stand for cannot be lost as well
        tcb.sacked = min(tcb.sacked, (tcb.snd_nxt - tcb.snd_una & MASK) - tcb.lost)
    resend_quietly(tcb)


@hot
def segments_refused(worker: Worker, tcb: Tcb) -> None:
    """What is in flight was thrown away by the peer (data in a SYN): it is sent again, and no window is reduced."""
    flight = flight_of(worker, tcb)
    for number in range(flight.count):
        segment = record(flight, number)
        if segment.flags & (SACKED | LOST) == 0:
            mark_lost(tcb, flight, segment)
    resend_quietly(tcb)
