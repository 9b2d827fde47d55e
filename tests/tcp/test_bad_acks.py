"""Acknowledgements, resets and timestamps of liars: rows 7, 19, 24 and 26 of the bad inputs."""

from __future__ import annotations

import random

import pytest

from pronghorn.compiled import mode
from pronghorn.tcp.segments import flight_of
from pronghorn.tcp.tcb import ESTABLISHED
from pronghorn.wire.tcp import ACK, FIN, RST, SYN
from tests.tcp.victim import MSS_1400, Peer, Victim, sacks, stamps

MSS = 1400
SLOW = mode() == "interpreted"


def records(peer: Peer) -> int:
    """Records on the scoreboard."""
    flight = flight_of(peer.victim.worker, peer.tcb)
    return flight.count if flight.address else 0


def in_flight(peer: Peer, segments: int) -> None:
    """Let so many full segments be on their way."""
    peer.tcb.cwnd = segments * MSS
    assert peer.victim.write(peer.number, segments * MSS) == segments * MSS
    peer.victim.turn()
    assert peer.tcb.snd_nxt - peer.tcb.snd_una & 0xFFFF_FFFF == segments * MSS


# --- SACK: CVE-2019-11477, -11478, -5599 ---------------------------------------------------------------------------


ODD = {
    "reversed": [(3 * MSS, 2 * MSS)],
    "empty": [(2 * MSS, 2 * MSS)],
    "below": [(-9000, -1000)],
    "around-una": [(-MSS, MSS)],
    "at-una": [(0, MSS)],
    "beyond-nxt": [(8 * MSS, 30 * MSS)],
    "far-away": [(1 << 31, (1 << 31) + MSS)],
    "all-but-one-octet": [(1, 10 * MSS - 1)],
    "one-octet": [(5 * MSS + 3, 5 * MSS + 4)],
    "overlapping": [(2 * MSS, 5 * MSS), (4 * MSS, 6 * MSS), (2 * MSS, 6 * MSS), (3 * MSS, 4 * MSS)],
    "nested": [(2 * MSS, 3 * MSS), (MSS, 8 * MSS)],
}


@pytest.mark.parametrize("blocks", ODD.values(), ids=ODD)
def test_sack_blocks_that_make_no_sense(victim: Victim, blocks: list[tuple[int, int]]) -> None:
    """What lies inside is believed; the scoreboard stays whole, and the honest end of it works."""
    peer = victim.peer()
    in_flight(peer, 10)
    for _ in range(3):
        options = sacks(*[(peer.wants + left, peer.wants + right) for left, right in blocks])
        assert peer.send(options=options) == "delivered"
        tcb = peer.tcb
        assert records(peer) <= 10
        assert 0 <= tcb.sacked + tcb.lost <= 10 * MSS
        assert tcb.sacked <= 9 * MSS
    victim.wait(3, 0.05)
    assert peer.send(ack=10 * MSS) == "delivered"
    assert peer.tcb.snd_una == peer.tcb.snd_nxt
    assert (peer.tcb.sacked, peer.tcb.lost, peer.tcb.resent, records(peer)) == (0, 0, 0, 0)


def test_one_octet_holes_by_the_thousand(victim: Victim) -> None:
    """SACK Panic and SACK Slowness: the scoreboard has at most a record for each segment, whatever blocks are sent."""
    peer = victim.peer()
    in_flight(peer, 40)
    chance = random.Random(1)
    for _ in range(100 if SLOW else 2000):
        lefts = [peer.wants + chance.randrange(40 * MSS) for _ in range(4)]
        assert (
            peer.send(options=sacks(*[(left, left + 1 + chance.randrange(2) * MSS) for left in lefts])) == "delivered"
        )
        assert records(peer) <= 40
        victim.sent(0)
    assert victim.memory <= 1 << 18
    assert peer.send(ack=40 * MSS) == "delivered"
    assert records(peer) == 0


def test_sack_without_having_agreed_on_it(victim: Victim) -> None:
    peer = victim.peer(options=MSS_1400)
    in_flight(peer, 10)
    assert peer.send(options=sacks((peer.wants + MSS, peer.wants + 5 * MSS))) == "delivered"
    assert peer.tcb.lost == 0
    assert records(peer) <= 10


def test_receiver_that_takes_back_what_it_sacked(victim: Victim) -> None:
    """RFC 2018 8: what was reported may be dropped; nothing is given up before it is acknowledged."""
    peer = victim.peer()
    in_flight(peer, 10)
    peer.heard()
    assert peer.send(options=sacks((peer.wants + MSS, peer.wants + 10 * MSS))) == "delivered"
    assert peer.send(ack=MSS) == "delivered"
    victim.wait(5, 0.05)
    assert {segment.seq - peer.wants & 0xFFFF_FFFF for segment in peer.heard() if segment.payload} >= {0, MSS}
    assert peer.send(ack=10 * MSS) == "delivered"


# --- acknowledgements: CERT VU#102014 -------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [1, MSS, 1 << 20, (1 << 31) - 1])
def test_optimistic_acknowledgement(victim: Victim, ahead: int) -> None:
    """Of what was not sent: dropped and answered (RFC 9293 3.10.7.4), and the window does not grow."""
    peer = victim.peer()
    in_flight(peer, 5)
    before = peer.tcb.cwnd
    assert peer.send(ack=5 * MSS + ahead) == "tcp_bad_ack"
    assert peer.tcb.snd_una == peer.wants
    assert peer.tcb.cwnd == before
    assert peer.send(ack=5 * MSS) == "delivered"


def grown(family: int, pieces: int) -> int:
    """How much the window grows when two segments are acknowledged in so many pieces."""
    with Victim(family) as victim:
        peer = victim.peer()
        in_flight(peer, 10)
        before: int = peer.tcb.cwnd
        for piece in range(pieces):
            assert peer.send(ack=2 * MSS * (piece + 1) // pieces) == "delivered"
        assert peer.tcb.snd_una == peer.wants + 2 * MSS & 0xFFFF_FFFF
        after: int = peer.tcb.cwnd
        return after - before


@pytest.mark.parametrize("family", [4, 6])
def test_split_acknowledgements_gain_nothing(family: int) -> None:
    """RFC 3465, RFC 5681 3.1: octets count, not acknowledgements."""
    assert grown(family, 1) == 2 * MSS
    for pieces in (2, 7, 100):
        assert grown(family, pieces) <= 2 * MSS


def test_forged_duplicate_acknowledgements(victim: Victim) -> None:
    """RFC 5681 3.2: they inflate nothing beyond what was in flight, and cause one reduction."""
    peer = victim.peer(options=MSS_1400)
    in_flight(peer, 10)
    victim.write(peer.number, 60_000)
    for _ in range(30 if SLOW else 300):
        assert peer.send() == "delivered"
        tcb = peer.tcb
        assert tcb.snd_nxt - tcb.snd_una & 0xFFFF_FFFF <= 20 * MSS
        assert tcb.sacked + tcb.lost <= tcb.snd_nxt - tcb.snd_una & 0xFFFF_FFFF
    assert peer.tcb.cwnd <= 10 * MSS
    assert victim.counter("TCPRenoRecovery") <= 1


def test_acknowledgement_of_long_ago(victim: Victim) -> None:
    """RFC 5961 5.2: older than the largest window: somebody guesses."""
    peer = victim.peer()
    in_flight(peer, 2)
    assert peer.send(ack=2 * MSS) == "delivered"
    peer.wants += 2 * MSS
    assert peer.send(ack=-70_000) == "tcp_bad_ack"
    assert peer.send(ack=-(1 << 30)) == "tcp_bad_ack"
    assert peer.send(b"hello", ack=-100) == "delivered"


# --- resets and SYNs: CVE-2004-0230, CVE-2016-5696 --------------------------------------------------------------------


@pytest.mark.parametrize("flags", [RST, RST | ACK])
@pytest.mark.parametrize("seq", [1, 100, 30_000, 60_000])
def test_reset_in_the_window(victim: Victim, flags: int, seq: int) -> None:
    """RFC 5961 3.2: not the next octet: challenged, and the connection lives."""
    peer = victim.peer()
    assert peer.send(seq=seq, flags=flags) == "tcp_challenged"
    (answer,) = peer.heard()
    assert (answer.flags, answer.ack, answer.seq) == (ACK, peer.next, peer.wants)
    assert peer.tcb.state == ESTABLISHED
    assert peer.send(b"alive") == "delivered"


@pytest.mark.parametrize("seq", [-1, -60_000, 200_000, 1 << 31])
def test_reset_outside_the_window(victim: Victim, seq: int) -> None:
    peer = victim.peer()
    peer.heard()
    assert peer.send(seq=seq, flags=RST) == "tcp_out_of_window"
    assert peer.heard() == []
    assert peer.tcb.state == ESTABLISHED


@pytest.mark.parametrize("flags", [SYN, SYN | ACK])
@pytest.mark.parametrize("seq", [-1, 0, 5, 40_000, 1 << 30])
def test_syn_on_a_connection(victim: Victim, flags: int, seq: int) -> None:
    """RFC 5961 4.2: challenged wherever it lies."""
    peer = victim.peer()
    assert peer.send(seq=seq, flags=flags) == "tcp_challenged"
    assert [answer.flags for answer in peer.heard()] == [ACK]
    assert peer.tcb.state == ESTABLISHED


def test_challenges_of_a_connection_are_few(victim: Victim) -> None:
    """One in half a second, however many resets are forged."""
    peer = victim.peer()
    peer.heard()
    for _ in range(100):
        assert peer.send(seq=7, flags=RST) == "tcp_challenged"
    assert len(peer.heard()) <= 1
    victim.wait(1)
    peer.send(seq=7, flags=RST)
    assert len(peer.heard()) == 1


def test_challenges_of_all_connections_are_limited_by_an_unknown_number(victim: Victim) -> None:
    """RFC 5961 7, CVE-2016-5696: nobody can count on the limit of a second."""
    victim.tcp.challenge_limit = 8
    victim.listen(backlog=64)
    peers = [victim.peer() for _ in range(24)]
    found = []
    for _ in range(6 if SLOW else 20):
        victim.wait(2)
        victim.sent(0)
        for peer in peers:
            victim.put(peer.frame(seq=9, flags=RST))
        victim.turn()
        found.append(len(victim.sent(0)))
    assert all(4 <= challenges < 12 for challenges in found)
    assert len(set(found)) > 1


# --- timestamps and TIME_WAIT: CVE-2005-0356, RFC 1337 ----------------------------------------------------------------


@pytest.mark.parametrize("age", [1, 1000, (1 << 31) - 1])
def test_timestamp_of_long_ago(victim: Victim, age: int) -> None:
    """PAWS (RFC 7323 5)."""
    peer = stamped(victim)
    assert peer.send(b"old", options=stamps(1001 - age - 1, 0)) == "tcp_paws"
    assert peer.tcb.octets_in == 0
    assert peer.send(b"new", options=stamps(1001, 0)) == "delivered"


def stamped(victim: Victim, value: int = 1000) -> Peer:
    """A peer with timestamps, whose last one is `value`."""
    victim.listen()
    peer = Peer(victim)
    options = MSS_1400 + stamps(value, 0)
    assert peer.send(flags=SYN, options=options) == "delivered"
    answer = peer.heard()[-1]
    peer.next, peer.wants = peer.next + 1 & 0xFFFF_FFFF, answer.seq + 1 & 0xFFFF_FFFF
    peer.tail = stamps(value, int.from_bytes(answer.options[8:12]))
    assert peer.send() == "delivered"
    peer.number = victim.accept()
    return peer


def test_timestamps_that_wrap(victim: Victim) -> None:
    """From just below 2**32 to just above 0 they are later, not older."""
    peer = stamped(victim, 0xFFFF_FFF0)
    assert peer.send(b"one", options=stamps(0xFFFF_FFFF, 0)) == "delivered"
    assert peer.send(b"two", seq=3, options=stamps(5, 0)) == "delivered"
    assert peer.send(b"old", seq=6, options=stamps(0xFFFF_FFFF, 0)) == "tcp_paws"
    assert peer.tcb.ts_recent == 5


def test_a_forged_timestamp_does_not_shut_the_peer_out(victim: Victim) -> None:
    """A TSval far ahead on a segment outside the window, or beyond a gap, is not remembered (RFC 7323 4.3)."""
    peer = stamped(victim)
    assert peer.send(b"x", seq=200_000, options=stamps(1_000_000_000, 0)) == "tcp_out_of_window"
    assert peer.send(b"x", seq=500, options=stamps(1_000_000_000, 0)) == "delivered"
    assert peer.tcb.ts_recent == 1000
    assert peer.send(b"hello", options=stamps(1001, 0)) == "delivered"


def test_reset_does_not_end_time_wait(victim: Victim) -> None:
    """RFC 1337: neither resets nor old segments end it early, nor do they prolong it."""
    peer = victim.peer()
    victim.close_socket(peer.number)
    victim.turn()
    assert peer.send(seq=0, ack=1, flags=ACK) == "delivered"
    assert peer.send(seq=0, ack=1, flags=ACK | FIN) == "delivered"
    assert victim.tcp.waiting_count == 1
    for flags, seq in ((RST, 1), (RST, 5), (ACK, -9), (SYN, -50)):
        assert peer.send(ack=1, flags=flags, seq=seq) == "tcp_old"
    assert peer.send(b"old", seq=-30, ack=1) == "tcp_old"
    assert victim.tcp.waiting_count == 1
    victim.wait(61, 1)
    assert victim.tcp.waiting_count == 0
