"""How fast, and in what bursts (Linux's internal pacing and TSO autosizing).

A paced connection sends nothing before `paced_at`. The rate is the congestion control's: congestion/__init__.py `pace`,
or BBR's own.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion import congestion_start, is_own_master, pace
from pronghorn.tcp.sample import PACED
from pronghorn.tcp.tcb import TICK, Tcb

BURST_MOST = 65_535
"""Octets of the largest burst."""
BURST_NS = 1_000_000
"""ns that a burst of more than two segments takes at most (tcp_tso_autosize's sk_pacing_shift of 10)."""
LATE = 2 << TICK
"""ns that a timer may be late: two ticks of the wheel."""


@leaf
def pacing_sent(worker: Worker, tcb: Tcb, octets: int) -> None:
    """So many octets of payload were sent: nothing more until they have gone at the pacing rate.

    A sender that was late may make up for half of what it sends (Linux's tcp_update_skb_after_send); where the port
    takes single segments, for half of the millisecond that Linux would send in one go; and for what its timer cost: at
    1 Gbit/s a segment takes 12 us, the timer's tick is 65.
    """
    if tcb.pacing_rate == 0:
        return
    takes = octets * 1_000_000_000 // tcb.pacing_rate
    late = max(worker.now - tcb.paced_at, 0) if tcb.paced_at != 0 else 0
    burst = min(super_segment(worker, tcb) * 1_000_000_000 // tcb.pacing_rate, BURST_NS)
    tcb.paced_at = max(tcb.paced_at, worker.now) + takes - min(late, max(takes >> 1, burst >> 1, LATE))


@leaf
def super_segment(worker: Worker, tcb: Tcb) -> int:
    """Octets of the largest burst to send at once: what goes in about a millisecond, 2 segments to 64 KB."""
    rate = tcb.pacing_rate
    if rate == 0:
        rate = tcb.cwnd * 16_000_000 // max(tcb.srtt, 1)  # twice the window in a round trip
    return min(max(rate >> 10, 2 * tcb.mss), BURST_MOST)


@hot
def pacing_ask(worker: Worker, tcb: Tcb, wanted: int) -> None:
    """The application asks for pacing (1), or for none (0). BBR paces always."""
    if wanted != 0:
        tcb.marks |= PACED
        pace(tcb)
    else:
        tcb.marks &= ~PACED
        if not is_own_master(tcb):
            tcb.pacing_rate = 0


@hot
def congestion_change(worker: Worker, tcb: Tcb, number: int) -> None:
    """Use another congestion control from now on (TCP_CONGESTION)."""
    tcb.congestion = number
    tcb.pacing_rate = 0
    congestion_start(worker, tcb)
    pace(tcb)
