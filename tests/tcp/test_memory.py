"""What connections keep, and what happens when the memory for it runs out: limits of sockets, memory pressure."""

from __future__ import annotations

import ctypes
import errno

import pytest

from pronghorn.compiled import mode
from pronghorn.memory.buddy import STRETCH, UNIT, Buddy, buddy_give, buddy_open, buddy_take
from pronghorn.memory.hashtable import LOAD, Bucket
from pronghorn.memory.stream import stream_size
from pronghorn.state import linux
from pronghorn.state.endpoints import WRITABLE, Socket
from pronghorn.state.mib import COUNTERS
from pronghorn.tcp.set_option import tcp_set_option
from pronghorn.tcp.tcb import CLOSED, NEVER, Tcb
from pronghorn.tcp.window import offered, unread
from tests.tcp.ends import End, Pair
from tests.tcp.victim import Peer, Victim

SLOW = mode() == "interpreted"
READERS = 16 if SLOW else 200
MEMORY = (96 if SLOW else 1024) << 10
EACH = 14_000
SEGMENT = 1460
families = pytest.mark.parametrize("family", [4, 6])


def buddy_of(end: End) -> Buddy:
    return Buddy(end.endpoints.buddy)


def limit_memory(end: End, octets: int) -> None:
    """Nothing is in use yet: from now on there are so many octets of buffers."""
    buddy, tcp = buddy_of(end), end.tcp
    assert buddy.used == 0
    buddy_open(buddy, buddy.base + STRETCH, buddy.states.address + STRETCH // UNIT, octets)
    tcp.memory_low, tcp.memory_pressure, tcp.memory_high = octets // 2, octets // 4 * 3, octets // 100 * 94


def counter(end: End, name: str) -> int:
    return end.endpoints.mib[next(place for place, (_, known) in enumerate(COUNTERS) if known == name)]


def take_all(end: End, order: int = 8, keep: int = 0) -> list[int]:
    """Every block of that order but `keep`: what others use."""
    blocks = []
    while block := buddy_take(buddy_of(end), order):
        blocks.append(block)
    for block in blocks[:keep]:
        buddy_give(buddy_of(end), block, order)
    return blocks[keep:]


def give_all(end: End, blocks: list[int], order: int = 8) -> None:
    for block in blocks:
        buddy_give(buddy_of(end), block, order)


def set_option(end: End, number: int, option: int, value: int) -> None:
    room = ctypes.c_int(value)
    assert tcp_set_option(end.worker, number, linux.SOL_SOCKET, option, ctypes.addressof(room), 4) == 0


def relaxed(end: End) -> None:
    """No octet is in use, no block was lost, and pressure is over."""
    assert buddy_of(end).used == 0
    assert (end.tcp.pressed, end.tcp.sweep_at) == (0, NEVER)


@families
def test_slow_readers_leave_memory_to_others(family: int) -> None:
    pair = Pair(family)
    limit_memory(pair.server, MEMORY)
    listener = pair.server.listen(pair.address, 80, backlog=READERS)
    early = pair.client.connect(pair.address, 80)
    pair.run()
    late = pair.server.accept(listener)
    both_ways(pair, early, late, bytes(range(256)))
    clients = [pair.client.connect(pair.address, 80) for _ in range(READERS)]
    pair.run()
    servers = [pair.server.accept(listener) for _ in range(READERS)]
    assert min(servers) >= 0
    text = bytes(range(250)) * (EACH // 250)
    for client in clients:
        assert pair.client.send(client, text) == EACH
    pair.run(3)
    buddy = buddy_of(pair.server)
    assert buddy.used > pair.server.tcp.memory_low
    assert buddy.peak <= MEMORY
    assert (pair.server.tcp.pressed != 0, counter(pair.server, "TCPMemoryPressures")) == (True, 1)
    assert counter(pair.server, "TCPRcvQDrop") > 0
    both_ways(pair, early, late, bytes(range(256)) * 40)
    other = pair.client.connect(pair.address, 80)
    pair.run()
    accepted = pair.server.accept(listener)
    assert accepted >= 0
    assert pair.carry(pair.server, accepted, pair.client, other, text) == text
    got = dict.fromkeys(servers, b"")
    end = pair.network.now + 200e9
    while min(len(read) for read in got.values()) < EACH and pair.network.now < end:
        pair.run(0.5)
        for server in servers:
            if isinstance(read := pair.server.receive(server), bytes):
                got[server] += read
    assert all(read == text for read in got.values())
    assert pair.carry(pair.client, other, pair.server, accepted, text) == text
    pair.run(0.1)
    relaxed(pair.server)
    assert buddy.peak <= MEMORY
    clients += [early, other]
    servers += [late, accepted]
    for client, server in zip(clients, servers, strict=True):
        pair.client.close(client)
        pair.server.close(server)
    pair.run(70)
    assert pair.buffers() == 0


def both_ways(pair: Pair, client: int, server: int, text: bytes) -> None:
    assert pair.carry(pair.client, client, pair.server, server, text) == text
    assert pair.carry(pair.server, server, pair.client, client, text) == text


@families
def test_an_idle_connection_keeps_no_buffer(family: int) -> None:
    pair = Pair(family)
    client, server = pair.connected()
    assert pair.carry(pair.client, client, pair.server, server, bytes(100_000)) == bytes(100_000)
    assert pair.carry(pair.server, server, pair.client, client, bytes(100_000)) == bytes(100_000)
    pair.run()
    assert pair.buffers() == 0
    assert Tcb.SIZE + Socket.SIZE + 2 * Bucket.SIZE // LOAD <= 512


@families
def test_what_was_refused_for_want_of_memory_is_called_for(family: int) -> None:
    pair = Pair(family)
    limit_memory(pair.client, MEMORY)
    client, server = pair.connected()
    blocks = take_all(pair.client)
    assert pair.client.send(client, b"octets") == -errno.EAGAIN
    pair.run()
    assert pair.client.events(client) & WRITABLE == 0
    give_all(pair.client, blocks)
    pair.run(0.1)
    assert pair.client.events(client) & WRITABLE != 0
    assert pair.carry(pair.client, client, pair.server, server, b"octets") == b"octets"
    relaxed(pair.client)


@families
def test_octets_without_a_record_of_their_segment_go_when_there_is_memory(family: int) -> None:
    pair = Pair(family)
    limit_memory(pair.client, MEMORY)
    client, server = pair.connected()
    pair.client.tcp.memory_pressure = pair.client.tcp.memory_high = 2 * MEMORY
    blocks = take_all(pair.client, keep=1)
    assert pair.client.send(client, b"octets") == 6
    pair.run()
    assert pair.server.receive(server) == -errno.EAGAIN
    give_all(pair.client, blocks)
    pair.run(0.1)
    assert pair.server.receive(server) == b"octets"
    relaxed(pair.client)


@families
def test_what_cannot_be_kept_comes_again(family: int) -> None:
    pair = Pair(family)
    limit_memory(pair.server, MEMORY)
    client, server = pair.connected()
    blocks = take_all(pair.server)
    assert pair.client.send(client, bytes(5000)) == 5000
    pair.run(10)
    assert counter(pair.server, "TCPRcvQDrop") > 0
    assert pair.server.receive(server) == -errno.EAGAIN
    give_all(pair.server, blocks)
    got = b""
    for _ in range(200):
        pair.run(0.1)
        got += read if isinstance(read := pair.server.receive(server), bytes) else b""
    assert got == bytes(5000)
    relaxed(pair.server)


@families
def test_above_the_limit_one_segment_is_taken(family: int) -> None:
    """Reading one segment after the other, everything arrives."""
    pair = Pair(family)
    limit_memory(pair.server, 1 << 18)
    client, server = pair.connected()
    both_ways(pair, client, server, b"It is read.")
    blocks = take_all(pair.server, order=12, keep=2)
    assert buddy_of(pair.server).used > pair.server.tcp.memory_high
    assert pair.client.send(client, bytes(20_000)) == 20_000
    got, most = 0, 0
    while got < 20_000:
        pair.run(0.1)
        most = max(most, unread(pair.server.tcb(server)))
        if isinstance(read := pair.server.receive(server), bytes):
            got += len(read)
    assert most <= 2 * SEGMENT
    give_all(pair.server, blocks, order=12)
    pair.run()
    relaxed(pair.server)


@families
def test_rings_that_are_mostly_empty_shrink(family: int) -> None:
    pair = Pair(family)
    limit_memory(pair.server, 1 << 20)
    client, server = pair.connected()
    text = bytes(range(250)) * 240
    assert pair.client.send(client, text) == len(text)
    pair.run()
    tcb = pair.server.tcb(server)
    got = pair.server.receive(server, len(text) - 700)
    assert stream_size(tcb.receive) == 1 << 16
    blocks = take_all(pair.server)
    assert pair.server.send(server, b"x") == -errno.EAGAIN
    give_all(pair.server, blocks[:64])
    pair.run(0.1)
    assert stream_size(tcb.receive) == 2048
    assert pair.server.tcp.pressed != 0
    assert isinstance(got, bytes)
    last = pair.server.receive(server)
    assert isinstance(last, bytes)
    assert got + last == text
    give_all(pair.server, blocks[64:])
    pair.run(0.1)
    relaxed(pair.server)


@families
def test_orphans_end_when_memory_is_short(family: int) -> None:
    pair = Pair(family)
    limit_memory(pair.server, 1 << 20)
    client, server = pair.connected()
    _, beside = pair.connected(81)
    text = bytes(range(250)) * 400
    sent = pair.server.send(server, text)
    pair.run(2)
    sent += max(pair.server.send(server, text), 0)
    pair.run(2)  # the peer's window is full, and what it does not take waits
    tcb = pair.server.tcb(server)
    assert tcb.snd_end != tcb.snd_una
    pair.server.close(server)
    blocks = take_all(pair.server)
    assert pair.server.send(beside, b"x") == -errno.EAGAIN
    pair.run()
    assert counter(pair.server, "TCPAbortOnMemory") == 1
    assert pair.client.tcb(client).state == CLOSED
    give_all(pair.server, blocks)
    pair.run()
    relaxed(pair.server)


@families
def test_the_limits_of_a_socket_hold_to_the_octet(family: int) -> None:
    pair = Pair(family)
    listener = pair.server.listen(pair.address, 80)
    set_option(pair.server, listener, linux.SO_RCVBUF, 8000)
    client = pair.client.connect(pair.address, 80)
    set_option(pair.client, client, linux.SO_SNDBUF, 10_000)
    pair.run()
    server = pair.server.accept(listener)
    buffered, sent = 0, 0
    for _ in range(40):
        sent += max(pair.client.send(client, bytes(7000)), 0)
        tcb = pair.client.tcb(client)
        assert tcb.snd_end - tcb.snd_una & 0xFFFF_FFFF <= 10_000
        pair.run(0.05)
        buffered = max(buffered, unread(pair.server.tcb(server)))
    assert 8000 - SEGMENT <= buffered <= 8000 + SEGMENT
    assert sent == buffered + 10_000


def take_until(victim: Victim, wanted: int, order: int = 13) -> list[int]:
    """Blocks of that order: what others use, until so much is in use."""
    buddy, blocks = Buddy(victim.endpoints.buddy), []
    while buddy.used + (1 << order) <= wanted:
        blocks.append(buddy_take(buddy, order))
    assert min(blocks) > 0
    return blocks


def give_back(victim: Victim, blocks: list[int], order: int = 13) -> None:
    for block in blocks:
        buddy_give(Buddy(victim.endpoints.buddy), block, order)


def fill_up(peer: Peer, segments: int) -> list[str]:
    """Verdicts of so many segments; each begins with what was not taken of those before."""
    verdicts = []
    for _ in range(segments):
        verdicts.append(peer.send(bytes(1400)))
        peer.next = peer.tcb.rcv_nxt
    return verdicts


def window_of(peer: Peer) -> int:
    """What the peer was told last."""
    peer.victim.wait(0.1, 0.02)
    return peer.heard()[-1].window


def test_a_queue_takes_a_share_and_offers_four_segments(victim: Victim) -> None:
    peer, tcp = victim.peer(), victim.tcp
    assert fill_up(peer, 2) == ["delivered"] * 2
    blocks = take_until(victim, tcp.memory_high - 40_000)
    verdicts = fill_up(peer, 12)
    assert verdicts[:2] + verdicts[-1:] == ["delivered"] * 2 + ["tcp_out_of_window"]
    assert "tcp_no_memory" in verdicts
    taken = unread(peer.tcb)
    assert taken <= 8192
    assert window_of(peer) == 0
    assert victim.read(peer.number) == bytes(taken)
    assert 1400 <= window_of(peer) <= 4 * 1400
    give_back(victim, blocks)
    victim.wait(0.1, 0.02)
    assert (tcp.pressed, tcp.sweep_at) == (0, NEVER)


def test_memory_above_the_limit_is_for_connections_that_are_read(victim: Victim) -> None:
    tcp, known, stranger = victim.tcp, victim.peer(), victim.peer()
    assert fill_up(known, 1) == ["delivered"]
    assert victim.read(known.number) == bytes(1400)
    blocks = take_until(victim, tcp.memory_high + 20_000)
    assert fill_up(known, 3) == ["delivered", "delivered", "tcp_no_memory"]
    assert unread(known.tcb) == 2048  # a whole ring
    assert fill_up(stranger, 1) == ["tcp_no_memory"]
    assert (window_of(stranger), offered(known.tcb)) == (0, 0)
    assert victim.read(known.number) == bytes(2048)
    assert window_of(known) >= 1400
    assert stranger.heard() == []
    give_back(victim, blocks)
    assert window_of(stranger) >= 1400  # nobody had to ask
    assert fill_up(stranger, 1) == ["delivered"]
    victim.wait(0.1, 0.02)
    assert (tcp.pressed, tcp.sweep_at) == (0, NEVER)
