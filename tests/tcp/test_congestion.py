"""NewReno, CUBIC and BBR: their laws, from the standards. What they carry over a path: test_goodput.py."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.tcp.congestion import BBR, CUBIC, NEWRENO
from pronghorn.tcp.congestion.cubic import cube_root, cubic_acked, cubic_loss
from pronghorn.tcp.pacing import congestion_change, pacing_ask, pacing_sent, super_segment
from pronghorn.tcp.recovery import recovery_idle
from pronghorn.tcp.reduction import UNLIMITED
from pronghorn.tcp.tcb import RECOVERY, in_flight, stamp
from tests.tcp.sender import FIRST, MASK, Sender

# --- NewReno ------------------------------------------------------------------------------------------------------


def test_newreno_grows_a_segment_a_round_trip() -> None:
    """RFC 5681 3.1."""
    with Sender() as sender:
        sender.tcb.cwnd = sender.tcb.ssthresh = 20_000
        segment = 0
        for _ in range(10):
            before = sender.tcb.cwnd
            sender.fill()
            sender.pass_ms(100)
            while sender.tcb.snd_una != sender.tcb.snd_nxt:
                segment += 1
                sender.ack(segment)
            assert 900 <= sender.tcb.cwnd - before <= 1000


# --- CUBIC --------------------------------------------------------------------------------------------------------


@given(value=st.integers(0, 1 << 62))
def test_cube_root(value: int) -> None:
    root = cube_root(value)
    assert root**3 <= value < (root + 1) ** 3


def law(seconds: Fraction, w_max: int, cwnd: int) -> float:
    """RFC 9438 4.2 in segments, exactly as it stands there."""
    k: float = ((w_max - cwnd) / 0.4) ** (1 / 3)
    return float(0.4 * (float(seconds) - k) ** 3 + w_max)


def test_cubic_follows_its_law() -> None:
    """After a loss at 1000 segments: back at 1000 after K = cbrt(300 / 0.4) = 9.1 s, and beyond it afterwards."""
    with Sender(congestion=CUBIC) as sender:
        tcb = sender.tcb
        tcb.cwnd = 1_000_000
        tcb.ssthresh = cubic_loss(tcb)
        assert tcb.ssthresh == 700_000
        tcb.cwnd = tcb.ssthresh
        for step in range(150):
            window = tcb.cwnd // 1000
            tcb.marks |= 16
            for _ in range(10):  # a round trip's acknowledgements, of a tenth of the window each
                sample = sender.tcp.sample
                sample.now, sample.delivered, sample.rtt_last = stamp(sender.worker), window * 100, 0xFFFFFFFF
                cubic_acked(sender.worker, tcb, sample)
                sender.pass_ms(10)
            if step % 10 == 9:
                expected = law(Fraction(step + 1, 10) + Fraction(1, 10), 1000, 700)
                assert tcb.cwnd / 1000 == pytest.approx(expected, rel=0.01)


def test_cubic_is_no_slower_than_newreno() -> None:
    """RFC 9438 4.3: on a short path the Reno-friendly region rules."""
    with Sender(congestion=CUBIC, rtt_ms=10) as sender:
        tcb = sender.tcb
        tcb.cwnd = 20_000
        tcb.ssthresh = cubic_loss(tcb)
        tcb.cwnd = tcb.ssthresh
        for _ in range(50):
            tcb.marks |= 16
            sample = sender.tcp.sample
            sample.now, sample.delivered, sample.rtt_last = stamp(sender.worker), tcb.cwnd, 0xFFFFFFFF
            cubic_acked(sender.worker, tcb, sample)
            sender.pass_ms(10)
        # 9/17 of a segment a round trip up to 20, a segment afterwards
        rounds_to_old = 6 / (9 / 17)
        assert tcb.cwnd / 1000 == pytest.approx(20 + (50 - rounds_to_old), abs=2)


def test_cubic_converges_fast() -> None:
    """RFC 9438 4.7: a flow whose window shrinks aims lower still."""
    with Sender(congestion=CUBIC) as sender:
        tcb = sender.tcb
        tcb.cwnd = 100_000
        cubic_loss(tcb)
        assert tcb.control[7] == 100_000
        tcb.cwnd = 80_000
        assert cubic_loss(tcb) == 56_000
        assert tcb.control[7] == 68_000


def test_hystart_slows_down_when_the_queue_fills() -> None:
    """RFC 9406: the least RTT of a round is an eighth above the last one's: growth is a quarter; five rounds, then
    congestion avoidance."""
    with Sender(congestion=CUBIC, rtt_ms=40) as sender:
        grown = []
        for rtt in (40, 40, 40, 46, 46, 46, 46, 46, 46, 46):
            segments = sender.fill()
            sender.pass_ms(rtt)
            before = sender.tcb.cwnd
            last = (sender.tcb.snd_nxt - FIRST & MASK) // 1000
            for segment in range(segments):
                sender.ack(last - segments + segment + 1)
            grown.append(round(sender.tcb.cwnd / before, 2))
        assert grown[:3] == [2, 2, 2]
        assert all(1.2 < growth < 1.4 for growth in grown[3:8])
        assert sender.count("TCPHystartDelayDetect") == 1
        assert sender.tcb.ssthresh < UNLIMITED


def test_hystart_forgives_a_mistake() -> None:
    """RFC 9406 4.2: the RTT falls again: slow start goes on."""
    with Sender(congestion=CUBIC, rtt_ms=40) as sender:
        for rtt in (40, 40, 40, 46, 40, 40):
            segments = sender.fill()
            sender.pass_ms(rtt)
            last = (sender.tcb.snd_nxt - FIRST & MASK) // 1000
            for segment in range(segments):
                sender.ack(last - segments + segment + 1)
        assert sender.tcb.ssthresh == UNLIMITED
        assert sender.tcb.cwnd > 150_000


def test_time_without_data_does_not_count() -> None:
    """RFC 9438 5.8: the epoch moves."""
    with Sender(congestion=CUBIC) as sender:
        tcb = sender.tcb
        tcb.cwnd = 100_000
        tcb.ssthresh = cubic_loss(tcb)
        tcb.cwnd = tcb.ssthresh
        sender.send(100)
        sender.pass_ms(100)
        sender.ack(100)
        epoch = tcb.control[1]
        sender.pass_ms(5000)
        recovery_idle(sender.worker, sender.tcp, tcb)
        assert tcb.control[1] - epoch == 5_100_000


# --- BBR ----------------------------------------------------------------------------------------------------------


def test_bbr_recovers_without_prr() -> None:
    """The first round of recovery conserves packets; then the model's window applies."""
    with Sender(congestion=BBR) as sender:
        sender.tcb.cwnd = 40_000
        sender.send(40)
        sender.pass_ms(100)
        sender.ack(10)
        sender.ack(10, [(11, 14)])
        assert sender.tcb.recovery == RECOVERY
        assert sender.resend() == [(10, 1)]
        assert in_flight(sender.tcb) <= 40_000


# --- bursts and pacing --------------------------------------------------------------------------------------------


def test_super_segment_is_a_millisecond() -> None:
    """Linux's TSO autosizing: two segments of a slow connection, 64 KB of a fast one."""
    with Sender(mss=1448) as sender:
        assert super_segment(sender.worker, sender.tcb) == 2896
        sender.tcb.pacing_rate = 20_480_000
        assert super_segment(sender.worker, sender.tcb) == 20_000
        sender.tcb.pacing_rate = 4 * 10**9
        assert super_segment(sender.worker, sender.tcb) == 65_535


def test_pacing_spreads_a_window() -> None:
    """A connection that asks for pacing sends twice its window in a round trip while it is in slow start."""
    with Sender() as sender:
        assert sender.tcb.pacing_rate == 0
        pacing_ask(sender.worker, sender.tcb, 1)
        assert sender.tcb.pacing_rate == 2 * 10_000 * 10
        begun = sender.worker.now
        for _ in range(100):
            sender.worker.now = max(sender.worker.now, sender.tcb.paced_at)
            pacing_sent(sender.worker, sender.tcb, 1000)
        assert (sender.tcb.paced_at - begun) / 1e9 == pytest.approx(0.5, rel=0.02)
        pacing_ask(sender.worker, sender.tcb, 0)
        assert sender.tcb.pacing_rate == 0


def test_pacing_makes_up_for_late_turns() -> None:
    """Half a burst at most: 0.5 ms at rates at which Linux sends a millisecond's worth in one go."""
    with Sender(mss=1448) as sender:
        worker, tcb, sent = sender.worker, sender.tcb, 0
        tcb.pacing_rate = 50_000_000
        for _ in range(100):
            worker.now += 400_000
            while tcb.paced_at <= worker.now:
                pacing_sent(worker, tcb, 1448)
                sent += 1448
        assert sent == pytest.approx(tcb.pacing_rate * 0.04, rel=0.03)
        worker.now += 1_000_000_000
        sent = 0
        while tcb.paced_at <= worker.now:
            pacing_sent(worker, tcb, 1448)
            sent += 1448
        assert sent <= super_segment(worker, tcb) // 2 + 2 * 1448


def test_congestion_control_can_be_changed() -> None:
    with Sender() as sender:
        congestion_change(sender.worker, sender.tcb, BBR)
        assert sender.tcb.pacing_rate > 0
        congestion_change(sender.worker, sender.tcb, NEWRENO)
        assert sender.tcb.pacing_rate == 0
