"""Calls and segments that meet at odd moments: what fuzzed conversations have found, one by one."""

from __future__ import annotations

import ctypes

from pronghorn.state import linux
from pronghorn.tcp import calls
from pronghorn.tcp.recovery import mss_changed, probe_range, timer_due
from pronghorn.tcp.reduction import reduce
from pronghorn.tcp.sample import LOSS_PROBE, PURE, SEND
from pronghorn.tcp.segments import flight_of
from pronghorn.tcp.set_option import tcp_set_option
from pronghorn.tcp.tcb import CLOSED, FIN_WAIT_1, LOSS, SYN_RECEIVED, in_flight
from pronghorn.wire.tcp import ACK, FIN, RST, SYN
from tests.tcp.sender import Sender
from tests.tcp.victim import MSS_1400, Heard, Peer, Victim, parse

MASK = 0xFFFF_FFFF


def set_option(victim: Victim, number: int, level: int, option: int, value: int) -> None:
    ctypes.memmove(victim.room, value.to_bytes(4, "little"), 4)
    assert tcp_set_option(victim.worker, number, level, option, victim.room, 4) == 0


def name_option(victim: Victim, number: int, name: bytes) -> None:
    """Another congestion control."""
    ctypes.memmove(victim.room, name, len(name))
    assert tcp_set_option(victim.worker, number, linux.SOL_TCP, linux.TCP_CONGESTION, victim.room, len(name)) == 0


def connecting(victim: Victim) -> tuple[int, Peer, Heard]:
    """The victim's own connection to a peer, whose SYN has been sent."""
    peer = Peer(victim)
    number = calls.tcp_open(victim.worker, victim.family)
    victim.sockets.append(number)
    victim.worker.now = victim.now
    assert calls.tcp_connect(victim.worker, number, victim.address(peer.src, peer.sport)) == -115
    victim.turn()
    (syn,) = [one for one in map(parse, victim.sent(0)) if one is not None and one.dport == peer.sport]
    peer.dport, peer.wants, peer.number = syn.sport, syn.seq + 1 & MASK, number
    return number, peer, syn


def test_shutdown_while_both_open_at_once(victim: Victim) -> None:
    """The FIN follows the SYN's acknowledgement: in SYN_RECEIVED nothing but the SYN is in flight."""
    number, peer, syn = connecting(victim)
    assert peer.send(flags=SYN, options=MSS_1400) == "delivered"
    peer.next = peer.next + 1 & MASK
    assert peer.tcb.state == SYN_RECEIVED
    assert calls.tcp_shutdown(victim.worker, number, 1) == 0
    assert peer.tcb.state == SYN_RECEIVED
    peer.heard()
    victim.wait(1.5, 0.1)
    assert all(segment.flags & SYN and segment.seq == syn.seq for segment in peer.heard())
    assert peer.send() == "delivered"
    assert peer.tcb.state == FIN_WAIT_1
    victim.turn()
    assert [segment.flags & FIN for segment in peer.heard()][-1:] == [FIN]


def test_close_while_both_open_at_once(victim: Victim) -> None:
    """Nobody holds the socket when the handshake ends."""
    number, peer, _ = connecting(victim)
    assert peer.send(flags=SYN, options=MSS_1400) == "delivered"
    peer.next = peer.next + 1 & MASK
    victim.close_socket(number)
    assert peer.send() == "delivered"
    assert victim.in_use() == [FIN_WAIT_1]


def test_options_of_a_connection_that_is_over(victim: Victim) -> None:
    """They send nothing: what was to be sent has been forgotten."""
    peer = victim.peer()
    victim.write(peer.number, 50_000)
    victim.turn()
    assert peer.send(flags=RST) == "tcp_reset"
    peer.heard()
    peer.tcb.cwnd = 1 << 20
    set_option(victim, peer.number, linux.SOL_TCP, linux.TCP_NODELAY, 1)
    set_option(victim, peer.number, linux.SOL_TCP, linux.TCP_CORK, 0)
    set_option(victim, peer.number, linux.SOL_SOCKET, linux.SO_KEEPALIVE, 1)
    name_option(victim, peer.number, b"reno")
    victim.turn()
    assert peer.heard() == []
    assert (peer.tcb.state, victim.memory) == (CLOSED, 0)


def test_keep_alive_of_a_connection_that_was_reset_before_it_was_accepted(victim: Victim) -> None:
    """It is accepted without a timer."""
    listener = victim.listen()
    set_option(victim, listener, linux.SOL_SOCKET, linux.SO_KEEPALIVE, 1)
    peer = Peer(victim)
    peer.send(flags=SYN)
    peer.next, peer.wants = peer.next + 1 & MASK, peer.heard()[-1].seq + 1 & MASK
    peer.send()
    peer.send(flags=RST)
    peer.number = victim.accept()
    assert (peer.tcb.state, peer.tcb.alarm_at, peer.tcb.timer.previous) == (CLOSED, 0, 0)


def test_congestion_control_that_paces_no_more(victim: Victim) -> None:
    """What was waiting for its pace goes when the new one has none."""
    peer = victim.peer()
    name_option(victim, peer.number, b"bbr")
    victim.write(peer.number, 40_000)
    victim.turn()
    peer.tcb.paced_at = victim.now + 1_000_000_000
    assert peer.send(ack=sum(len(segment.payload) for segment in peer.heard())) == "delivered"
    victim.turn()
    assert [segment for segment in peer.heard() if segment.payload] == []
    name_option(victim, peer.number, b"reno")
    victim.turn()
    assert [segment for segment in peer.heard() if segment.payload]


def test_first_octets_come_with_a_cookie(victim: Victim) -> None:
    """The window that the answer has offered holds."""
    victim.listen(backlog=0)
    for _ in range(2):
        Peer(victim).send(flags=SYN)
    peer = Peer(victim)
    peer.send(flags=SYN, options=MSS_1400)
    peer.next, peer.wants = peer.next + 1 & MASK, peer.heard()[-1].seq + 1 & MASK
    assert peer.send(b"question", flags=ACK) == "delivered"
    assert victim.read(victim.accept()) == b"question"


def test_everything_in_flight_has_arrived_but_for_what_is_lost() -> None:
    """In recovery there is room for a segment when nothing is on its way: nothing would ever be acknowledged."""
    with Sender() as sender:
        sender.send(4)
        sender.pass_ms(100)
        sender.ack(0, sack=[(1, 4)])
        assert in_flight(sender.tcb) == 0
        flight = flight_of(sender.worker, sender.tcb)
        flight.prr_out, flight.prr_delivered = 5000, 0
        reduce(sender.tcb, flight, 0, False)
        assert sender.tcb.cwnd >= 1000


def test_loss_probe_of_what_has_arrived() -> None:
    """The probe is the last segment that is still missing; if none is, the peer has taken something back."""
    with Sender() as sender:
        sender.tcb.snd_end = sender.at(4)
        sender.send(4)
        sender.ack(0, sack=[(3, 4)])
        assert probe_range(sender.worker, sender.tcp, sender.tcb) == (sender.at(2), 1000)
        sender.ack(0, sack=[(1, 4)])
        sender.ack(1)
        sender.tcb.retransmit_kind = LOSS_PROBE
        assert timer_due(sender.worker, sender.tcp, sender.tcb) == SEND
        assert sender.tcb.sacked == 0


def test_duplicates_and_smaller_segments() -> None:
    """Without SACK: what duplicates stand for and what became too long are never more than what is in flight."""
    with Sender(agreed=0) as sender:
        sender.send(6)
        sender.ack(0)
        sender.ack(0)
        sender.tcb.mss = 500
        mss_changed(sender.worker, sender.tcp, sender.tcb)
        assert in_flight(sender.tcb) >= 0
        assert sender.tcb.recovery == LOSS
        sender.tcb.recovery_point = sender.at(0)
        for _ in range(5):
            sender.ack(0, signals=PURE)
            assert in_flight(sender.tcb) >= 0
