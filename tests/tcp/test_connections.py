"""Connections that open, carry octets both ways, lose some on the way, and end in every order."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator

import pytest

from pronghorn.ports.wire_port import Impairment
from pronghorn.state.endpoints import ENDED, READABLE, WRITABLE
from pronghorn.tcp.receive import acknowledge_later, window_opened
from pronghorn.tcp.tcb import ACK_LATER, ACK_NOW, CLOSED, ESTABLISHED, TIME_WAIT
from tests.tcp.ends import Pair

OCTETS = bytes(random.Random(7).randbytes(250_000))


@pytest.fixture(params=[4, 6])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param)
    with made.network:
        yield made


def test_it_opens_carries_octets_and_closes(pair: Pair) -> None:
    client, server = pair.connected()
    assert pair.client.events(client) & WRITABLE
    assert pair.client.tcb(client).state == ESTABLISHED
    assert pair.client.send(client, b"hello") == 5
    pair.run()
    assert pair.server.events(server) & READABLE
    assert pair.server.receive(server) == b"hello"
    assert pair.server.receive(server) == -errno.EAGAIN
    assert pair.server.send(server, b"and good-bye") == 12
    pair.server.close(server)
    pair.run()
    assert pair.client.receive(client) == b"and good-bye"
    assert pair.client.events(client) & ENDED
    assert pair.client.receive(client) == b""
    pair.client.close(client)
    pair.run()
    assert pair.client.states() == []
    assert pair.server.states() == [TIME_WAIT]
    pair.run(61)
    assert pair.server.states() == []
    assert pair.buffers() == 0


def test_much_goes_both_ways(pair: Pair) -> None:
    client, server = pair.connected()
    assert pair.carry(pair.client, client, pair.server, server, OCTETS) == OCTETS
    assert pair.carry(pair.server, server, pair.client, client, OCTETS) == OCTETS
    pair.run()
    assert pair.buffers() == 0


def test_nobody_listens(pair: Pair) -> None:
    client = pair.client.connect(pair.address, 81)
    pair.run()
    assert pair.client.receive(client) == -errno.ECONNREFUSED
    assert pair.client.tcb(client).state == CLOSED
    pair.client.close(client)
    assert pair.client.states() == []


@pytest.mark.parametrize("family", [4, 6])
def test_octets_arrive_through_loss_reordering_and_duplication(family: int) -> None:
    pair = Pair(family, Impairment(delay=10_000_000, jitter=5_000_000, loss=30_000, duplicate=20_000))
    with pair.network:
        client, server = pair.connected()
        assert pair.carry(pair.client, client, pair.server, server, OCTETS, 300) == OCTETS
        pair.client.close(client)
        pair.run(3)
        assert pair.server.receive(server) == b""
        pair.server.close(server)
        pair.run(130)
        assert pair.client.states() == pair.server.states() == []
        assert pair.buffers() == 0


def test_two_segments_are_acknowledged_at_once_though_the_window_was_rounded_up(pair: Pair) -> None:
    _, server = pair.connected()
    tcb, scale = pair.server.tcb(server), pair.server.tcb(server).rcv_scale
    tcb.receive_limit, tcb.quick, tcb.flags = 1_000_001, 0, 0
    # Everything was read when the window was told; then two segments have come.
    tcb.rcv_right = (tcb.rcv_nxt + (-(-tcb.receive_limit >> scale) << scale)) & 0xFFFF_FFFF
    tcb.rcv_nxt = (tcb.rcv_nxt + 2 * tcb.mss) & 0xFFFF_FFFF
    acknowledge_later(pair.server.worker, pair.server.tcp, tcb)
    assert tcb.flags & (ACK_NOW | ACK_LATER) == ACK_NOW
    tcb.rcv_read = tcb.rcv_nxt


def test_what_was_read_is_acknowledged_when_it_is_more_than_a_segment(pair: Pair) -> None:
    _, server = pair.connected()
    tcb = pair.server.tcb(server)
    tcb.quick, tcb.flags = 0, ACK_LATER
    tcb.rcv_nxt = (tcb.rcv_nxt + 2 * tcb.mss) & 0xFFFF_FFFF
    tcb.rcv_read = tcb.rcv_nxt
    window_opened(pair.server.worker, pair.server.tcp, tcb)
    assert tcb.flags & ACK_NOW
