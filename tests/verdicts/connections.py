"""Situations that end segments with the verdicts of TCP's endpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pronghorn.tcp.receive import GAPS
from pronghorn.wire.tcp import ACK, RST, SYN
from tests.tcp.victim import MSS_1400, Peer, Victim, stamps


def established(payload: bytes = b"", times: int = 1, **fields: Any) -> Callable[[], Victim]:
    """A connection hears the same segment so many times."""

    def situation() -> Victim:
        victim = Victim()
        peer = victim.peer()
        for _ in range(times):
            peer.send(payload, **fields)
        return victim

    return situation


def old_timestamp() -> Victim:
    victim = Victim()
    victim.listen()
    peer = Peer(victim)
    peer.send(flags=SYN, options=MSS_1400 + stamps(1000, 0))
    peer.next, peer.wants = peer.next + 1 & 0xFFFF_FFFF, peer.heard()[-1].seq + 1 & 0xFFFF_FFFF
    peer.send(options=stamps(1001, 0))
    peer.send(b"old", options=stamps(5, 0))
    return victim


def many_gaps() -> Victim:
    victim = Victim()
    peer = victim.peer()
    for place in range(GAPS + 1):
        peer.send(b"x", seq=1 + 2 * place)
    return victim


def full_queue() -> Victim:
    victim = Victim()
    victim.listen(backlog=0)
    for _ in range(3):
        peer = Peer(victim)
        peer.send(flags=SYN)
        answers = peer.heard()
        if answers:
            peer.next, peer.wants = peer.next + 1 & 0xFFFF_FFFF, answers[-1].seq + 1 & 0xFFFF_FFFF
            peer.send()
    return victim


def forged_cookie() -> Victim:
    victim = Victim()
    victim.listen(backlog=0)
    for _ in range(3):
        Peer(victim).send(flags=SYN)
    Peer(victim).send(ack=77)
    return victim


def full_table() -> Victim:
    victim = Victim(conns=2)
    victim.listen()
    for _ in range(2):
        victim.peer()
    Peer(victim).send(flags=SYN)
    return victim


def closed() -> Victim:
    victim = Victim()
    peer = victim.peer()
    victim.close_socket(peer.number)
    victim.turn()
    peer.send(b"unread", ack=1)
    return victim


CONNECTIONS: dict[str, Callable[[], Victim]] = {
    "tcp_old": established(b"again", times=2),
    "tcp_out_of_window": established(b"far", seq=1 << 20),
    "tcp_paws": old_timestamp,
    "tcp_bad_ack": established(ack=1 << 20),
    "tcp_challenged": established(seq=5, flags=RST),
    "tcp_no_backlog": full_queue,
    "tcp_bad_cookie": forged_cookie,
    "tcp_no_memory": full_table,
    "tcp_too_many_gaps": many_gaps,
    "tcp_not_read": closed,
    "tcp_reset": established(flags=RST | ACK),
}
