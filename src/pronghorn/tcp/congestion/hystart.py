"""HyStart++ (RFC 9406): slow start ends when the RTT rises, before the queue overflows.

A round whose least RTT is clearly above the last one's begins conservative slow start, a quarter as fast; if the RTT
falls again that was a mistake; after five rounds congestion avoidance begins. Left out: the limit L on growth per
acknowledgement, since receivers that merge segments acknowledge many at once (Linux has none either).

Control words 8 to 11.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import HYSTART_DELAY_DETECT
from pronghorn.state.worker import Worker
from pronghorn.tcp.sample import Sample
from pronghorn.tcp.tcb import Tcb

ROUND_END = 8  # the round ends when this is acknowledged
LAST = 9  # us: least RTT of the last round; 0: none
CURRENT = 10  # us: of this one; 0: none. In conservative slow start the baseline is in its high half: see STATE
STATE = 11  # bits 0-7 samples of this round; bits 8-11 conservative rounds, plus 1; bits 12-31 the baseline, 16 us

RTT_LEAST, RTT_MOST = 4_000, 16_000
SAMPLES = 8
ROUNDS = 5
DIVISOR = 4


@leaf
def hystart_start(tcb: Tcb) -> None:
    """Slow start begins."""
    tcb.control[ROUND_END] = tcb.snd_nxt
    tcb.control[LAST], tcb.control[CURRENT], tcb.control[STATE] = 0, 0, 0


@hot
def hystart_acked(worker: Worker, tcb: Tcb, sample: Sample, octets: int) -> int:
    """Take in an acknowledgement's RTT. Returns by how many octets the window may grow; may set ssthresh."""
    control = tcb.control
    state = control[STATE]
    samples, rounds, baseline = state & 0xFF, state >> 8 & 0xF, state >> 12 << 4
    rtt = max(sample.rtt_last, 1)
    if sequence.after(tcb.snd_una, control[ROUND_END]):
        control[ROUND_END] = tcb.snd_nxt
        control[LAST], control[CURRENT] = control[CURRENT], 0
        samples = 0
        if rounds > 0:
            rounds += 1
            if rounds > ROUNDS:
                tcb.ssthresh = tcb.cwnd
                control[STATE] = 0
                return octets
    control[CURRENT] = rtt if control[CURRENT] == 0 else min(control[CURRENT], rtt)
    samples = min(samples + 1, 255)
    if samples >= SAMPLES:
        current, last = control[CURRENT], control[LAST]
        if rounds == 0 and last != 0 and current >= last + max(RTT_LEAST, min(last >> 3, RTT_MOST)):
            rounds, baseline = 1, current
            count(worker, HYSTART_DELAY_DETECT, 1)
        elif rounds > 0 and current < baseline:
            rounds, baseline = 0, 0
    control[STATE] = samples | rounds << 8 | min(baseline >> 4, 0xFFFFF) << 12
    return octets if rounds == 0 else octets // DIVISOR
