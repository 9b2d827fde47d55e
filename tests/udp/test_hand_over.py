"""What waits in a socket waits in another one as well, whole and in order; hostile octets are refused."""

from __future__ import annotations

import ctypes
import errno

import pytest

from pronghorn.state.endpoints import READABLE
from pronghorn.udp.endpoint import RECEIVE_LIMIT, Arrival
from pronghorn.udp.hand_over import udp_copy, udp_drop, udp_put, udp_waiting_octets
from tests.udp.bench import UdpBench
from tests.udp.frames import PEER, incoming


def octets_of(bench: UdpBench, number: int) -> ctypes.Array[ctypes.c_char]:
    octets = udp_waiting_octets(bench.worker(), number)
    room = ctypes.create_string_buffer(octets)
    assert udp_copy(bench.worker(), number, ctypes.addressof(room), octets - 1) == -errno.EINVAL
    assert udp_copy(bench.worker(), number, ctypes.addressof(room), octets) == bench.endpoint(number).waiting
    return room


@pytest.mark.parametrize("family", [4, 6])
def test_both_have_what_waits(family: int) -> None:
    texts = [b"one", b"", b"x" * 1400, b"four"]
    with UdpBench() as bench:
        parent, child = bench.open(family, 7), bench.open(family, 8)
        assert udp_waiting_octets(bench.worker(), parent) == 0
        assert udp_drop(bench.worker(), parent) == -errno.EAGAIN
        for text in texts:
            bench.hear(incoming(family, 7, text))
        room = octets_of(bench, parent)
        assert udp_put(bench.worker(), child, ctypes.addressof(room), len(room), 3) == 3
        assert [bench.receive(child) for _ in range(3)] == [(text, (PEER[family], 4000)) for text in texts[:3]]
        assert bench.receive(child) == -errno.EAGAIN
        for _ in range(3):
            assert bench.events(parent) & READABLE
            assert udp_drop(bench.worker(), parent) == 0
        assert bench.receive(parent) == (b"four", (PEER[family], 4000))
        assert not bench.events(parent) & READABLE


def test_a_ring_that_has_gone_round() -> None:
    with UdpBench() as bench:
        parent, child = bench.open(4, 7), bench.open(4, 8)
        for number in range(200):
            bench.hear(incoming(4, 7, b"%d" % number * 20))
            if number >= 3:
                assert udp_drop(bench.worker(), parent) == 0
        room = octets_of(bench, parent)
        assert udp_put(bench.worker(), child, ctypes.addressof(room), len(room), 99) == 3
        assert [bench.receive(child)[0] for _ in range(3)] == [b"%d" % number * 20 for number in (197, 198, 199)]  # type: ignore[index]


def test_what_is_not_whole_is_refused_and_room_is_limited() -> None:
    with UdpBench() as bench:
        parent, child = bench.open(4, 7), bench.open(4, 8)
        bench.hear(incoming(4, 7, b"a datagram"))
        room = octets_of(bench, parent)
        at = ctypes.addressof(room)
        for short in range(1, len(room)):
            assert udp_put(bench.worker(), child, at, short, 9) == -errno.EPROTO
        Arrival(at).length = 0xFFFF_FFFF
        assert udp_put(bench.worker(), child, at, len(room), 9) == -errno.EPROTO
        assert udp_put(bench.worker(), child, at, 0, 9) == 0
        assert bench.endpoint(child).waiting == 0
        size = Arrival.SIZE + 1000
        many = ctypes.create_string_buffer(size * 400)
        for number in range(400):
            Arrival(ctypes.addressof(many) + number * size).length = 1000
        put = udp_put(bench.worker(), child, ctypes.addressof(many), len(many), 400)
        assert RECEIVE_LIMIT // 1100 < put < RECEIVE_LIMIT // 1000
        assert bench.endpoint(child).waiting == put
