"""BBR, version 1 (Cardwell et al., ACM Queue 14:5, 2016; draft-cardwell-iccrg-bbr-congestion-control-00; tcp_bbr.c).

The path is modelled by the largest delivery rate of the last rounds and the least RTT of the last ten seconds; what is
in flight is a gain times their product, and it is sent at a gain times that rate. A loss is no signal: random losses
of many percent hardly slow it down (version 3 gives way above 2 %).

    STARTUP    doubles each round, until three rounds brought less than a quarter more
    DRAIN      lets the queue go that STARTUP made
    PROBE_BW   eight phases of a least RTT: 5/4 of the rate, 3/4, and six times the rate
    PROBE_RTT  four segments in flight for 200 ms, when the least RTT is ten seconds old

Left out: the detection of policers (long-term sampling), and the allowance for aggregated acknowledgements.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.state.worker import Worker, random_number
from pronghorn.tcp.sample import BUBBLE, NO_RTT, RATE_LIMITED, RATED, Sample
from pronghorn.tcp.tcb import PACING_MOST, RECOVERY, Tcb, elapsed, in_flight

# control words
STATE = 0  # mode, phase and the bits below
NEXT_ROUND = 1  # tcb.delivered at which the round ends
ROUNDS = 2
RATE = 3  # 16 octets/s: largest rate of the last rounds ...
RATE_BEFORE = 4  # ... and of the eight before them
TURNED = 5  # ROUNDS when these were turned over
LEAST_RTT = 6  # us
LEAST_AT = 7  # stamp
SINCE = 8  # stamp: PROBE_BW: when the phase began; PROBE_RTT: when it may end
FULL_RATE = 9  # 16 octets/s: what STARTUP has reached
PRIOR = 10  # octets: cwnd before the loss or PROBE_RTT
FULL_ROUNDS = 11  # rounds without growth

STARTUP, DRAIN, PROBE_BW, PROBE_RTT = range(4)
MODE = 3
PHASE_SHIFT = 2  # three bits
PHASE = 7 << PHASE_SHIFT
ROUND_START = 1 << 5
CONSERVE = 1 << 6  # the first round of recovery: as much goes in as comes out
IDLE = 1 << 7  # begins again after a pause
RTT_ROUND = 1 << 8  # PROBE_RTT: a round has passed in it
SEEN_RTT = 1 << 9
FULL = 1 << 10  # the pipe is full
WAITS = 1 << 11  # PROBE_RTT: SINCE is valid
RECOVERING = 1 << 12  # state at the acknowledgement before was RECOVERY or LOSS
HAS_LEAST = 1 << 13

GAIN = 8  # bits behind the point of gains
ONE = 1 << GAIN
HIGH, LOW = 739, 88  # 2 / ln 2, and its inverse
ROUNDS_KEPT = 8
RTT_KEPT = 10_000_000
RTT_PROBE = 200_000
WINDOW_MOST = 1 << 30


@leaf
def _mode(tcb: Tcb) -> int:
    return tcb.control[STATE] & MODE


@leaf
def _is(tcb: Tcb, bit: int) -> bool:
    return tcb.control[STATE] & bit != 0


@leaf
def _set(tcb: Tcb, clear: int, bits: int) -> None:
    tcb.control[STATE] = tcb.control[STATE] & ~clear | bits


@leaf
def _rate(tcb: Tcb) -> int:
    """16 octets/s."""
    return max(tcb.control[RATE], tcb.control[RATE_BEFORE])


@leaf
def _pacing_gain(tcb: Tcb) -> int:
    state = tcb.control[STATE]
    mode, phase = state & MODE, (state & PHASE) >> PHASE_SHIFT
    if mode == STARTUP:
        return HIGH
    if mode == DRAIN:
        return LOW
    if mode == PROBE_RTT or phase > 1:
        return ONE
    return ONE + (ONE >> 2) if phase == 0 else ONE - (ONE >> 2)


@leaf
def _window_gain(tcb: Tcb) -> int:
    mode = _mode(tcb)
    if mode == PROBE_BW:
        return 2 * ONE
    return ONE if mode == PROBE_RTT else HIGH


@hot
def bbr_start(tcb: Tcb, now: int) -> None:
    """The connection is established: STARTUP, at 2.9 times what the window makes in a round trip."""
    control = tcb.control
    control[STATE] = STARTUP
    control[NEXT_ROUND] = tcb.delivered
    control[LEAST_AT] = now
    if tcb.rtt_min != 0:
        control[LEAST_RTT] = tcb.rtt_min
        _set(tcb, 0, HAS_LEAST)
    if tcb.srtt != 0:
        _set(tcb, 0, SEEN_RTT)
    tcb.pacing_rate = _first_rate(tcb)


@leaf
def _first_rate(tcb: Tcb) -> int:
    rtt = max(tcb.srtt >> 3, 1) if tcb.srtt != 0 else 1000
    return min(max((tcb.cwnd * 1_000_000 // rtt * HIGH) >> GAIN, 1), PACING_MOST)


@hot
def bbr_acked(worker: Worker, tcb: Tcb, sample: Sample) -> None:
    """An acknowledgement: update the model, then rate and window."""
    _update_rate(tcb, sample)
    _update_phase(tcb, sample)
    _check_full(tcb, sample)
    _check_drain(worker, tcb, sample)
    _update_least(worker, tcb, sample)
    _set_rate(tcb)
    _set_window(tcb, sample)


@hot
def _update_rate(tcb: Tcb, sample: Sample) -> None:
    """Rounds, and the windowed maximum of the rate."""
    control = tcb.control
    _set(tcb, ROUND_START, 0)
    if sample.flags & RATED == 0 or sample.interval == 0:
        return
    if not sequence.before(sample.prior_delivered, control[NEXT_ROUND]):
        control[NEXT_ROUND] = tcb.delivered
        control[ROUNDS] += 1
        _set(tcb, CONSERVE, ROUND_START)
        if control[ROUNDS] - control[TURNED] & 0xFFFF_FFFF >= ROUNDS_KEPT:
            control[RATE_BEFORE], control[RATE], control[TURNED] = control[RATE], 0, control[ROUNDS]
    rate = min(sample.rate >> 4, 0xFFFF_FFFF)
    if sample.flags & RATE_LIMITED == 0 or rate >= _rate(tcb):
        control[RATE] = max(control[RATE], rate)


@leaf
def _inflight(tcb: Tcb, gain: int) -> int:
    """Octets: a gain times the path's rate and least RTT, and three bursts, so that offloads find work."""
    if tcb.control[STATE] & HAS_LEAST == 0:
        return 10 * tcb.mss
    product = _rate(tcb) * tcb.control[LEAST_RTT] // 62_500
    burst = min(max(tcb.pacing_rate >> 10, tcb.mss), 65_535)
    return min((product * gain) >> GAIN, WINDOW_MOST) + 3 * burst


@hot
def _update_phase(tcb: Tcb, sample: Sample) -> None:
    """PROBE_BW: go on to the next phase when this one's work is done."""
    if _mode(tcb) != PROBE_BW:
        return
    control = tcb.control
    full_length = elapsed(sample.now, control[SINCE]) > control[LEAST_RTT]
    gain = _pacing_gain(tcb)
    done = full_length
    if gain > ONE:
        done = full_length and (sample.lost != 0 or sample.flight >= _inflight(tcb, gain))
    elif gain < ONE:
        done = full_length or sample.flight <= _inflight(tcb, ONE)
    if done:
        phase = ((control[STATE] & PHASE) >> PHASE_SHIFT) + 1 & 7
        _set(tcb, PHASE, phase << PHASE_SHIFT)
        control[SINCE] = sample.now


@hot
def _check_full(tcb: Tcb, sample: Sample) -> None:
    """STARTUP: has the rate stopped growing?"""
    if _is(tcb, FULL) or not _is(tcb, ROUND_START) or sample.flags & RATE_LIMITED != 0:
        return
    control = tcb.control
    if _rate(tcb) * 4 >= control[FULL_RATE] * 5:
        control[FULL_RATE], control[FULL_ROUNDS] = _rate(tcb), 0
        return
    control[FULL_ROUNDS] += 1
    if control[FULL_ROUNDS] >= 3:
        _set(tcb, 0, FULL)


@hot
def _check_drain(worker: Worker, tcb: Tcb, sample: Sample) -> None:
    if _mode(tcb) == STARTUP and _is(tcb, FULL):
        _set(tcb, MODE, DRAIN)
        tcb.ssthresh = _inflight(tcb, ONE)
    if _mode(tcb) == DRAIN and in_flight(tcb) <= _inflight(tcb, ONE):
        _probe_rate(worker, tcb, sample.now)


@hot
def _probe_rate(worker: Worker, tcb: Tcb, now: int) -> None:
    """PROBE_BW from a random phase, but never the one that drains."""
    phase = (2 + random_number(worker) % 7) & 7  # 2 ... 7, 0
    _set(tcb, MODE | PHASE, PROBE_BW | phase << PHASE_SHIFT)
    tcb.control[SINCE] = now


@hot
def _update_least(worker: Worker, tcb: Tcb, sample: Sample) -> None:
    """The least RTT, and PROBE_RTT when it is old."""
    control = tcb.control
    expired = elapsed(sample.now, control[LEAST_AT]) > RTT_KEPT
    rtt = sample.rtt_last
    if rtt != NO_RTT and (expired or not _is(tcb, HAS_LEAST) or rtt <= control[LEAST_RTT]):
        control[LEAST_RTT], control[LEAST_AT] = max(rtt, 1), sample.now
        _set(tcb, 0, HAS_LEAST)
    if expired and not _is(tcb, IDLE) and _mode(tcb) != PROBE_RTT:
        bbr_save(tcb)
        _set(tcb, MODE | WAITS, PROBE_RTT)
    if _mode(tcb) == PROBE_RTT:
        _probe_least(worker, tcb, sample)
    if sample.delivered != 0:
        _set(tcb, IDLE, 0)


@hot
def _probe_least(worker: Worker, tcb: Tcb, sample: Sample) -> None:
    """PROBE_RTT: 200 ms and a round with four segments in flight. Its rates say nothing."""
    control = tcb.control
    tcb.marks |= BUBBLE
    tcb.app_limited_until = tcb.delivered + in_flight(tcb) & 0xFFFF_FFFF
    if not _is(tcb, WAITS):
        if in_flight(tcb) <= 4 * tcb.mss:
            control[SINCE] = sample.now + RTT_PROBE
            control[NEXT_ROUND] = tcb.delivered
            _set(tcb, RTT_ROUND, WAITS)
        return
    if _is(tcb, ROUND_START):
        _set(tcb, 0, RTT_ROUND)
    if _is(tcb, RTT_ROUND):
        _end_probe_least(worker, tcb, sample.now)


@hot
def _end_probe_least(worker: Worker, tcb: Tcb, now: int) -> None:
    control = tcb.control
    if not _is(tcb, WAITS) or not sequence.after(now, control[SINCE]):
        return
    control[LEAST_AT] = now
    tcb.cwnd = max(tcb.cwnd, control[PRIOR])
    if _is(tcb, FULL):
        _probe_rate(worker, tcb, now)
    else:
        _set(tcb, MODE, STARTUP)


@hot
def _set_rate(tcb: Tcb) -> None:
    """The pacing rate: a percent below the model's, so that a queue can drain; not lowered in STARTUP."""
    if not _is(tcb, SEEN_RTT) and tcb.srtt != 0:
        _set(tcb, 0, SEEN_RTT)
        tcb.pacing_rate = _first_rate(tcb)
    rate = min((_rate(tcb) * 16 * _pacing_gain(tcb) >> GAIN) * 99 // 100, PACING_MOST)
    if rate != 0 and (_is(tcb, FULL) or rate > tcb.pacing_rate):
        tcb.pacing_rate = rate


@hot
def _set_window(tcb: Tcb, sample: Sample) -> None:
    """cwnd grows by what is delivered, to a gain times the model's product. In recovery: see below."""
    control = tcb.control
    mss = tcb.mss
    cwnd = tcb.cwnd
    if sample.delivered != 0:
        cwnd = max(cwnd - sample.lost, mss)
        recovering = tcb.recovery >= RECOVERY
        if tcb.recovery == RECOVERY and not _is(tcb, RECOVERING):
            _set(tcb, 0, CONSERVE)
            control[NEXT_ROUND] = tcb.delivered
            cwnd = in_flight(tcb) + sample.delivered
        elif not recovering and _is(tcb, RECOVERING):
            _set(tcb, CONSERVE, 0)
            cwnd = max(cwnd, control[PRIOR])
        _set(tcb, RECOVERING, RECOVERING if recovering else 0)
        if _is(tcb, CONSERVE):
            cwnd = max(cwnd, in_flight(tcb) + sample.delivered)
        else:
            target = _inflight(tcb, _window_gain(tcb))
            if _is(tcb, FULL):
                cwnd = min(cwnd + sample.delivered, target)
            elif cwnd < target or tcb.octets_out < 10 * mss:
                cwnd += sample.delivered
            cwnd = max(cwnd, 4 * mss)
    if _mode(tcb) == PROBE_RTT:
        cwnd = min(cwnd, 4 * mss)
    tcb.cwnd = min(cwnd, WINDOW_MOST)


@hot
def bbr_save(tcb: Tcb) -> None:
    """Remember cwnd before recovery or PROBE_RTT."""
    control = tcb.control
    if not _is(tcb, RECOVERING) and _mode(tcb) != PROBE_RTT:
        control[PRIOR] = tcb.cwnd
    else:
        control[PRIOR] = max(control[PRIOR], tcb.cwnd)


@hot
def bbr_loss(tcb: Tcb) -> int:
    """A loss: nothing changes but what is remembered. Returns ssthresh."""
    bbr_save(tcb)
    return tcb.ssthresh


@leaf
def bbr_timeout(tcb: Tcb) -> None:
    """A time-out: the path may have changed."""
    tcb.control[FULL_RATE] = 0
    _set(tcb, 0, RECOVERING | ROUND_START)


@hot
def bbr_idle(worker: Worker, tcb: Tcb, now: int) -> None:
    """Data after a pause: at the model's rate, not faster."""
    if tcb.marks & BUBBLE == 0:
        return
    _set(tcb, 0, IDLE)
    if _mode(tcb) == PROBE_BW and _rate(tcb) != 0:
        tcb.pacing_rate = min(_rate(tcb) * 16, PACING_MOST)
    elif _mode(tcb) == PROBE_RTT:
        _end_probe_least(worker, tcb, now)
