"""Which of the sender's timers runs: the RTO (RFC 6298 5), a loss probe (RFC 8985 7) or RACK's reordering timer.

There is one deadline, retransmit_at, and its kind. A loss probe replaces the RTO while nothing is wrong; the
reordering timer replaces both while RACK waits for something late; each is followed by the RTO.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.state.worker import Worker
from pronghorn.tcp.deadlines import arm
from pronghorn.tcp.rtt import RTO_LEAST, rto_now
from pronghorn.tcp.sample import LOSS_PROBE, REORDERING, RETRANSMIT, WINDOW_PROBE
from pronghorn.tcp.segments import PROBED, Flight, record
from pronghorn.tcp.tcb import NEVER, OPEN, REDUCED, SACK, Tcb, Tcp, elapsed

PROBE_LEAST = 2_000
"""us: added to a loss probe's two round trips (Linux's TCP_TIMEOUT_MIN_US)."""


@leaf
def set_timer(worker: Worker, tcp: Tcp, tcb: Tcb, kind: int, delay: int) -> None:
    """Let the timer of this kind run out in `delay` ns."""
    tcb.retransmit_kind = kind
    tcb.retransmit_at = worker.now + delay
    arm(tcp, tcb, tcb.retransmit_at)


@leaf
def set_rto(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """RFC 6298 5.1, 5.3: the RTO runs from now."""
    set_timer(worker, tcp, tcb, RETRANSMIT, rto_now(tcb))


@hot
def set_probe(worker: Worker, tcp: Tcp, tcb: Tcb, flight: Flight, left: int) -> bool:
    """RFC 8985 7.2: let a loss probe be sent, if one may be. `left`: us until the RTO; the probe is not later."""
    if tcb.agreed & SACK == 0 or tcb.srtt == 0 or flight.flags & PROBED != 0:
        return False
    if (tcb.recovery != OPEN and tcb.recovery != REDUCED) or tcb.sacked != 0 or tcb.lost != 0 or tcb.backoff != 0:
        return False
    timeout = tcb.srtt >> 2
    timeout += RTO_LEAST if flight.count == 1 and record(flight, 0).octets <= tcb.mss else PROBE_LEAST
    set_timer(worker, tcp, tcb, LOSS_PROBE, min(timeout, max(left, 1)) * 1000)
    return True


@hot
def timer_sent(worker: Worker, tcp: Tcp, tcb: Tcb, flight: Flight, now: int) -> None:
    """New data was sent, at the stamp `now`."""
    kind = tcb.retransmit_kind
    if tcb.retransmit_at != NEVER and kind == REORDERING:
        return
    left = tcb.rto - elapsed(now, record(flight, 0).sent)
    if set_probe(worker, tcp, tcb, flight, left):
        return
    if flight.count == 1 or tcb.retransmit_at == NEVER or kind == LOSS_PROBE or kind == WINDOW_PROBE:
        set_rto(worker, tcp, tcb)


@hot
def timer_acked(worker: Worker, tcp: Tcp, tcb: Tcb, flight: Flight) -> None:
    """Something was acknowledged, and more is in flight."""
    if not set_probe(worker, tcp, tcb, flight, tcb.rto):
        set_rto(worker, tcp, tcb)
