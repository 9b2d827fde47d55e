"""Time-outs, F-RTO, loss probes; and undo, when a reduction was a mistake."""

from __future__ import annotations

from pronghorn.tcp.sample import LOSS_PROBE, PROBE, RETRANSMIT, SEND
from pronghorn.tcp.segments import flight_of
from pronghorn.tcp.tcb import (
    DISORDER,
    LOSS,
    OPEN,
    RECOVERY,
    SACK,
    TIMESTAMPS,
)
from tests.tcp.sender import Sender

NO_SACK = 0


# --- time-outs ----------------------------------------------------------------------------------------------------


def test_timeout() -> None:
    """RFC 6298 5.5, RFC 5681 3.1: one segment; twice the time-out; then slow start to half the window."""
    with Sender(agreed=NO_SACK) as sender:
        sender.window(20)
        rto = sender.tcb.rto / 1000
        assert sender.due_ms() == rto - 100
        assert sender.timer() == SEND
        assert (sender.tcb.recovery, sender.tcb.cwnd, sender.tcb.ssthresh) == (LOSS, 1000, 10_000)
        assert sender.resend() == [(0, 1)]
        assert sender.due_ms() == 2 * rto
        assert sender.timer() == SEND
        assert (sender.tcb.ssthresh, sender.tcb.backoff) == (10_000, 2)
        assert sender.due_ms() == 4 * rto
        assert sender.resend() == [(0, 1)]
        sender.pass_ms(100)
        sender.tcb.snd_end = sender.tcb.snd_nxt  # nothing new to send: F-RTO cannot ask
        sender.ack(1)
        assert sender.resend() == [(1, 1), (2, 1)]
        sender.pass_ms(100)
        sender.ack(3)
        assert len(sender.resend()) == 4
        assert sender.tcb.backoff == 0


def test_backoff_ends_at_two_minutes() -> None:
    with Sender() as sender:
        sender.send(1)
        for _ in range(20):
            sender.timer()
            sender.resend()
        assert 119_000 < sender.due_ms() <= 120_000


def test_timeout_spares_what_was_sent_a_moment_ago() -> None:
    """RFC 8985 6.3."""
    with Sender() as sender:
        sender.tcb.cwnd = 20_000
        sender.send(2)
        flight_of(sender.worker, sender.tcb).flags |= 4  # no probe
        sender.tcb.retransmit_kind = RETRANSMIT
        sender.tcb.retransmit_at = sender.worker.now + 300_000_000
        sender.pass_ms(299)
        sender.send(3)
        sender.tcb.retransmit_kind = RETRANSMIT
        sender.tcb.retransmit_at = sender.worker.now + 1_000_000
        sender.timer()
        assert [flags for _s, _o, flags in sender.records()] == ["L", "L", "", "", ""]


def test_frto_undoes_a_needless_timeout() -> None:
    """RFC 5682: a delay of a second, not a loss: new data instead of retransmissions, and the window comes back."""
    with Sender() as sender:
        sender.window(10)
        window = sender.tcb.cwnd
        sender.timer()  # the probe
        assert sender.timer() == SEND
        sender.resend()
        sender.pass_ms(100)
        sender.ack(1)
        assert sender.resend() == []
        assert sender.fill() > 0
        sender.ack(2)
        assert sender.count("TCPSpuriousRTOs") == 1
        assert (sender.tcb.recovery, sender.tcb.lost) == (OPEN, 0)
        assert sender.tcb.cwnd >= window


def test_frto_keeps_a_real_timeout() -> None:
    with Sender(agreed=NO_SACK) as sender:
        sender.window(10)
        assert sender.timer() == SEND
        sender.resend()
        sender.pass_ms(100)
        sender.ack(1)
        assert sender.resend() == []
        assert sender.fill() > 0
        sender.pass_ms(100)
        sender.ack(1)  # a duplicate: the new data has arrived beyond a hole
        assert sender.tcb.recovery == LOSS
        assert sender.resend()[0] == (1, 1)


def test_reneging_is_believed_only_at_a_timeout() -> None:
    """RFC 2018 8: the acknowledgement ends at what SACK had reported, so the receiver has thrown it away."""
    with Sender() as sender:
        sender.window(10)
        sender.ack(0, [(1, 5)])
        sender.resend()
        sender.ack(1)
        assert sender.due_ms() == max(sender.tcb.srtt / 16_000, 10)
        assert sender.timer() == SEND
        assert sender.count("TCPSACKReneging") == 1
        assert (sender.tcb.sacked, sender.tcb.lost) == (0, 9000)


# --- loss probes --------------------------------------------------------------------------------------------------


def test_tail_loss_probe() -> None:
    """RFC 8985 7: two round trips after the last segment it is sent again; its SACK repairs the rest."""
    with Sender() as sender:
        sender.send(4)
        assert (sender.tcb.retransmit_kind, sender.due_ms()) == (LOSS_PROBE, 202)
        sender.tcb.snd_end = sender.tcb.snd_nxt
        assert sender.timer() == PROBE
        assert sender.records()[-1] == (3000, 1000, "Re")
        assert sender.tcb.retransmit_kind == RETRANSMIT
        sender.pass_ms(100)
        sender.ack(0, [(3, 4)])
        assert sender.tcb.recovery == DISORDER or sender.tcb.recovery == RECOVERY
        if sender.tcb.recovery == DISORDER:
            assert sender.timer() == SEND
        assert sender.resend(1)[0] == (0, 1)
        assert (sender.count("TCPLossProbes"), sender.count("TCPTimeouts")) == (1, 0)


def test_probe_that_repairs_a_loss_reduces_the_window() -> None:
    """RFC 8985 7.4.2: the last segment was lost, the probe has repaired it: congestion."""
    with Sender() as sender:
        sender.tcb.cwnd = 20_000
        sender.send(4)
        end = sender.tcb.snd_end
        sender.tcb.snd_end = sender.tcb.snd_nxt
        sender.pass_ms(100)
        sender.ack(3)
        assert sender.timer() == PROBE
        sender.tcb.snd_end = end
        sender.send(2)
        sender.pass_ms(100)
        sender.ack(5)
        assert (sender.count("TCPLossProbeRecovery"), sender.tcb.recovery) == (1, OPEN)
        assert sender.tcb.cwnd < 13_000


def test_probe_that_repairs_the_last_loss_is_not_forgotten() -> None:
    """As above; everything was acknowledged, and the next flight tells that no DSACK has come."""
    with Sender() as sender:
        end, sender.tcb.snd_end = sender.tcb.snd_end, sender.at(2)
        sender.send(2)
        sender.pass_ms(100)
        sender.ack(1)
        assert sender.timer() == PROBE
        sender.pass_ms(100)
        sender.ack(2)
        assert sender.tcb.ssthresh > 1 << 30
        sender.tcb.snd_end = end
        sender.send(1)
        sender.pass_ms(100)
        sender.ack(3)
        assert (sender.count("TCPLossProbeRecovery"), sender.tcb.ssthresh) == (1, 5000)
        assert (sender.tcb.segments.block, sender.buddy.used) == (0, 0)


def test_needless_probe_costs_nothing() -> None:
    """RFC 8985 7.4.2: a DSACK for the probe: the original had arrived."""
    with Sender() as sender:
        sender.tcb.cwnd = 20_000
        sender.send(4)
        sender.tcb.snd_end = sender.tcb.snd_nxt
        assert sender.timer() == PROBE
        sender.ack(4)
        sender.pass_ms(10)
        sender.ack(4, [(3, 4)])
        assert (sender.tcb.recovery, sender.count("TCPLossProbeRecovery")) == (OPEN, 0)
        assert sender.tcb.cwnd >= 20_000


# --- undo ---------------------------------------------------------------------------------------------------------


def test_duplicates_undo_a_recovery() -> None:
    """Everything that was sent again arrived twice (RFC 2883, RFC 3708): the window is what it was."""
    with Sender() as sender:
        sender.window(20)
        sender.ack(0, [(1, 5)])
        assert sender.resend() == [(0, 1)]
        sender.pass_ms(5)
        sender.ack(20)
        assert sender.tcb.cwnd < 12_000
        sender.ack(20, [(0, 1)])
        assert sender.count("TCPDSACKUndo") == 1
        assert sender.tcb.cwnd == 20_000
        assert sender.tcb.ssthresh > 20_000


def test_timestamps_undo_a_recovery() -> None:
    """Eifel (RFC 3522): the acknowledgement echoes the original's timestamp."""
    with Sender(agreed=SACK | TIMESTAMPS) as sender:
        sender.tcb.cwnd = 20_000
        before = sender.stamp_ms()
        sender.send(20)
        sender.pass_ms(100)
        sender.ack(0, [(1, 5)], echo_ms=before)
        assert sender.resend() == [(0, 1)]
        sender.pass_ms(5)
        sender.ack(20, echo_ms=before)
        assert sender.count("TCPFullUndo") == 1
        assert sender.tcb.recovery == OPEN
        assert sender.tcb.cwnd >= 20_000


def test_timestamps_of_the_retransmission_undo_nothing() -> None:
    with Sender(agreed=SACK | TIMESTAMPS) as sender:
        sender.tcb.cwnd = 20_000
        before = sender.stamp_ms()
        sender.send(20)
        sender.pass_ms(100)
        sender.ack(0, [(1, 5)], echo_ms=before)
        again = sender.stamp_ms()
        assert sender.resend() == [(0, 1)]
        sender.pass_ms(100)
        sender.ack(20, echo_ms=again)
        assert (sender.count("TCPFullUndo"), sender.tcb.ssthresh) == (0, 10_000)
