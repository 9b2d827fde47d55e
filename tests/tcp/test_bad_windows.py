"""Windows and gaps of liars: rows 8 and 23 of the bad inputs, and what one connection's misuse is to another's."""

from __future__ import annotations

import pytest

from pronghorn.compiled import mode
from pronghorn.tcp.receive import GAPS
from pronghorn.tcp.tcb import CLOSED, ESTABLISHED, FIN_WAIT_1
from pronghorn.wire.tcp import ACK, FIN, RST
from tests.tcp.victim import Peer, Victim

MASK = 0xFFFF_FFFF
SLOW = mode() == "interpreted"


def shrink(peer: Peer, window: int) -> None:
    """A window that is smaller than the one before comes with something new, or it is not believed."""
    assert peer.send(b"!") == "delivered"
    peer.next = peer.next + 1 & MASK
    assert peer.send(window=window) == "delivered"
    assert peer.tcb.snd_window == window


def set_user_timeout(victim: Victim, ms: int) -> None:
    """TCP_USER_TIMEOUT of every connection that has the defaults."""
    victim.tcp.tunings[0].user_timeout = ms


# --- gaps: CVE-2018-5390, CVE-2018-6922 -------------------------------------------------------------------------------


def test_one_octet_segments_with_one_octet_gaps(victim: Victim) -> None:
    """SegmentSmack: so many ranges and no more, in so much memory and no more; what fills them is taken."""
    peer = victim.peer()
    before = victim.counts()
    for place in range(GAPS + (256 if SLOW else 5120)):
        victim.put(peer.frame(b"x", seq=1 + 2 * place % 60_000))
        if place % 64 == 63:
            victim.turn()
            victim.sent(0)
    found = victim.counts() - before
    assert found["delivered"] == GAPS
    assert found["tcp_too_many_gaps"] >= 200
    assert peer.tcb.beyond.count == GAPS
    assert victim.memory <= 65_536 + 8 * GAPS
    assert victim.counter("TCPOFODrop") == found["tcp_too_many_gaps"]
    assert peer.send(bytes(1400)) == "delivered"
    assert peer.tcb.beyond.count == GAPS - 700
    assert peer.send(b"x", seq=2 * GAPS + 9) == "delivered"  # there is room again


def test_tiny_segments_backwards(victim: Victim) -> None:
    """Each one before all others: what moves is bounded, and all of it arrives in the end."""
    peer = victim.peer()
    count = 100 if SLOW else 900
    for place in reversed(range(count)):
        assert peer.send(b"y", seq=2 * place + 1) == "delivered"
    for place in range(count):
        peer.send(b"xy", seq=2 * place)
    assert victim.read(peer.number) == b"xy" * count
    victim.sent(0)


def test_the_same_octets_again_and_again(victim: Victim) -> None:
    """Duplicates take no memory; each is answered (RFC 2883), none is delivered twice."""
    peer = victim.peer()
    assert peer.send(b"beyond", seq=100) == "delivered"
    memory = victim.memory
    for _ in range(20 if SLOW else 500):
        assert peer.send(b"beyond", seq=100) == "tcp_old"
        assert peer.send(b"eyon", seq=101) == "tcp_old"
    assert victim.memory == memory
    assert peer.tcb.beyond.count == 1
    assert len(peer.heard()) >= 40


@pytest.mark.parametrize("seq", [70_000, 1 << 20, 1 << 30, (1 << 31) - 10])
def test_octets_beyond_the_window(victim: Victim, seq: int) -> None:
    peer = victim.peer()
    assert peer.send(b"far", seq=seq) == "tcp_out_of_window"
    assert victim.memory == 0


def test_octets_behind_a_fin(victim: Victim) -> None:
    """A FIN ends the stream: what lies beyond it, sent before or after, is thrown away."""
    peer = victim.peer()
    assert peer.send(b"lie", seq=50) == "delivered"
    assert peer.send(b"lie", seq=90, flags=ACK | FIN) == "delivered"
    assert peer.send(b"hello", flags=ACK | FIN) == "delivered"
    assert peer.tcb.beyond.count == 0
    assert peer.send(b"more", seq=6) == "tcp_old"
    assert victim.read(peer.number) == b"hello"
    assert victim.read(peer.number) == b""


# --- windows: CVE-2008-4609 -------------------------------------------------------------------------------------------


def test_zero_window_for_ever(victim: Victim) -> None:
    """Probed ever more seldom, for as long as the peer answers; the memory is what the application has written."""
    peer = victim.peer()
    shrink(peer, 0)
    assert victim.write(peer.number, 50_000) == 50_000
    memory = victim.memory
    for _ in range(60 if SLOW else 300):
        victim.wait(10, 1)
        probes = peer.heard()
        assert len(probes) <= 10
        if probes:
            assert peer.send(window=0) == "delivered"
    assert peer.tcb.state == ESTABLISHED
    assert victim.memory <= memory + 4096
    assert 5 <= victim.counter("TCPWinProbe") <= 60
    assert peer.send(window=60_000) == "delivered"
    victim.turn()
    assert sum(len(segment.payload) for segment in peer.heard()) >= 1400


def test_zero_window_and_silence(victim: Victim) -> None:
    """RFC 5482: with a user time-out it ends."""
    set_user_timeout(victim, 20_000)
    peer = victim.peer()
    shrink(peer, 0)
    assert victim.read(peer.number) == b"!"
    victim.write(peer.number, 5000)
    victim.wait(90, 1)
    assert peer.tcb.state == CLOSED
    assert victim.read(peer.number) == -110
    set_user_timeout(victim, 0)


def test_zero_window_after_close(victim: Victim) -> None:
    """Sockstress: a connection that nobody holds is not probed for ever, even if the peer answers."""
    peer = victim.peer()
    shrink(peer, 0)
    assert victim.read(peer.number) == b"!"
    victim.write(peer.number, 5000)
    victim.close_socket(peer.number)
    assert victim.in_use().count(FIN_WAIT_1) == 1
    victim.wait(1000, 5)
    assert victim.in_use().count(FIN_WAIT_1) == 0


def test_silence_after_close(victim: Victim) -> None:
    """Unacknowledged octets of a connection that nobody holds are sent again eight times, as with Linux."""
    peer = victim.peer()
    victim.write(peer.number, 5000)
    victim.close_socket(peer.number)
    sent = 0
    for _ in range(400):
        victim.turn(1)
        sent += sum(segment.seq == peer.wants for segment in peer.heard())
        if not victim.in_use():
            break
    assert victim.in_use() == []
    assert 9 <= sent <= 11
    assert victim.memory == 0


def test_window_that_shrinks(victim: Victim) -> None:
    """RFC 9293 3.8.6: in flight beyond the new edge; nothing more is sent, and everything arrives in the end."""
    peer = victim.peer()
    victim.write(peer.number, 40_000)
    victim.turn()
    sent = sum(len(segment.payload) for segment in peer.heard())
    assert peer.send(ack=1400, window=10) == "delivered"
    victim.wait(2, 0.1)
    assert peer.tcb.snd_nxt == peer.wants + sent & MASK
    assert peer.send(ack=sent, window=60_000) == "delivered"
    victim.turn()
    assert sum(len(segment.payload) for segment in peer.heard()) > 1400


@pytest.mark.parametrize("window", [1, 2, 100])
def test_silly_window(victim: Victim, window: int) -> None:
    """RFC 1122 4.2.3.4: a peer that offers slivers does not get a segment for each of them."""
    peer = victim.peer()
    shrink(peer, window)
    victim.write(peer.number, 20_000)
    acked, frames = 0, 0
    for _ in range(50):
        victim.turn(0.01)
        segments = peer.heard()
        frames += len(segments)
        acked += sum(len(segment.payload) for segment in segments)
        assert peer.send(ack=acked, window=window) == "delivered"
    assert frames <= 60
    assert acked <= 50 * window


def test_reader_that_never_reads(victim: Victim) -> None:
    """Our own application is the slow one: what waits is bounded, and what comes beyond is refused."""
    peer = victim.peer()
    position = 0
    for _ in range(80):
        if peer.send(bytes(1400), seq=position) != "delivered":
            break
        position += 1400
    assert position <= 66_000
    assert victim.memory <= 1 << 17
    assert peer.send(bytes(1400), seq=position) == "tcp_out_of_window"
    assert peer.tcb.rcv_nxt - peer.tcb.rcv_read & MASK <= peer.tcb.receive_limit


def test_reader_of_single_octets(victim: Victim) -> None:
    """RFC 1122 4.2.3.3: no window update for each octet that is read."""
    peer = victim.peer()
    position = 0
    while peer.send(bytes(1400), seq=position) == "delivered":
        position += 1400
    peer.heard()
    for _ in range(200):
        victim.read(peer.number, 1)
        victim.turn()
    assert len(peer.heard()) <= 1


# --- others -----------------------------------------------------------------------------------------------------------


def exchange(victim: Victim, peer: Peer) -> int:
    """A question and its answer; frames that it took."""
    assert peer.send(b"question") == "delivered"
    peer.next = peer.next + 8 & MASK
    assert victim.read(peer.number) == b"question"
    assert victim.write(peer.number, 100) == 100
    victim.turn()
    frames = peer.heard()
    peer.wants = peer.wants + 100 & MASK
    assert peer.send() == "delivered"
    assert sum(len(frame.payload) for frame in frames) == 100
    return len(frames)


def test_misuse_of_one_connection_leaves_others_alone(victim: Victim) -> None:
    """With a thousand gaps, forged resets and a shut window beside it, an exchange takes the frames it always takes."""
    honest, liar = victim.peer(), victim.peer()
    for _ in range(20):
        exchange(victim, honest)
    before = [exchange(victim, honest) for _ in range(3)]
    victim.write(liar.number, 50_000)
    for place in range(200 if SLOW else 2000):
        liar.send(b"x", seq=1 + 2 * place)
        liar.send(seq=5, flags=RST)
        liar.send(window=0)
    victim.sent(0)
    assert [exchange(victim, honest) for _ in range(3)] == before
    assert victim.tcp.pending_count <= 1
