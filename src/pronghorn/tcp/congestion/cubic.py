"""CUBIC (RFC 9438): after a loss the window returns fast to where it was, stays there, and then probes further.

    W(t) = C (t - K)^3 + W_max,    K = cbrt((W_max - cwnd at the epoch's start) / C),    C = 0.4 segments / s^3

in octets and milliseconds, without floats. Where NewReno would be faster its window is taken instead (4.3); a flow
that shrinks leaves more to others (fast convergence, 4.7). Slow start ends by HyStart++ (hystart.py).
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion.hystart import hystart_acked, hystart_start
from pronghorn.tcp.congestion.window import WINDOW_MOST, grow, is_limited, least, slow_start
from pronghorn.tcp.sample import NO_RTT, Sample
from pronghorn.tcp.tcb import Tcb, elapsed

# control words; 8 to 11 are hystart.py's
PRIOR = 0  # octets: cwnd before the last reduction; 0: there was none
EPOCH = 1  # stamp: when congestion avoidance began
K = 2  # ms from then until W_max is reached
ORIGIN = 3  # octets: W_max
ESTIMATE = 4  # octets: NewReno's window; 0: no epoch has begun
ESTIMATE_REST = 5
REST = 6
W_MAX = 7  # octets: after fast convergence

FAR = 100_000
"""ms: t - K is limited to this, and so W(t) to 64 bits."""


@leaf
def cubic_start(tcb: Tcb) -> None:
    """A new connection."""
    hystart_start(tcb)


@hot
def cube_root(value: int) -> int:
    """The largest integer whose cube is at most `value`, 0 to 2**62."""
    root = 0
    bit = 1 << 20
    while bit > 0:
        candidate = root | bit
        if candidate * candidate * candidate <= value:
            root = candidate
        bit >>= 1
    return root


@hot
def cubic_acked(worker: Worker, tcb: Tcb, sample: Sample) -> None:
    """The window grows."""
    if not is_limited(tcb):
        return
    octets = sample.delivered
    if tcb.cwnd < tcb.ssthresh:
        growth = octets
        if sample.rtt_last != NO_RTT:
            growth = hystart_acked(worker, tcb, sample, octets)
        left = slow_start(tcb, growth)
        if tcb.cwnd < tcb.ssthresh or left == 0:
            return
        octets = left
    if tcb.control[ESTIMATE] == 0:
        _begin_epoch(tcb, sample.now)
    target = _target(tcb, elapsed(sample.now, tcb.control[EPOCH]) + (tcb.srtt >> 3))
    _grow_estimate(tcb, octets)
    if tcb.control[ESTIMATE] > max(target, tcb.cwnd):
        tcb.cwnd = min(tcb.control[ESTIMATE], WINDOW_MOST)  # the Reno-friendly region
    else:
        grow(tcb, REST, (target - tcb.cwnd) * octets)


@hot
def _begin_epoch(tcb: Tcb, now: int) -> None:
    """RFC 9438 4.2, 4.8: congestion avoidance begins."""
    control = tcb.control
    control[EPOCH] = now
    control[ESTIMATE], control[ESTIMATE_REST], control[REST] = tcb.cwnd, 0, 0
    if tcb.cwnd < control[W_MAX]:
        control[ORIGIN] = control[W_MAX]
        control[K] = cube_root((control[W_MAX] - tcb.cwnd) * 2_500_000_000 // tcb.mss)
    else:
        control[ORIGIN], control[K] = tcb.cwnd, 0


@hot
def _target(tcb: Tcb, passed: int) -> int:
    """RFC 9438 4.2: W(t + RTT), `passed` us into the epoch; between cwnd and half as much again."""
    t = passed // 1000 - tcb.control[K]
    t = max(min(t, FAR), -FAR)
    cube = t * t * t
    if cube >= 0:
        window = tcb.control[ORIGIN] + cube // 1000 * tcb.mss * 4 // 10_000_000
    else:
        window = tcb.control[ORIGIN] - -cube // 1000 * tcb.mss * 4 // 10_000_000
    return max(min(window, tcb.cwnd + (tcb.cwnd >> 1)), tcb.cwnd)


@hot
def _grow_estimate(tcb: Tcb, octets: int) -> None:
    """RFC 9438 4.3: NewReno's window, had it fallen to 0.7; alpha is 9 / 17 until the old window is reached."""
    control = tcb.control
    amount = octets * tcb.mss
    if control[ESTIMATE] < control[PRIOR]:
        amount = amount * 9 // 17
    cwnd = max(tcb.cwnd, 1)
    amount += control[ESTIMATE_REST]
    control[ESTIMATE_REST] = amount % cwnd
    control[ESTIMATE] = min(control[ESTIMATE] + amount // cwnd, WINDOW_MOST)


@hot
def cubic_loss(tcb: Tcb) -> int:
    """RFC 9438 4.6, 4.7: seven tenths of the window."""
    control = tcb.control
    cwnd = tcb.cwnd
    control[W_MAX] = cwnd * 17 // 20 if cwnd < control[W_MAX] else cwnd
    control[PRIOR] = cwnd
    control[ESTIMATE] = 0
    return max(cwnd * 7 // 10, least(tcb))


@leaf
def cubic_timeout(tcb: Tcb) -> None:
    """RFC 9438 4.8: the next epoch begins without memory of W_max's shape; slow start leads to ssthresh first."""
    tcb.control[W_MAX] = 0
    tcb.control[ESTIMATE] = 0
    hystart_start(tcb)


@leaf
def cubic_idle(tcb: Tcb, idle: int) -> None:
    """RFC 9438 5.8: time without data does not count."""
    if tcb.control[ESTIMATE] != 0:
        tcb.control[EPOCH] += idle
