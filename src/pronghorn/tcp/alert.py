"""What state an acknowledgement puts the sender into: Linux's tcp_fastretrans_alert and tcp_process_loss.

    OPEN      nothing is wrong                          DISORDER   something is missing, perhaps only late
    REDUCED   the window goes down without a loss       RECOVERY   losses are being repaired (RFC 6675, 6582)
    LOSS      after a time-out (RFC 5681 3.1); F-RTO (RFC 5682) finds out whether it was needless

Without SACK (RFC 6582) duplicate acknowledgements stand for segments that have arrived: tcb.sacked counts them, so that
limited transmit (RFC 3042) and PRR follow from the same arithmetic as with SACK.
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import LOSS_PROBE_RECOVERY, LOSS_UNDO, SPURIOUS_RTOS
from pronghorn.state.worker import Worker
from pronghorn.tcp.delivery import uses_sack
from pronghorn.tcp.mtu_probe import probe_lost
from pronghorn.tcp.rack import DUPLICATES, forgive
from pronghorn.tcp.reduction import (
    end_reduction,
    enter_recovery,
    enter_reduced,
    keep_open,
    resend_quietly,
    saw_ece,
    undo,
    undo_duplicates,
    undo_partial,
    undo_recovery,
    was_delayed,
    was_needless,
)
from pronghorn.tcp.sample import (
    ADVANCED,
    DATA_SACKED,
    DSACK_SEEN,
    DUPLICATE,
    ORIGINAL,
    RENEGED,
    UNDO_ARMED,
    WINDOW_CHANGED,
    Sample,
)
from pronghorn.tcp.segments import (
    FRESH_ONLY,
    LOST,
    PROBE_RESENT,
    PROBED,
    RESENT,
    SPURIOUS,
    Flight,
    flight_of,
    mark_lost,
    record,
    split,
)
from pronghorn.tcp.tcb import DISORDER, ECN, LOSS, OPEN, RECOVERY, REDUCED, Tcb, tcp_of

MASK = 0xFFFF_FFFF


@cold
def alert(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> None:
    """Decide the state anew, after everything the acknowledgement says has been taken in."""
    if flight.flags & PROBED != 0:
        _end_probe(worker, tcb, flight, sample)
    if not uses_sack(tcb):
        _count_duplicates(tcb, sample)
    if tcb.recovery == OPEN and tcb.sacked | tcb.lost | tcb.resent == 0 and not saw_ece(sample):
        if sample.flags & DSACK_SEEN != 0:
            undo_duplicates(worker, tcb)
        return
    if sample.flags & RENEGED != 0:
        return  # believe nothing until the timer has run out
    if tcb.recovery == LOSS:
        if _in_loss(worker, tcb, flight, sample):
            return
    elif tcb.recovery == RECOVERY:
        if _in_recovery(worker, tcb, flight, sample):
            return
    elif tcb.recovery == REDUCED and not sequence.before(tcb.snd_una, tcb.recovery_point):
        end_reduction(tcb)
        tcb.recovery = OPEN
    _seek_recovery(worker, tcb, flight, sample)


@leaf
def _is_recovered(tcb: Tcb) -> bool:
    return not sequence.before(tcb.snd_una, tcb.recovery_point)


@leaf
def _is_held(tcb: Tcb) -> bool:
    """RFC 6582 4: without SACK the state stays until something beyond recovery_point is acknowledged, lest duplicates
    of old acknowledgements begin it anew."""
    return not uses_sack(tcb) and tcb.snd_una == tcb.recovery_point


@hot
def _seek_recovery(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> None:
    """OPEN, DISORDER or REDUCED: is there a loss to repair?"""
    if tcb.recovery <= DISORDER and sample.flags & DSACK_SEEN != 0:
        undo_duplicates(worker, tcb)
    if not uses_sack(tcb) and tcb.duplicates >= DUPLICATES and tcb.lost == 0:
        _head_lost(worker, tcb)
    if tcb.lost != 0 and tcb.recovery < RECOVERY:
        if tcb.rare != 0 and probe_lost(worker, tcp_of(worker), tcb):
            resend_quietly(tcb)
            return
        enter_recovery(worker, tcb, flight_of(worker, tcb), _outstanding(sample), saw_ece(sample))
        return
    if tcb.recovery <= DISORDER:
        congested = saw_ece(sample) and tcb.agreed & ECN != 0
        if congested and flight.count > 0 and sequence.after(tcb.snd_una, tcb.recovery_point):
            enter_reduced(worker, tcb, flight, _outstanding(sample))
        else:
            keep_open(tcb)


@leaf
def _outstanding(sample: Sample) -> int:
    return sample.flight


# --- RECOVERY -----------------------------------------------------------------------------------------------------


@hot
def _in_recovery(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> bool:
    """Returns True when nothing more is to be decided."""
    if _is_recovered(tcb):
        undo_recovery(worker, tcb, flight, sample)
        if _is_held(tcb):
            return True
        end_reduction(tcb)
        tcb.recovery = OPEN
        return False
    if sample.flags & ADVANCED != 0 and undo_partial(worker, tcb, flight, sample):
        return True
    if sample.flags & DSACK_SEEN != 0 and tcb.recovery == RECOVERY and undo_duplicates(worker, tcb):
        keep_open(tcb)
    if tcb.recovery != RECOVERY:
        return False
    if not uses_sack(tcb) and sample.flags & ADVANCED != 0:
        _head_lost(worker, tcb)  # RFC 6582 3.2, step 3: a partial acknowledgement
    return True


@hot
def _head_lost(worker: Worker, tcb: Tcb) -> None:
    """Without SACK: the first segment in flight is lost."""
    flight = flight_of(worker, tcb)
    if flight.count == 0:
        return
    if record(flight, 0).octets > tcb.mss and split(worker, tcb, 0, tcb.mss):
        flight = flight_of(worker, tcb)
    segment = record(flight, 0)
    if segment.flags & (LOST | RESENT) == 0:
        mark_lost(tcb, flight, segment)
        _limit_duplicates(tcb)


@hot
def _count_duplicates(tcb: Tcb, sample: Sample) -> None:
    """Without SACK: a duplicate acknowledgement says that a segment has arrived, a new one which they were."""
    if sample.flags & ADVANCED != 0:
        told = min(tcb.sacked, max(sample.delivered - tcb.mss, 0))
        tcb.delivered -= told
        sample.delivered -= told
        tcb.sacked = tcb.sacked - min(tcb.sacked, max(sample.acked - tcb.mss, 0)) if tcb.recovery == RECOVERY else 0
        tcb.duplicates = 0
        _limit_duplicates(tcb)
    elif sample.flags & DUPLICATE != 0:
        tcb.duplicates = min(tcb.duplicates + 1, 255)
        before = tcb.sacked
        tcb.sacked += tcb.mss
        _limit_duplicates(tcb)
        arrived = max(tcb.sacked - before, 0)
        tcb.delivered += arrived
        sample.delivered += arrived


@leaf
def _limit_duplicates(tcb: Tcb) -> None:
    """There cannot be more duplicates than segments, in recovery than segments that were in flight when it began.

    RFC 5681 3.2, step 4: who forges more of them gains nothing. After a time-out they can only be of the new data that
    F-RTO has sent.
    """
    if tcb.recovery == LOSS:
        most = max(min(sequence.difference(tcb.snd_nxt, tcb.recovery_point), 2 * tcb.mss), 0)
        most = min(most, (tcb.snd_nxt - tcb.snd_una & MASK) - tcb.lost)
    else:
        right = tcb.recovery_point if tcb.recovery == RECOVERY else tcb.snd_nxt
        most = max((right - tcb.snd_una & MASK) - tcb.lost - tcb.mss, 0)
    if tcb.sacked > most:
        tcb.sacked = most


# --- LOSS ---------------------------------------------------------------------------------------------------------


@hot
def _in_loss(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> bool:
    """After a time-out: was it needless (Eifel, F-RTO), is it over? Returns True when nothing more is to be decided."""
    flags = sample.flags
    if (
        flags & ADVANCED != 0
        and tcb.marks & UNDO_ARMED != 0
        and (was_needless(tcb) or was_delayed(tcb, flight, sample))
    ):
        _undo_loss(worker, tcb, flight)
        return False
    if flight.flags & SPURIOUS != 0:
        if flags & ORIGINAL != 0:  # RFC 5682 2.1, step 3b: what was sent once has arrived
            count(worker, SPURIOUS_RTOS, 1)
            _undo_loss(worker, tcb, flight)
            return False
        if sequence.after(tcb.snd_nxt, tcb.recovery_point):
            if flags & (DATA_SACKED | DUPLICATE) != 0:
                flight.flags &= ~SPURIOUS  # step 3a: the loss was real
        elif flags & ADVANCED != 0 and not _is_recovered(tcb):
            tcb.recovery_point = tcb.snd_nxt
            if _can_send_fresh(tcb):  # step 2b
                flight.flags |= FRESH_ONLY
                return True
            flight.flags &= ~SPURIOUS
    if _is_recovered(tcb):
        undo_recovery(worker, tcb, flight, sample)
        flight.flags &= ~SPURIOUS
        if _is_held(tcb):
            return True
        tcb.recovery = OPEN
        return False
    return True


@leaf
def _can_send_fresh(tcb: Tcb) -> bool:
    """Whether there is new data, and the peer takes it."""
    fresh = sequence.difference(tcb.snd_end, tcb.snd_nxt)
    return fresh > 0 and tcb.snd_window - (tcb.snd_nxt - tcb.snd_una & MASK) > 0


@hot
def _undo_loss(worker: Worker, tcb: Tcb, flight: Flight) -> None:
    """The time-out was needless: forget the losses and the reduction."""
    count(worker, LOSS_UNDO, 1)
    if flight.count > 0:
        forgive(tcb, flight)
    if tcb.marks & UNDO_ARMED != 0:
        undo(tcb)
    flight.flags &= ~SPURIOUS
    tcb.recovery = DISORDER
    keep_open(tcb)


# --- loss probes --------------------------------------------------------------------------------------------------


@hot
def _end_probe(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> None:
    """RFC 8985 7.4.2: what became of the loss probe?"""
    if sequence.before(tcb.snd_una, flight.probe_end):
        return
    if flight.flags & PROBE_RESENT == 0:
        flight.flags &= ~PROBED
    elif sequence.after(tcb.snd_una, flight.probe_end):
        flight.flags &= ~(PROBED | PROBE_RESENT)
        _probe_repaired(worker, tcb, flight, sample)
    elif sample.flags & (ADVANCED | DATA_SACKED | WINDOW_CHANGED) == 0:
        flight.flags &= ~(PROBED | PROBE_RESENT)  # a duplicate: both the original and the probe have arrived


@hot
def _probe_repaired(worker: Worker, tcb: Tcb, flight: Flight, sample: Sample) -> None:
    """The probe has repaired a loss: that is congestion, too. The window goes down at once (Linux)."""
    count(worker, LOSS_PROBE_RECOVERY, 1)
    if tcb.recovery < REDUCED:
        enter_reduced(worker, tcb, flight, _outstanding(sample))
        end_reduction(tcb)
        tcb.recovery = OPEN
