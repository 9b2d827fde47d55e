"""A connection that moves to another engine (here: out of one and into it again) goes on as if nothing had been."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator

import pytest

from pronghorn.engine.hand_over import put_stray, take_stray
from pronghorn.ports.wire_port import Impairment
from pronghorn.state.endpoints import ENDED, READABLE
from pronghorn.state.mib import ESTAB_RESETS, OUT_RSTS, RETRANS_SEGS
from pronghorn.tcp.hand_over import Parcel, tcp_give, tcp_give_octets, tcp_take
from pronghorn.tcp.records import Stray
from pronghorn.tcp.tcb import CLOSE_WAIT, ESTABLISHED, TIME_WAIT
from tests.tcp.ends import End, Pair


@pytest.fixture(params=[4, 6])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param)
    with made.network:
        yield made


def give(end: End, number: int) -> ctypes.Array[ctypes.c_char]:
    octets = tcp_give_octets(end.worker, number)
    assert octets >= Parcel.SIZE
    room = ctypes.create_string_buffer(octets + 64)
    at = ctypes.addressof(room) + 63 & -64
    assert tcp_give(end.worker, number, at, octets) == octets
    return room


def take(end: End, room: ctypes.Array[ctypes.c_char]) -> int:
    at = ctypes.addressof(room) + 63 & -64
    return tcp_take(end.worker, at, len(room) - 64)


def resets(pair: Pair) -> int:
    return sum(end.endpoints.mib[number] for end in (pair.client, pair.server) for number in (OUT_RSTS, ESTAB_RESETS))


def test_it_goes_on_in_both_directions(pair: Pair) -> None:
    client, server = pair.connected()
    pair.client.send(client, b"before")
    pair.run()
    number = take(pair.server, give(pair.server, server))
    assert number >= 0
    assert pair.server.events(number) & READABLE
    assert pair.server.receive(number) == b"before"
    data = bytes(range(256)) * 2000
    assert pair.carry(pair.client, client, pair.server, number, data) == data
    assert pair.carry(pair.server, number, pair.client, client, data) == data
    assert resets(pair) == 0


def test_what_is_in_flight_arrives_once(pair: Pair) -> None:
    client, server = pair.connected()
    data = b"x" * 5000 + b"y" * 5000
    assert pair.server.send(server, data) == len(data)
    number = take(pair.server, give(pair.server, server))
    pair.run(3)
    assert pair.client.receive(client) == data
    assert pair.server.tcb(number).state == ESTABLISHED


def test_what_comes_in_between_is_not_reset(pair: Pair) -> None:
    """Between giving and taking the giver keeps the four-tuple: the peer sends again."""
    client, server = pair.connected()
    parcel = give(pair.server, server)
    assert TIME_WAIT in pair.server.states()
    pair.client.send(client, b"early")
    pair.run(0.1)
    assert resets(pair) == 0
    number = take(pair.server, parcel)
    pair.run(3)
    assert pair.server.receive(number) == b"early"
    assert TIME_WAIT not in pair.server.states()


def test_what_comes_in_between_is_handed_on(pair: Pair) -> None:
    """Nobody has to send it again: neither data nor the end."""
    client, server = pair.connected()
    parcel = give(pair.server, server)
    pair.client.send(client, b"early")
    pair.run(0.05)
    pair.client.close(client)
    pair.run(0.05)
    strays = strays_of(pair)
    assert len(strays) >= 2
    assert strays_of(pair) == []
    number = take(pair.server, parcel)
    before = pair.client.endpoints.mib[RETRANS_SEGS], pair.server.endpoints.mib[RETRANS_SEGS]
    for stray in strays:
        assert put_stray(pair.server.worker, Stray(ctypes.addressof(stray)), len(stray)) == 0
    assert (pair.server.receive(number), pair.server.receive(number)) == (b"early", b"")
    assert pair.server.tcb(number).state == CLOSE_WAIT
    assert (pair.client.endpoints.mib[RETRANS_SEGS], pair.server.endpoints.mib[RETRANS_SEGS]) == before
    assert resets(pair) == 0


def strays_of(pair: Pair) -> list[ctypes.Array[ctypes.c_char]]:
    """What waits there to be handed on; each with its connection."""
    found, room = [], ctypes.create_string_buffer(70_000)
    while octets := take_stray(pair.server.worker, ctypes.addressof(room), len(room)):
        stray = Stray(ctypes.addressof(room))
        assert (stray.own.port, stray.octets) == (80, octets - Stray.SIZE)
        found.append(ctypes.create_string_buffer(room.raw[:octets], octets))
    return found


def test_strays_are_whole(pair: Pair) -> None:
    client, server = pair.connected()
    give(pair.server, server)
    pair.client.send(client, b"x" * 1000)
    pair.run(0.05)
    (stray,) = strays_of(pair)
    at = ctypes.addressof(stray)
    for octets in (0, Stray.SIZE - 1, Stray.SIZE, len(stray) - 1):
        assert put_stray(pair.server.worker, Stray(at), octets) == -errno.EPROTO
    Stray(at).octets = 0xFFFF_FFFF
    assert put_stray(pair.server.worker, Stray(at), len(stray)) == -errno.EPROTO
    pair.run(1)  # it is sent again
    assert take_stray(pair.server.worker, at, len(stray) - 1) == -errno.EMSGSIZE


def test_octets_beyond_a_gap_move_too() -> None:
    lossy = Impairment(delay=10_000_000, loss=200_000)
    made = Pair(4, lossy)
    with made.network:
        listener = made.server.listen(made.address, 80)
        client = made.client.connect(made.address, 80)
        made.run(20)
        server = made.server.accept(listener)
        assert server >= 0
        sent, got, data = 0, b"", bytes(range(251)) * 160
        seen = 0
        for _ in range(3000):
            sent += max(made.client.send(client, data[sent : sent + 100_000]), 0) if sent < len(data) else 0
            made.run(0.02)
            seen += made.server.tcb(server).beyond.count
            server = take(made.server, give(made.server, server))
            assert server >= 0
            while isinstance(read := made.server.receive(server), bytes) and read:
                got += read
            if len(got) == len(data):
                break
        assert got == data
        assert seen > 0


def test_the_end_that_has_come_is_still_the_end(pair: Pair) -> None:
    client, server = pair.connected()
    pair.client.send(client, b"last")
    pair.client.close(client)
    pair.run()
    number = take(pair.server, give(pair.server, server))
    assert pair.server.events(number) & ENDED
    assert pair.server.tcb(number).state == CLOSE_WAIT
    assert (pair.server.receive(number), pair.server.receive(number)) == (b"last", b"")
    pair.server.close(number)
    pair.run()
    assert pair.server.states() == []


def test_what_cannot_be_given(pair: Pair) -> None:
    number = pair.client.open(pair.address)
    assert tcp_give_octets(pair.client.worker, number) == -errno.ENOTCONN
    connecting = pair.client.connect(pair.address, 81)
    assert tcp_give_octets(pair.client.worker, connecting) == -errno.EAGAIN
    pair.run()


def test_what_is_no_parcel(pair: Pair) -> None:
    client, server = pair.connected()
    parcel = give(pair.server, server)
    at = ctypes.addressof(parcel) + 63 & -64
    octets = len(parcel) - 64
    assert tcp_take(pair.server.worker, at, octets - 1) == -errno.EPROTO
    Parcel(at).send += 1
    assert tcp_take(pair.server.worker, at, octets) == -errno.EPROTO
    Parcel(at).send -= 1
    assert tcp_take(pair.server.worker, at, octets) >= 0
    assert tcp_take(pair.server.worker, at, octets) == -errno.EEXIST
    assert client >= 0


def test_nothing_is_lost(pair: Pair) -> None:
    before = pair.buffers()
    client, server = pair.connected()
    for _ in range(20):
        server = take(pair.server, give(pair.server, server))
    pair.client.close(client)
    pair.run()
    pair.server.close(server)
    pair.run(3)
    assert pair.buffers() == before
