"""The congestion window goes down, and sometimes up again: proportional rate reduction, and undo.

Reduction: RFC 6937 as revised by RFC 9937: cwnd follows what is delivered, so that at the end of recovery ssthresh
octets are in flight. Undo, as in Linux's tcp_try_undo_*: a reduction was a mistake when the peer says that it got
everything that was sent again twice (DSACK, RFC 3708), or when an acknowledgement echoes a timestamp from before the
first retransmission (Eifel, RFC 3522 and 4015); then cwnd and ssthresh are what they were.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import (
    DSACK_UNDO,
    FULL_UNDO,
    LOSS_UNDO,
    PARTIAL_UNDO,
    RENO_RECOVERY,
    RENO_REORDER,
    SACK_RECOVERY,
    TS_REORDER,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion import congestion_loss, is_own_master
from pronghorn.tcp.sample import (
    ADVANCED,
    ECE_SEEN,
    ECHOED,
    REORDER_SEEN,
    UNDO_ARMED,
    UNDO_SENT,
    Sample,
)
from pronghorn.tcp.segments import STAMPED, Flight
from pronghorn.tcp.tcb import CWR_OWED, DISORDER, ECN, LOSS, OPEN, RECOVERY, REDUCED, SACK, Tcb, in_flight

UNLIMITED = 0x7FFF_FFFF
"""ssthresh before the first loss."""


# --- reduction ----------------------------------------------------------------------------------------------------


@hot
def begin_reduction(worker: Worker, tcb: Tcb, flight: Flight, outstanding: int) -> None:
    """Lower ssthresh; cwnd follows by PRR. `outstanding` is what was in flight and not SACKED before."""
    flight.prr_delivered, flight.prr_out, flight.prr_flight = 0, 0, max(outstanding, 1)
    tcb.ssthresh = congestion_loss(worker, tcb)
    if tcb.agreed & ECN != 0:
        tcb.flags |= CWR_OWED


@hot
def reduce(tcb: Tcb, flight: Flight, delivered: int, safe: bool) -> None:
    """PRR: `delivered` octets have arrived; `safe`: snd_una moved and no further loss was seen (RFC 9937 6)."""
    if is_own_master(tcb):
        return
    flight.prr_delivered += delivered
    pipe = in_flight(tcb)
    if pipe > tcb.ssthresh:
        permitted = (flight.prr_delivered * tcb.ssthresh + flight.prr_flight - 1) // max(flight.prr_flight, 1)
        mss = max(tcb.mss, 1)
        permitted = (permitted + mss - 1) // mss * mss - flight.prr_out  # in whole segments, as Linux counts
    else:
        permitted = max(flight.prr_delivered - flight.prr_out, delivered)
        if safe:
            permitted += tcb.mss
        permitted = min(tcb.ssthresh - pipe, permitted)
    if flight.prr_out == 0 or pipe == 0:
        permitted = max(permitted, tcb.mss)  # the fast retransmission; or nothing would ever be acknowledged
    tcb.cwnd = pipe + max(permitted, 0)


@hot
def end_reduction(tcb: Tcb) -> None:
    """Recovery is over: cwnd is ssthresh, unless the reduction was undone."""
    if tcb.ssthresh < UNLIMITED and (tcb.recovery == REDUCED or tcb.marks & UNDO_ARMED != 0) and not is_own_master(tcb):
        tcb.cwnd = tcb.ssthresh


@hot
def enter_recovery(worker: Worker, tcb: Tcb, flight: Flight, outstanding: int, ece: bool) -> None:
    """A loss was found: fast recovery (RFC 6675 5, RFC 6582 3.2)."""
    count(worker, SACK_RECOVERY if tcb.agreed & SACK != 0 else RENO_RECOVERY, 1)
    if tcb.recovery == REDUCED:
        arm_undo(tcb, flight, 0, 0)
    else:
        arm_undo(tcb, flight, tcb.cwnd, 0 if ece else current_ssthresh(tcb))
        begin_reduction(worker, tcb, flight, outstanding)
    tcb.recovery_point = tcb.snd_nxt
    tcb.recovery = RECOVERY


@hot
def enter_reduced(worker: Worker, tcb: Tcb, flight: Flight, outstanding: int) -> None:
    """The network is congested, and nothing was lost: ECN (RFC 3168 6.1.2), or a loss that a probe repaired."""
    tcb.marks &= ~(UNDO_ARMED | UNDO_SENT)
    begin_reduction(worker, tcb, flight, outstanding)
    tcb.recovery_point = tcb.snd_nxt
    tcb.recovery = REDUCED


@leaf
def current_ssthresh(tcb: Tcb) -> int:
    """What ssthresh stands for now: Linux's tcp_current_ssthresh."""
    if tcb.recovery == REDUCED or tcb.recovery == RECOVERY:
        return tcb.ssthresh
    return max(tcb.ssthresh, (tcb.cwnd >> 1) + (tcb.cwnd >> 2))


# --- undo ---------------------------------------------------------------------------------------------------------


@leaf
def arm_undo(tcb: Tcb, flight: Flight, cwnd: int, ssthresh: int) -> None:
    """Remember what to go back to. ssthresh 0: there is no way back."""
    tcb.undo_cwnd, tcb.undo_ssthresh = cwnd, ssthresh
    tcb.undo_from = tcb.snd_una
    tcb.undo_count = tcb.resent
    tcb.marks = tcb.marks & ~UNDO_SENT | UNDO_ARMED | (UNDO_SENT if tcb.resent != 0 else 0)
    if tcb.resent == 0:
        flight.flags &= ~STAMPED


@leaf
def was_delayed(tcb: Tcb, flight: Flight, sample: Sample) -> bool:
    """Whether the acknowledgement answers something that was sent before the first retransmission (Eifel)."""
    if flight.address == 0:
        return False
    if flight.flags & STAMPED == 0:
        return tcb.marks & UNDO_SENT == 0
    return sample.flags & ECHOED != 0 and sequence.before(sample.echo, flight.resent_ts)


@leaf
def was_needless(tcb: Tcb) -> bool:
    """Whether everything that was sent again has arrived twice."""
    return tcb.marks & UNDO_SENT != 0 and tcb.undo_count == 0


@hot
def undo(tcb: Tcb) -> None:
    """Go back to the window there was before the reduction."""
    if tcb.undo_ssthresh != 0:
        tcb.cwnd = max(tcb.cwnd, tcb.undo_cwnd)
        tcb.ssthresh = max(tcb.ssthresh, tcb.undo_ssthresh)
    else:
        tcb.cwnd = max(tcb.cwnd, min(tcb.ssthresh, tcb.undo_cwnd))
    tcb.marks &= ~(UNDO_ARMED | UNDO_SENT)


@hot
def undo_recovery(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> None:
    """Everything that was in flight when recovery began is acknowledged."""
    if tcb.marks & UNDO_ARMED != 0 and (was_needless(tcb) or was_delayed(tcb, flight, sample)):
        count(worker, LOSS_UNDO if tcb.recovery == LOSS else FULL_UNDO, 1)
        undo(tcb)
    elif tcb.segments.persist > 0:
        tcb.segments.persist -= 1
        if tcb.segments.persist == 0:
            tcb.reorder_steps = 1


@hot
def undo_duplicates(worker: Worker, tcb: Tcb) -> bool:
    """A DSACK has explained the last retransmission."""
    if tcb.marks & UNDO_ARMED == 0 or not was_needless(tcb):
        return False
    count(worker, DSACK_UNDO, 1)
    undo(tcb)
    return True


@hot
def undo_partial(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> bool:
    """An acknowledgement in recovery: was it of the original? Returns whether recovery is over, or only waits."""
    if tcb.marks & UNDO_ARMED == 0 or not was_delayed(tcb, flight, sample):
        return False
    tcb.marks |= REORDER_SEEN
    count(worker, TS_REORDER if tcb.agreed & SACK != 0 else RENO_REORDER, 1)
    if tcb.resent != 0:
        return True  # wait for what was sent again
    count(worker, PARTIAL_UNDO, 1)
    undo(tcb)
    keep_open(tcb)
    return False


@leaf
def keep_open(tcb: Tcb) -> None:
    """Nothing is being recovered: OPEN, or DISORDER while something is missing (Linux's tcp_try_keep_open)."""
    state = DISORDER if tcb.sacked != 0 or tcb.lost != 0 or tcb.resent != 0 else OPEN
    if state != tcb.recovery:
        tcb.recovery = state
        tcb.recovery_point = tcb.snd_nxt


@leaf
def is_safe(sample: Sample) -> bool:
    """RFC 9937: snd_una moved, and nothing more was found lost."""
    return sample.flags & ADVANCED != 0 and sample.lost == 0


@leaf
def saw_ece(sample: Sample) -> bool:
    """Whether the acknowledgement reports congestion."""
    return sample.flags & ECE_SEEN != 0


@leaf
def resend_quietly(tcb: Tcb) -> None:
    """What is marked lost is sent again in LOSS, and no window is reduced (Linux's tcp_simple_retransmit)."""
    if tcb.lost != 0 and tcb.recovery != LOSS:
        tcb.ssthresh = current_ssthresh(tcb)
        tcb.recovery, tcb.recovery_point = LOSS, tcb.snd_nxt
        tcb.marks &= ~(UNDO_ARMED | UNDO_SENT)
