"""The round-trip estimator against RFC 6298 and against what Linux computes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pronghorn.tcp.recovery import segment_resent
from pronghorn.tcp.rtt import MINIMUM_WINDOW, rtt_sample
from pronghorn.tcp.sample import PURE
from pronghorn.tcp.tcb import SACK, TIMESTAMPS, stamp
from tests.tcp.sender import FIRST, Sender


@pytest.fixture
def sender() -> Iterator[Sender]:
    with Sender(rtt_ms=0) as made:
        yield made


def sample(sender: Sender, ms: float) -> None:
    """A sample of so many ms, a round trip after the one before."""
    sender.tcb.snd_una = sender.tcb.snd_nxt = sender.tcb.snd_nxt + 1000 & 0xFFFF_FFFF
    sender.pass_ms(ms)
    rtt_sample(sender.tcb, stamp(sender.worker), round(ms * 1000))


def test_first_sample(sender: Sender) -> None:
    """RFC 6298 2.2: SRTT = R, RTTVAR = R / 2, RTO = SRTT + 4 RTTVAR; 1 s before."""
    assert sender.tcb.rto == 1_000_000
    sample(sender, 300)
    assert (sender.tcb.srtt >> 3, sender.tcb.mdev >> 2, sender.tcb.rto) == (300_000, 150_000, 900_000)


def test_least_rto_is_200_ms_beyond_the_rtt(sender: Sender) -> None:
    """Linux: TCP_RTO_MIN bounds the deviation's part."""
    for _ in range(50):
        sample(sender, 20)
    assert sender.tcb.srtt >> 3 == 20_000
    assert sender.tcb.rto == 220_000


def test_smoothing(sender: Sender) -> None:
    """RFC 6298 2.3: alpha is 1/8, beta 1/4."""
    sample(sender, 100)
    sample(sender, 180)
    assert sender.tcb.srtt >> 3 == 110_000
    assert sender.tcb.mdev >> 2 == 50_000 + (80_000 - 50_000) // 4


def test_a_falling_rtt_does_not_raise_the_deviation(sender: Sender) -> None:
    """Linux (tcp_rtt_estimator, after Vern Paxson's remark): a much shorter sample counts an eighth as much."""
    for _ in range(30):
        sample(sender, 400)
    before = sender.tcb.mdev
    sample(sender, 10)
    assert sender.tcb.mdev - before < 390_000 // 8


def test_rto_is_at_most_two_minutes(sender: Sender) -> None:
    for _ in range(5):
        sample(sender, 100_000)
    assert sender.tcb.rto == 120_000_000


def test_least_rtt_is_forgotten_after_minutes(sender: Sender) -> None:
    sample(sender, 5)
    for _ in range(40):
        sample(sender, 50)
    assert sender.tcb.rtt_min == 5000
    for _ in range(3):
        sender.pass_ms(MINIMUM_WINDOW / 1000 + 1)
        sample(sender, 50)
    assert sender.tcb.rtt_min == 50_000
    sample(sender, 0.001)
    assert sender.tcb.rtt_min == 1


def test_karn(sender: Sender) -> None:
    """RFC 6298 3: what was sent twice gives no sample."""
    sender.send(1)
    sender.pass_ms(50)
    segment_resent(sender.worker, sender.tcp, sender.tcb, FIRST, 1000)
    sender.pass_ms(10)
    sender.ack(1)
    assert sender.tcb.srtt == 0


def test_an_acknowledgement_of_both_gives_none_either(sender: Sender) -> None:
    """Without SACK: the hole was filled, and what was sent long ago is acknowledged with it."""
    sender.tcb.agreed = 0
    sender.send(3)
    sender.pass_ms(500)
    segment_resent(sender.worker, sender.tcp, sender.tcb, FIRST, 1000)
    sender.pass_ms(10)
    sender.ack(3)
    assert sender.tcb.srtt == 0


def test_timestamps_serve_where_karn_forbids(sender: Sender) -> None:
    """RFC 7323 4: the echo tells which transmission was acknowledged."""
    sender.tcb.agreed = SACK | TIMESTAMPS
    sender.send(1)
    sender.pass_ms(50)
    segment_resent(sender.worker, sender.tcp, sender.tcb, FIRST, 1000)
    echo = sender.stamp_ms()
    sender.pass_ms(30)
    sender.ack(1, echo_ms=echo)
    assert sender.tcb.srtt >> 3 == 30_000


def test_absurd_echoes_are_ignored(sender: Sender) -> None:
    """An echo of what was never sent, or of months ago."""
    sender.tcb.agreed = SACK | TIMESTAMPS
    for echo in (0, 1, sender.stamp_ms() + 5000, sender.stamp_ms() - (1 << 25)):
        sender.send(1)
        una = sender.tcb.snd_una
        segment_resent(sender.worker, sender.tcp, sender.tcb, una, 1000)
        sender.acknowledge(una + 1000 & 0xFFFF_FFFF, None, PURE, echo & 0xFFFF_FFFF)
        assert sender.tcb.srtt == 0
