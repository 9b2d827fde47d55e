"""retransmit_at is reached: a time-out (RFC 6298 5.4 to 5.7), a loss probe (RFC 8985 7.3), or RACK's timer (6.3)."""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import LOSS_FAILURES, RENO_FAILURES, SACK_FAILURES, SACK_RENEGING, TIMEOUTS
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion import congestion_loss, congestion_timeout, pace
from pronghorn.tcp.delivery import uses_sack
from pronghorn.tcp.mtu_probe import probe_lost
from pronghorn.tcp.rack import condemn, detect_losses, forget_sacks
from pronghorn.tcp.reduction import arm_undo, current_ssthresh, enter_recovery, reduce, resend_quietly
from pronghorn.tcp.retransmit_timer import set_rto, set_timer
from pronghorn.tcp.sample import LOSS_PROBE, NOTHING, PROBE, REORDERING, SEND, WINDOW_PROBE
from pronghorn.tcp.segments import (
    FRESH_ONLY,
    PROBE_RESENT,
    PROBED,
    PROBING,
    SACKED,
    SPURIOUS,
    Flight,
    flight_of,
    record,
)
from pronghorn.tcp.tcb import CWR_OWED, DISORDER, ECN, LOSS, NEVER, RECOVERY, Tcb, Tcp, in_flight, stamp

BACKOFF_MOST = 255


@hot
def timer_due(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    """retransmit_at is reached, and its kind is RETRANSMIT, LOSS_PROBE or REORDERING. Sets the next one.

    Returns SEND: something is lost, send `next_lost` as `allowance` permits; PROBE: send one loss probe, `probe_range`,
    whatever cwnd says; NOTHING. A time-out counts in tcb.backoff: giving up is the caller's.
    """
    flight = flight_of(worker, tcb)
    if flight.address == 0 or flight.count == 0 or tcb.retransmit_kind == WINDOW_PROBE:
        tcb.retransmit_at = NEVER
        return NOTHING
    if tcb.retransmit_kind == REORDERING:
        return _reordering_due(worker, tcp, tcb, flight)
    if tcb.retransmit_kind == LOSS_PROBE and flight.flags & PROBED == 0 and record(flight, 0).flags & SACKED == 0:
        flight.flags |= PROBING
        set_rto(worker, tcp, tcb)
        return PROBE
    return _time_out(worker, tcp, tcb, flight)


@hot
def _reordering_due(worker: Worker, tcp: Tcp, tcb: Tcb, flight: Flight) -> int:
    """What was late is lost now (Linux's tcp_rack_reo_timeout)."""
    before = tcb.lost
    outstanding = (tcb.snd_nxt - tcb.snd_una & 0xFFFF_FFFF) - tcb.sacked
    wait, _again = detect_losses(worker, tcb, stamp(worker))
    if tcb.lost != before:
        if tcb.rare != 0 and probe_lost(worker, tcp, tcb):
            resend_quietly(tcb)
        elif tcb.recovery < RECOVERY:
            enter_recovery(worker, tcb, flight, outstanding, False)
        if tcb.recovery == RECOVERY:
            reduce(tcb, flight, 0, False)
    if wait > 0:
        set_timer(worker, tcp, tcb, REORDERING, wait * 1000)
    else:
        set_rto(worker, tcp, tcb)
    return SEND if tcb.lost != 0 else NOTHING


@hot
def _time_out(worker: Worker, tcp: Tcp, tcb: Tcb, flight: Flight) -> int:
    """RFC 5681 3.1, RFC 6298 5.4 to 5.6, as Linux's tcp_enter_loss."""
    count(worker, TIMEOUTS, 1)
    if tcb.backoff == 0:
        _count_failure(worker, tcb)
    everything = not uses_sack(tcb)
    if record(flight, 0).flags & SACKED != 0:
        count(worker, SACK_RENEGING, 1)
        forget_sacks(tcb, flight)
        everything = True
    if everything:
        tcb.sacked, tcb.duplicates = 0, 0
    cwnd = tcb.cwnd
    fresh = tcb.recovery <= DISORDER or not sequence.after(tcb.recovery_point, tcb.snd_una)
    if fresh or (tcb.recovery == LOSS and tcb.backoff == 0):
        arm_undo(tcb, flight, cwnd, current_ssthresh(tcb))
        tcb.ssthresh = congestion_loss(worker, tcb)
        congestion_timeout(worker, tcb)
    condemn(tcb, flight, stamp(worker), everything)
    tcb.cwnd = in_flight(tcb) + max(tcb.mss, 1)
    tcb.recovery = LOSS
    tcb.recovery_point = tcb.snd_nxt
    if tcb.agreed & ECN != 0:
        tcb.flags |= CWR_OWED
    flight.flags &= ~(PROBED | PROBE_RESENT | PROBING | FRESH_ONLY | SPURIOUS)
    if tcb.srtt != 0 and (fresh or tcb.backoff != 0):
        flight.flags |= SPURIOUS  # F-RTO will tell
    tcb.backoff = min(tcb.backoff + 1, BACKOFF_MOST)
    tcb.segments.slow = min(tcb.segments.slow + 1, BACKOFF_MOST)
    set_rto(worker, tcp, tcb)
    pace(tcb)
    return SEND


@leaf
def _count_failure(worker: Worker, tcb: Tcb) -> None:
    """What the time-out says about the recovery before."""
    if tcb.recovery == LOSS:
        count(worker, LOSS_FAILURES, 1)
    elif tcb.recovery == RECOVERY:
        count(worker, SACK_FAILURES if uses_sack(tcb) else RENO_FAILURES, 1)
