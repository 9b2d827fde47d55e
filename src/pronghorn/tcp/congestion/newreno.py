"""NewReno (RFC 5681, 6582): a segment more each round trip, half after a loss. Octets are counted (RFC 3465).

Control word 0: the remainder of growth.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.tcp.congestion.window import grow, is_limited, least, slow_start
from pronghorn.tcp.sample import Sample
from pronghorn.tcp.tcb import Tcb


@hot
def newreno_acked(tcb: Tcb, sample: Sample) -> None:
    """Slow start below ssthresh; congestion avoidance above: a segment for each window delivered."""
    if not is_limited(tcb):
        return
    octets = sample.delivered
    if tcb.cwnd < tcb.ssthresh:
        octets = slow_start(tcb, octets)
    if octets > 0:
        grow(tcb, 0, octets * tcb.mss)


@hot
def newreno_loss(tcb: Tcb) -> int:
    """Half of the window."""
    tcb.control[0] = 0
    return max(tcb.cwnd >> 1, least(tcb))
