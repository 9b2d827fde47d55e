"""The sender's states, window and timers, by the standards' own examples and by what Linux does."""

from __future__ import annotations

import pytest

from pronghorn.tcp.recovery import allowance, mss_changed, next_lost, recovery_idle
from pronghorn.tcp.sample import ECE_SEEN, PURE, REORDERING, RETRANSMIT, SEND
from pronghorn.tcp.tcb import (
    CWR_OWED,
    DISORDER,
    ECN,
    LOSS,
    OPEN,
    RECOVERY,
    REDUCED,
    SACK,
    in_flight,
)
from tests.tcp.sender import FIRST, MASK, Sender

NO_SACK = 0


# --- nothing is wrong ---------------------------------------------------------------------------------------------


def test_initial_window() -> None:
    """RFC 6928: ten segments; 14,600 octets of large ones, two at least."""
    for mss, window in ((536, 5360), (1460, 14_600), (2920, 14_600), (9000, 18_000)):
        with Sender(mss=mss) as sender:
            assert sender.tcb.cwnd == window


def test_slow_start_doubles() -> None:
    with Sender() as sender:
        for window in (10, 20, 40, 80):
            assert sender.fill() == window
            sender.pass_ms(100)
            base = (sender.tcb.snd_una - FIRST & MASK) // 1000
            for segment in range(window):
                sender.ack(base + segment + 1)
        assert sender.tcb.cwnd == 160_000


def test_a_window_that_is_not_used_does_not_grow() -> None:
    """RFC 7661; Linux's tcp_is_cwnd_limited."""
    with Sender() as sender:
        for _ in range(20):
            sender.send(2)
            sender.pass_ms(100)
            sender.ack((sender.tcb.snd_nxt - FIRST & MASK) // 1000)
        assert sender.tcb.cwnd == 10_000


def test_idle_connection_begins_anew() -> None:
    """RFC 5681 4.1, as Linux does it: half for each RTO, not below the initial window."""
    with Sender() as sender:
        sender.window(80)
        sender.ack(80)
        window = sender.tcb.cwnd
        sender.pass_ms(sender.tcb.rto / 1000 * 1.5)
        recovery_idle(sender.worker, sender.tcp, sender.tcb)
        assert sender.tcb.cwnd == window // 2
        assert sender.tcb.ssthresh >= window * 3 // 4
        sender.pass_ms(60_000)
        recovery_idle(sender.worker, sender.tcp, sender.tcb)
        assert sender.tcb.cwnd == 10_000


# --- fast recovery ------------------------------------------------------------------------------------------------


def test_sack_recovery() -> None:
    """RFC 6675: three segments reported beyond a hole; the hole is sent again, and one window is lost."""
    with Sender() as sender:
        sender.window(20)
        sender.ack(0, [(1, 2)])
        assert sender.tcb.recovery == DISORDER
        assert sender.resend() == []
        assert sender.due_ms() == 25  # RACK waits for a quarter of the least RTT
        sender.ack(0, [(1, 4)])
        assert sender.tcb.recovery == RECOVERY
        assert sender.resend() == [(0, 1)]
        assert (sender.tcb.ssthresh, sender.count("TCPSackRecovery")) == (10_000, 1)
        for segment in range(5, 20):
            sender.ack(0, [(1, segment)])
        sender.pass_ms(100)
        sender.ack(20)
        assert (sender.tcb.recovery, sender.tcb.ssthresh) == (OPEN, 10_000)
        assert 10_000 <= sender.tcb.cwnd <= 10_200  # what this acknowledgement lets it grow
        assert sender.tcb.retransmit_at == 0


def test_proportional_rate_reduction() -> None:
    """RFC 6937 6: a lost segment of twenty: every second acknowledgement lets one segment go."""
    with Sender() as sender:
        sender.window(20)
        went = 0
        sender.ack(0, [(1, 4)])
        went += len(sender.resend())
        for segment in range(5, 21):
            sender.ack(0, [(1, segment)])
            went += sender.fill()
        assert went == pytest.approx(10, abs=1)
        assert in_flight(sender.tcb) <= 10_000


def test_burst_of_losses_is_repaired_without_a_timeout() -> None:
    with Sender() as sender:
        sender.window(30)
        sender.ack(0, [(15, 16)])
        sender.ack(0, [(15, 18)])
        assert sender.records()[0][2] == "L"
        resent = sender.resend()
        acked = 18
        while len(resent) < 15:
            acked += 1
            sender.ack(0, [(15, min(acked, 30))])
            if acked > 30:
                sender.pass_ms(100)
                sender.ack(len(resent), [(15, 30)])
            resent += sender.resend()
        assert [first for first, _n in resent] == list(range(15))
        assert sender.count("TCPTimeouts") == 0


def test_lost_retransmission_is_found() -> None:
    """RFC 8985: something sent after the retransmission has arrived, the retransmission has not."""
    with Sender() as sender:
        sender.window(10)
        sender.ack(0, [(1, 5)])
        assert sender.resend() == [(0, 1)]
        sender.ack(0, [(1, 10)])
        sender.pass_ms(1)
        assert sender.fill() > 0
        sender.pass_ms(100)
        sender.ack(0, [(1, 11)])
        assert sender.count("TCPLostRetransmit") == 1
        assert sender.resend() == [(0, 1)]


def test_reordering_is_no_loss() -> None:
    """A segment that is an eighth of a round trip late: no retransmission; RACK then knows that the path reorders."""
    with Sender() as sender:
        sender.window(10)
        sender.ack(0, [(1, 2)])
        sender.pass_ms(12)
        sender.ack(2)
        assert (sender.tcb.recovery, sender.count("TCPSackRecovery"), sender.count("TCPSACKReorder")) == (OPEN, 0, 1)
        sender.ack(2, [(3, 8)])  # six at once, and still it waits
        assert sender.tcb.recovery == DISORDER
        assert sender.tcb.retransmit_kind == REORDERING


def test_reordering_timer_finds_the_loss() -> None:
    with Sender() as sender:
        sender.window(4)
        sender.ack(0, [(1, 2)])
        assert sender.timer() == SEND
        assert sender.tcb.recovery == RECOVERY
        assert sender.resend() == [(0, 1)]
        assert sender.tcb.retransmit_kind == RETRANSMIT


def test_reordering_window_grows_with_duplicates() -> None:
    """RFC 8985 6.2, step 4: a DSACK widens it, once a round trip; 16 recoveries later it is narrow again."""
    with Sender() as sender:
        sender.window(10)
        sender.ack(1, [(0, 1)])
        assert sender.tcb.reorder_steps == 2
        sender.ack(2, [(1, 2)])
        assert sender.tcb.reorder_steps == 2
        sender.ack(10)
        sender.window(1)
        sender.ack(11, [(3, 4)])
        assert sender.tcb.reorder_steps == 3
        sender.tcb.segments.persist = 1
        sender.window(10)
        sender.ack(11, [(12, 21)])
        sender.timer()
        sender.resend()
        sender.pass_ms(100)
        sender.ack(21)
        assert sender.tcb.reorder_steps == 1


# --- without SACK -------------------------------------------------------------------------------------------------


def test_newreno() -> None:
    """RFC 6582: three duplicates; a partial acknowledgement sends the next hole; a full one ends it."""
    with Sender(agreed=NO_SACK) as sender:
        sender.window(20)
        for duplicate in range(3):
            assert sender.tcb.recovery == (OPEN if duplicate == 0 else DISORDER)
            sender.ack(0)
        assert sender.tcb.recovery == RECOVERY
        assert sender.resend() == [(0, 1)]
        for _ in range(16):
            sender.ack(0)
        sender.pass_ms(100)
        sender.ack(7)
        assert sender.tcb.recovery == RECOVERY
        assert sender.resend() == [(7, 1)]
        sender.pass_ms(100)
        sender.ack(20)
        assert (sender.tcb.recovery, sender.tcb.ssthresh, sender.count("TCPRenoRecovery")) == (RECOVERY, 10_000, 1)
        sender.send(2)  # RFC 6582 4: it ends when something beyond it is acknowledged
        sender.pass_ms(100)
        sender.ack(22)
        assert sender.tcb.recovery == OPEN
        assert 10_000 <= sender.tcb.cwnd <= 10_200


def test_limited_transmit() -> None:
    """RFC 3042: the first two duplicates each let a new segment go."""
    with Sender(agreed=NO_SACK) as sender:
        sender.window(10)
        for _ in range(2):
            sender.ack(0)
            assert sender.fill() == 1


def test_spoofed_duplicates_gain_nothing() -> None:
    """Bad-inputs row 24: a thousand duplicates for ten segments do not let more than a window go."""
    with Sender(agreed=NO_SACK) as sender:
        sender.window(10)
        went = 0
        for _ in range(1000):
            sender.ack(0)
            went += len(sender.resend()) + sender.fill()
        assert went <= 22
        sender.check()


# --- ECN ----------------------------------------------------------------------------------------------------------


def test_ecn_reduces_once_a_window() -> None:
    """RFC 3168 6.1.2: no more than once for a window of data."""
    with Sender(agreed=SACK | ECN) as sender:
        sender.window(20)
        sender.ack(1, signals=PURE | ECE_SEEN)
        assert (sender.tcb.recovery, sender.tcb.ssthresh) == (REDUCED, 10_000)
        assert sender.tcb.flags & CWR_OWED
        for segment in range(2, 20):
            sender.ack(segment, signals=PURE | ECE_SEEN)
            sender.fill()
        assert sender.tcb.ssthresh == 10_000
        assert sender.tcb.cwnd <= 10_000


def test_ece_without_agreement_is_ignored() -> None:
    with Sender() as sender:
        sender.window(20)
        sender.ack(1, signals=PURE | ECE_SEEN)
        assert sender.tcb.recovery == OPEN


# --- bad input ----------------------------------------------------------------------------------------------------


def test_split_acknowledgements_gain_nothing() -> None:
    """Bad-inputs row 24 (Savage et al., CCR 29:5, 1999): a thousand acknowledgements of an octet are one segment."""
    for congestion in (0, 1):
        with Sender(congestion=congestion) as sender:
            sender.window(10)
            for octet in range(1, 1001):
                sender.acknowledge(FIRST + octet & MASK)
            assert sender.tcb.cwnd == 11_000


def test_bad_blocks_are_ignored() -> None:
    """Bad-inputs row 7: reversed, empty, beyond snd_nxt, half outside, at snd_una."""
    with Sender() as sender:
        sender.window(10)
        sender.ack(2)
        for left, right in ((5, 4), (5, 5), (12, 14), (8, 11), (2, 4), (1, 4), (9, 1000)):
            sender.ack(2, [(left, right)])
            sender.ack(2, [(3, 4), (left, right)])
        assert sender.tcb.sacked == 1000
        assert sender.count("TCPSACKDiscard") > 0
        sender.check()


def test_forged_duplicate_reports_stay_harmless() -> None:
    """A DSACK for everything, again and again: the window is not larger than it was, the patience at most srtt / 8 of
    Linux's units."""
    with Sender() as sender:
        sender.window(20)
        for _ in range(1000):
            sender.ack(0, [(-5, -1)])
            sender.ack(0, [(1, 2), (1, 3)])
        sender.resend()
        sender.check()
        assert sender.tcb.cwnd <= 20_000


# --- path MTU -----------------------------------------------------------------------------------------------------


def test_smaller_segments_are_no_congestion() -> None:
    with Sender(mss=1400) as sender:
        sender.window(10)
        sender.tcb.mss = 1000
        mss_changed(sender.worker, sender.tcp, sender.tcb)
        assert (sender.tcb.lost, sender.tcb.cwnd, sender.tcb.recovery) == (14_000, 14_000, LOSS)
        assert next_lost(sender.worker, sender.tcp, sender.tcb)[1] == 1400
        assert allowance(sender.worker, sender.tcp, sender.tcb) == 14_000
        sender.resend()
        assert sender.tcb.lost <= 400  # less than a segment is left of the window
        sender.pass_ms(100)
        sender.acknowledge(FIRST + 7000 & MASK)
        sender.acknowledge(FIRST + 14_000 & MASK)
        assert sender.tcb.recovery == OPEN
        assert sender.tcb.cwnd >= 14_000
