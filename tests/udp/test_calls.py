"""Datagram sockets end to end: bind, connect, send, receive, and what errors they give, over both families."""

from __future__ import annotations

import errno

import pytest

from pronghorn.memory.buddy import MOST, Buddy, buddy_take
from pronghorn.state.endpoints import READABLE, WRITABLE, Endpoints
from pronghorn.state.linux import MSG_PEEK, MSG_TRUNC
from tests.support.feed import OWN4, OWN6
from tests.udp.bench import UdpBench
from tests.udp.frames import HERE, PEER, incoming, outgoing
from tests.wire import judges as j


@pytest.mark.parametrize("family", [4, 6])
def test_a_datagram_in_and_one_back(family: int) -> None:
    with UdpBench() as bench:
        number = bench.open(family, 7)
        assert bench.receive(number) == -errno.EAGAIN
        assert bench.events(number) == WRITABLE
        assert bench.hear(incoming(family, 7, b"question")) == {"delivered": 1}
        assert bench.events(number) == READABLE | WRITABLE
        assert bench.receive(number) == (b"question", (PEER[family], 4000))
        assert bench.receive(number) == -errno.EAGAIN
        assert bench.events(number) == WRITABLE
        assert bench.send(number, b"answers", (PEER[family], 4000)) == 7
        bench.turn()
        (frame,) = bench.sent()
        assert outgoing(frame) == (HERE[family], PEER[family], 7, 4000, b"answers")
        assert (bench.counter("InDatagrams"), bench.counter("OutDatagrams")) == (1, 1)


@pytest.mark.parametrize("family", [4, 6])
def test_a_connected_socket_hears_its_peer_alone(family: int) -> None:
    with UdpBench() as bench:
        number = bench.open(family)
        assert bench.send(number, b"x") == -errno.EDESTADDRREQ
        assert bench.connect(number, PEER[family], 53) == 0
        host, port = bench.name(number)  # type: ignore[misc]
        assert host == HERE[family]
        assert 32768 <= port <= 60999
        assert bench.name(number, 1) == (PEER[family], 53)
        assert bench.send(number, b"ask") == 3
        bench.turn()
        assert outgoing(bench.sent()[0])[2:] == (port, 53, b"ask")
        assert "no_listener" in bench.hear(incoming(family, port, b"forged", sport=54))
        assert "no_listener" in bench.hear(incoming(family, port, b"forged", src=HERE[family][:-1] + "9"))
        assert bench.hear(incoming(family, port, b"told", sport=53)) == {"delivered": 1}
        assert bench.receive(number) == (b"told", (PEER[family], 53))
        assert bench.connect(number, None) == 0
        assert bench.name(number, 1) == -errno.ENOTCONN
        assert bench.hear(incoming(family, port, b"anyone", sport=54)) == {"delivered": 1}


def test_datagrams_keep_their_borders() -> None:
    with UdpBench() as bench:
        number = bench.open(4, 7)
        sizes = [0, 1, 7, 8, 9, 500, 1472, 3, 0]
        for size in sizes:
            assert bench.hear(incoming(4, 7, bytes([size & 0xFF]) * size)) == {"delivered": 1}
        assert bench.receive(number, flags=MSG_PEEK) == (b"", (PEER[4], 4000))
        for size in sizes:
            assert bench.receive(number) == (bytes([size & 0xFF]) * size, (PEER[4], 4000))
        assert bench.endpoint(number).queue.block == 0, "an empty socket keeps no memory"


def test_a_datagram_is_cut_to_the_room() -> None:
    with UdpBench() as bench:
        number = bench.open(4, 7)
        for _ in range(2):
            bench.hear(incoming(4, 7, b"0123456789"))
        assert bench.receive(number, room=4) == (b"0123", (PEER[4], 4000))
        octets, _ = bench.receive(number, room=4, flags=MSG_TRUNC | MSG_PEEK)  # type: ignore[misc]
        assert octets == b"0123"
        assert bench.endpoint(number).waiting == 1


def test_parts_are_gathered() -> None:
    with UdpBench() as bench:
        number = bench.open(4, 7)
        assert bench.send(number, b"abcdefgh", (PEER[4], 9), sizes=[1, 0, 4, 3]) == 8
        bench.turn()
        assert outgoing(bench.sent()[0])[4] == b"abcdefgh"


def test_a_full_socket_drops_and_counts() -> None:
    with UdpBench() as bench:
        number = bench.open(4, 7)
        bench.endpoint(number).receive_limit = 2500
        heard = [bench.hear(incoming(4, 7, bytes(1000))) for _ in range(4)]
        assert heard == [{"delivered": 1}, {"delivered": 1}, {"socket_full": 1}, {"socket_full": 1}]
        assert (bench.counter("RcvbufErrors"), bench.endpoint(number).dropped) == (2, 2)
        assert bench.receive(number) == (bytes(1000), (PEER[4], 4000))
        assert bench.hear(incoming(4, 7, bytes(1000))) == {"delivered": 1}
        assert bench.close_socket(number) == 0


def test_no_memory_is_a_verdict() -> None:
    with UdpBench(buffers=8 << 20) as bench:
        number = bench.open(4, 7)
        buddy = Buddy(Endpoints(bench.worker().transports).buddy)
        assert buddy_take(buddy, MOST) != 0
        assert bench.hear(incoming(4, 7, b"x")) == {"socket_no_memory": 1}
        assert bench.counter("MemErrors") == 1
        assert bench.endpoint(number).waiting == 0


@pytest.mark.parametrize("family", [4, 6])
def test_the_last_sixteenth_of_the_memory_is_not_for_datagrams(family: int) -> None:
    with UdpBench(buffers=8 << 20) as bench:
        bench.open(family, 7)
        buddy = Buddy(Endpoints(bench.worker().transports).buddy)
        assert min(buddy_take(buddy, order) for order in (MOST - 1, MOST - 2, MOST - 3, MOST - 4)) != 0
        assert bench.hear(incoming(family, 7, b"x")) == {"delivered": 1}  # the ring takes of the sixteenth
        assert bench.hear(incoming(family, 7, bytes(64))) == {"delivered": 1}  # and has room
        assert bench.hear(incoming(family, 7, bytes(400))) == {"socket_no_memory": 1}
        assert buddy.limit - buddy.used == (8 << 20 >> 4) - 256


@pytest.mark.parametrize("family", [4, 6])
def test_a_long_datagram_goes_in_pieces(family: int) -> None:
    with UdpBench(large_packets=4) as bench:
        number = bench.open(family, 7)
        octets = bytes(range(256)) * 20
        assert bench.send(number, octets, (PEER[family], 9)) == len(octets)
        bench.turn()
        frames = bench.sent()
        assert len(frames) == 4
        assert all(len(frame) <= 1514 for frame in frames)
        order = {
            int(j.Ether(frame).payload.frag if family == 4 else j.Ether(frame)[j.IPv6ExtHdrFragment].offset): frame
            for frame in frames
        }
        header = 34 if family == 4 else 62
        assert b"".join(order[place][header:] for place in sorted(order))[8:] == octets
        assert bench.send(number, bytes(65508), (PEER[family], 9)) == (-errno.EMSGSIZE if family == 4 else 65508)
        bench.turn()


def test_own_addresses_are_reached_within() -> None:
    with UdpBench() as bench:
        one, two = bench.open(4, 7), bench.open(4, 8)
        assert bench.send(one, b"hello", (OWN4[1], 8)) == 5
        assert bench.receive(two) == (b"hello", (OWN4[1], 7))
        assert bench.connect(one, OWN4[0], 999) == 0
        assert bench.send(one, b"nobody") == 6
        assert bench.send(one, b"again") == -errno.ECONNREFUSED
        assert bench.sent() == []


def test_errors_of_bind() -> None:
    with UdpBench() as bench:
        number = bench.open(4)
        assert bench.bind(number, "192.0.2.200", 7) == -errno.EADDRNOTAVAIL
        assert bench.bind(number, "2001:db8:1::1", 7) == -errno.EAFNOSUPPORT
        assert bench.bind(number, OWN4[0], 7) == 0
        assert bench.bind(number, OWN4[0], 8) == -errno.EINVAL
        assert bench.bind(bench.open(4), OWN4[0], 7) == -errno.EADDRINUSE
        assert bench.bind(bench.open(4), "0.0.0.0", 7) == -errno.EADDRINUSE
        assert bench.bind(bench.open(4), OWN4[1], 7) == 0
        assert bench.bind(bench.open(10), "::", 7) == -errno.EADDRINUSE
        assert bench.bind(bench.open(6), "::", 7) == 0
        assert bench.bind(bench.open(6), "fe80::ff:fe00:0", 9) == -errno.EINVAL
        assert bench.bind(bench.open(6), "fe80::ff:fe00:0", 9, interface=1) == 0


def test_a_dual_stack_socket_takes_both() -> None:
    with UdpBench() as bench:
        both, four = bench.open(10, 7), bench.open(4)
        assert bench.hear(incoming(4, 7, b"four")) == bench.hear(incoming(6, 7, b"six")) == {"delivered": 1}
        assert bench.receive(both) == (b"four", (PEER[4], 4000))
        assert bench.receive(both) == (b"six", (PEER[6], 4000))
        assert bench.send(both, b"x", (PEER[4], 9)) == bench.send(both, b"x", (PEER[6], 9)) == 1
        assert bench.send(four, b"x", (PEER[6], 9)) == -errno.EAFNOSUPPORT
        bench.turn()
        assert [outgoing(frame)[0] for frame in bench.sent()] == [OWN4[0], OWN6[0]]


def test_no_route() -> None:
    with UdpBench() as bench:
        number = bench.open(4, 7)
        assert bench.send(number, b"x", ("192.0.2.255", 9)) == -errno.EACCES
        assert bench.send(number, b"x", ("0.0.0.0", 9)) == -errno.EINVAL


def test_closed_sockets_leave_nothing() -> None:
    with UdpBench(sockets=8) as bench:
        for _ in range(3):
            numbers = [bench.open(4, 1000 + n) for n in range(8)]
            for number in numbers:
                bench.hear(incoming(4, 1000 + numbers.index(number), b"unread"))
            for number in numbers:
                bench.close_socket(number)
        udp = bench.udp()
        assert (udp.count, udp.fresh) == (0, 8)
        assert "no_listener" in bench.hear(incoming(4, 1000, b"late"))
