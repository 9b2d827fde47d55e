"""Round-trip time and retransmission time-out (RFC 6298), with Linux's refinements.

Linux's tcp_rtt_estimator, in microseconds: the deviation counts for a whole round trip with its largest value, a
falling RTT does not blow up the deviation, and the RTO is never less than srtt + 200 ms, nor more than 120 s. Samples
of retransmitted segments are never taken (Karn); timestamps (RFC 7323 4) serve where nothing else does.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.tcp.tcb import Tcb, elapsed

RTO_INITIAL, RTO_LEAST, RTO_MOST = 1_000_000, 200_000, 120_000_000
"""Microseconds: RFC 6298 2.1; Linux's TCP_RTO_MIN and TCP_RTO_MAX."""

MINIMUM_WINDOW = 150_000_000
"""us: rtt_min is the least of the last one to two of these (Linux: the last 300 s)."""


@leaf
def rtt_open(tcb: Tcb) -> None:
    """Nothing is known."""
    tcb.srtt, tcb.rttvar, tcb.mdev, tcb.mdev_max, tcb.rtt_min, tcb.rtt_next = 0, 0, 0, 0, 0, 0
    tcb.rto, tcb.segments.slow = RTO_INITIAL, 0


@hot
def rtt_sample(tcb: Tcb, now: int, rtt: int) -> None:
    """Take in a sample of `rtt` us at the stamp `now`. Sets srtt, the deviations, rto and rtt_min."""
    rtt = max(rtt, 1)
    tcb.segments.slow = 0
    rtt_minimum(tcb, now, rtt)
    if tcb.srtt == 0:
        tcb.srtt, tcb.mdev = rtt << 3, rtt << 1
        tcb.rttvar = tcb.mdev_max = max(rtt << 1, RTO_LEAST)
        tcb.rtt_round = tcb.snd_nxt
    else:
        _estimate(tcb, rtt)
    tcb.rto = min((tcb.srtt >> 3) + tcb.rttvar, RTO_MOST)


@leaf
def _estimate(tcb: Tcb, rtt: int) -> None:
    error = rtt - (tcb.srtt >> 3)
    tcb.srtt = max(tcb.srtt + error, 1)
    if error < 0:
        error = -error - (tcb.mdev >> 2)
        if error > 0:
            error >>= 3  # the RTT falls: the deviation follows slowly
    else:
        error -= tcb.mdev >> 2
    tcb.mdev += error
    if tcb.mdev > tcb.mdev_max:
        tcb.mdev_max = tcb.mdev
        tcb.rttvar = max(tcb.rttvar, tcb.mdev)
    if sequence.after(tcb.snd_una, tcb.rtt_round):
        if tcb.mdev_max < tcb.rttvar:
            tcb.rttvar -= (tcb.rttvar - tcb.mdev_max) >> 2
        tcb.rtt_round = tcb.snd_nxt
        tcb.mdev_max = RTO_LEAST


@leaf
def rtt_minimum(tcb: Tcb, now: int, rtt: int) -> None:
    """Keep the least RTT of the last minutes."""
    if tcb.rtt_next == 0 or rtt <= tcb.rtt_next:
        if tcb.rtt_next == 0:
            tcb.rtt_next_at = now
        tcb.rtt_next = rtt
    if tcb.rtt_min == 0 or rtt <= tcb.rtt_min:
        tcb.rtt_min = rtt
        tcb.rtt_next, tcb.rtt_next_at = rtt, now
    elif elapsed(now, tcb.rtt_next_at) > MINIMUM_WINDOW:
        tcb.rtt_min, tcb.rtt_next, tcb.rtt_next_at = tcb.rtt_next, rtt, now


@leaf
def rto_now(tcb: Tcb) -> int:
    """ns: the time-out with its back-off (RFC 6298 5.5), 120 s at most."""
    return min(tcb.rto << min(tcb.segments.slow, 12), RTO_MOST) * 1000
