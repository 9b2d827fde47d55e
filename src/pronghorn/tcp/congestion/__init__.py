"""How much may be in flight. One congestion control per file; this is the table that chooses among them.

A congestion control has a number (Tcb.congestion), and CONTROL words of the Tcb to remember things in:

    start      the connection is established: mss is known
    acked      octets were delivered, and no reduction is going on (BBR: always)
    loss       a loss, or ECN's sign of congestion: returns the new ssthresh
    timeout    a time-out, after `loss`
    idle       data is about to be sent after so many us without

window.py is what they share. BBR is its own master: it sets cwnd itself at every acknowledgement, also in recovery.
"""

from __future__ import annotations

from pronghorn.compiled import fill, hot, leaf
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion.bbr import bbr_acked, bbr_idle, bbr_loss, bbr_start, bbr_timeout
from pronghorn.tcp.congestion.cubic import cubic_acked, cubic_idle, cubic_loss, cubic_start, cubic_timeout
from pronghorn.tcp.congestion.newreno import newreno_acked, newreno_loss
from pronghorn.tcp.sample import PACED, Sample
from pronghorn.tcp.tcb import CONTROL, PACING_MOST, Tcb, stamp

NEWRENO, CUBIC, BBR = 0, 1, 2
CONGESTION = {"reno": NEWRENO, "cubic": CUBIC, "bbr": BBR}
"""Names, as TCP_CONGESTION has them."""


@leaf
def is_own_master(tcb: Tcb) -> bool:
    """Whether the congestion control sets cwnd alone: neither growth nor PRR applies."""
    return tcb.congestion == BBR


@hot
def congestion_start(worker: Worker, tcb: Tcb) -> None:
    """The connection is established, or has changed its congestion control."""
    fill(tcb.control.address, 0, CONTROL * 4)
    if tcb.congestion == CUBIC:
        cubic_start(tcb)
    elif tcb.congestion == BBR:
        bbr_start(tcb, stamp(worker))


@hot
def congestion_acked(worker: Worker, tcb: Tcb, sample: Sample) -> None:
    """Octets were delivered: the window may grow."""
    if tcb.congestion == CUBIC:
        cubic_acked(worker, tcb, sample)
    elif tcb.congestion == BBR:
        bbr_acked(worker, tcb, sample)
    else:
        newreno_acked(tcb, sample)


@hot
def congestion_loss(worker: Worker, tcb: Tcb) -> int:
    """The new ssthresh, octets."""
    if tcb.congestion == CUBIC:
        return cubic_loss(tcb)
    if tcb.congestion == BBR:
        return bbr_loss(tcb)
    return newreno_loss(tcb)


@hot
def congestion_timeout(worker: Worker, tcb: Tcb) -> None:
    """A time-out."""
    if tcb.congestion == CUBIC:
        cubic_timeout(tcb)
    elif tcb.congestion == BBR:
        bbr_timeout(tcb)


@hot
def congestion_idle(worker: Worker, tcb: Tcb, idle: int) -> None:
    """The connection was idle for so many us."""
    if tcb.congestion == CUBIC:
        cubic_idle(tcb, idle)
    elif tcb.congestion == BBR:
        bbr_idle(worker, tcb, stamp(worker))


@leaf
def pace(tcb: Tcb) -> None:
    """Set the pacing rate, of a connection that asks for it: twice the window in a round trip, 1.2 times later on."""
    if tcb.marks & PACED != 0 and tcb.srtt != 0 and not is_own_master(tcb):
        percent = 200 if tcb.cwnd < tcb.ssthresh >> 1 else 120
        tcb.pacing_rate = min(tcb.cwnd * percent * 80_000 // tcb.srtt, PACING_MOST)
