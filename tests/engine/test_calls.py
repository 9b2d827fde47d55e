"""The engine's socket calls: handles, options, names and readiness, over datagram sockets."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from pronghorn.compiled import Array, array_at, u32
from pronghorn.engine.calls import (
    Event,
    accept,
    arrival,
    bind,
    close_socket,
    connect,
    get_option,
    listen,
    peer_name,
    ready,
    receive,
    receive_from,
    receive_vector,
    send,
    send_to,
    send_vector,
    set_option,
    shutdown,
    socket,
    socket_name,
    watch,
)
from pronghorn.state import linux
from pronghorn.state.endpoints import DATAGRAM, EDGE, FAILED, READABLE, STREAM, WRITABLE, Address
from tests.support.feed import OWN, ROUTER
from tests.udp.bench import UdpBench
from tests.udp.frames import HERE, PEER, incoming, outgoing
from tests.wire import judges as j

NOBODY = Address(0)


class CallBench(UdpBench):
    """A UdpBench whose calls go by handles, as applications make them."""

    def value(self, number: int = 0) -> int:
        """The address of an int."""
        values: Array[Any] = array_at(u32, self.memory.address + 512)
        values[0] = number
        return values.address

    def set(self, handle: int, level: int, option: int, number: int, octets: int = 4) -> int:
        return set_option(self.worker(), handle, level, option, self.value(number), octets)

    def get(self, handle: int, level: int, option: int) -> int:
        at = self.value()
        done = get_option(self.worker(), handle, level, option, at, 4)
        if done < 0:
            return done
        values: Array[Any] = array_at(u32, at)
        return int(values[0])

    def ready(self, room: int = 8) -> list[tuple[int, int, int]]:
        events: Array[Any] = array_at(Event, self.memory.address + 4096)
        count = ready(self.worker(), events, room)
        return [(events[n].handle, events[n].events, events[n].user) for n in range(count)]

    def octets(self, text: bytes = b"") -> tuple[int, int]:
        """Address and length of octets in the arena."""
        at = self.memory.address + 8192
        ctypes.memmove(at, text, len(text))
        return at, len(text)

    def __enter__(self) -> CallBench:
        return self


@pytest.fixture
def bench() -> Iterator[CallBench]:
    with CallBench() as made:
        yield made


def test_a_conversation(bench: CallBench) -> None:
    worker = bench.worker()
    handle = socket(worker, 2, DATAGRAM)
    assert bind(worker, handle, bench.address("0.0.0.0", 7)) == 0
    at, count = bench.octets(b"hello")
    assert send_to(worker, handle, at, count, 0, bench.address(PEER[4], 9)) == 5
    assert connect(worker, handle, bench.address(PEER[4], 4000)) == 0
    assert send(worker, handle, at, 2, 0) == 2
    bench.turn()
    assert [outgoing(frame)[3:] for frame in bench.sent()] == [(9, b"hello"), (4000, b"he")]
    bench.hear(incoming(4, 7, b"one"))
    bench.hear(incoming(4, 7, b"two"))
    assert receive(worker, handle, at, 100, linux.MSG_DONTWAIT) == 3
    address = bench.address("0.0.0.0", 0, place=3)
    assert receive_from(worker, handle, at, 100, 0, address) == 3
    assert bench.text(address) == (PEER[4], 4000)
    about = arrival(worker)
    assert (about.length, about.source_port, about.ttl, about.interface, about.family) == (3, 4000, 64, 0, 4)
    assert about.to_lo & 0xFFFF_FFFF == int(ip_address(HERE[4]))
    assert peer_name(worker, handle, address) == 0
    assert bench.text(address) == (PEER[4], 4000)
    assert socket_name(worker, handle, address) == 0
    assert bench.text(address) == (HERE[4], 7)
    assert send_vector(worker, handle, bench.parts([1, 2]), 2, 0, NOBODY) == 3
    bench.hear(incoming(4, 7, b"three"))
    assert receive_vector(worker, handle, bench.parts([1, 2, 9]), 3, 0, NOBODY) == 5
    assert shutdown(worker, handle, linux.SHUT_RDWR) == 0
    assert receive(worker, handle, at, 100, 0) == 0
    assert send(worker, handle, at, 2, 0) == -errno.EPIPE
    assert close_socket(worker, handle) == 0


def test_a_closed_handle_is_refused(bench: CallBench) -> None:
    worker = bench.worker()
    first = socket(worker, 4, DATAGRAM)
    assert close_socket(worker, first) == 0
    second = socket(worker, 4, DATAGRAM)
    assert first != second
    address = bench.address("0.0.0.0", 7)
    for handle in (first, -1, 1 << 40, 12345):
        assert close_socket(worker, handle) == -errno.EBADF
        assert bind(worker, handle, address) == connect(worker, handle, address) == -errno.EBADF
        assert send(worker, handle, 0, 0, 0) == receive(worker, handle, 0, 0, 0) == -errno.EBADF
        assert shutdown(worker, handle, 0) == watch(worker, handle, READABLE, 0, 0) == -errno.EBADF
        assert set_option(worker, handle, 1, 2, 0, 0) == get_option(worker, handle, 1, 2, 0, 0) == -errno.EBADF
    assert socket(worker, 1, DATAGRAM) == -errno.EAFNOSUPPORT
    assert socket(worker, 4, 77) == -errno.EPROTONOSUPPORT


def test_sockets_run_out(bench: CallBench) -> None:
    worker = bench.worker()
    handles = [socket(worker, 4, DATAGRAM) for _ in range(65)]
    assert handles[-1] == -errno.ENOMEM
    assert close_socket(worker, handles[0]) == 0
    assert socket(worker, 4, DATAGRAM) >= 0


def test_readiness(bench: CallBench) -> None:
    worker = bench.worker()
    handles = [socket(worker, 4, DATAGRAM) for _ in range(3)]
    for place, handle in enumerate(handles):
        bind(worker, handle, bench.address("0.0.0.0", 7 + place))
        assert watch(worker, handle, READABLE, EDGE if place == 2 else 0, 100 + place) == 0
    assert bench.ready() == []
    for place in (2, 0):
        bench.hear(incoming(4, 7 + place, b"x"))
    assert bench.ready() == [(handles[2], READABLE, 102), (handles[0], READABLE, 100)]
    assert bench.ready() == [(handles[0], READABLE, 100)], "level-triggered: again; edge-triggered: not"
    at, _ = bench.octets()
    assert receive(worker, handles[0], at, 10, 0) == 1
    assert bench.ready() == []
    assert watch(worker, handles[1], READABLE | WRITABLE, 0, 5) == 0
    assert bench.ready(0) == []
    assert bench.ready(1) == [(handles[1], WRITABLE, 5)]
    close_socket(worker, handles[1])
    assert bench.ready() == []


OPTIONS = [
    (linux.SOL_SOCKET, linux.SO_REUSEADDR, 1, 1),
    (linux.SOL_SOCKET, linux.SO_REUSEPORT, 7, 1),
    (linux.SOL_SOCKET, linux.SO_BROADCAST, 1, 1),
    (linux.SOL_SOCKET, linux.SO_KEEPALIVE, 1, 1),
    (linux.SOL_SOCKET, linux.SO_RCVBUF, 10_000, 20_000),
    (linux.SOL_SOCKET, linux.SO_RCVBUF, 1, 2304),
    (linux.SOL_SOCKET, linux.SO_SNDBUF, 10_000, 20_000),
    (linux.SOL_SOCKET, linux.SO_NO_CHECK, 1, 1),
    (linux.SOL_SOCKET, linux.SO_BINDTOIFINDEX, 2, 2),
    (linux.SOL_IP, linux.IP_TOS, 0xB8, 0xB8),
    (linux.SOL_IP, linux.IP_TTL, 3, 3),
    (linux.SOL_IP, linux.IP_TTL, -1, 64),
    (linux.SOL_IP, linux.IP_MULTICAST_TTL, 0, 0),
    (linux.SOL_IP, linux.IP_MULTICAST_LOOP, 0, 0),
    (linux.SOL_IP, linux.IP_MULTICAST_ALL, 0, 0),
    (linux.SOL_IP, linux.IP_RECVERR, 1, 1),
    (linux.SOL_IP, linux.IP_MTU_DISCOVER, linux.IP_PMTUDISC_DO, linux.IP_PMTUDISC_DO),
    (linux.SOL_UDP, linux.UDP_SEGMENT, 1400, 1400),
    (linux.SOL_UDP, linux.UDP_GRO, 1, 1),
    (linux.SOL_UDP, linux.UDP_NO_CHECK6_TX, 1, 1),
    (linux.SOL_IPV6, linux.IPV6_V6ONLY, 1, 1),
    (linux.SOL_IPV6, linux.IPV6_TCLASS, 32, 32),
    (linux.SOL_IPV6, linux.IPV6_UNICAST_HOPS, 5, 5),
    (linux.SOL_IPV6, linux.IPV6_MULTICAST_HOPS, -1, 1),
    (linux.SOL_IPV6, linux.IPV6_MULTICAST_IF, 1, 1),
    (linux.SOL_IPV6, linux.IPV6_MULTICAST_LOOP, 0, 0),
    (linux.SOL_IPV6, linux.IPV6_MTU_DISCOVER, 0, 0),
]


@pytest.mark.parametrize(("level", "option", "value", "read"), OPTIONS)
def test_options(bench: CallBench, level: int, option: int, value: int, read: int) -> None:
    handle = socket(bench.worker(), 10, DATAGRAM)
    assert bench.set(handle, level, option, value & 0xFFFF_FFFF) == 0
    assert bench.get(handle, level, option) == read


@pytest.mark.parametrize(
    ("level", "option", "value", "error"),
    [
        (linux.SOL_SOCKET, 9999, 1, errno.ENOPROTOOPT),
        (77, 1, 1, errno.ENOPROTOOPT),
        (linux.SOL_IP, linux.IP_TTL, 0, errno.EINVAL),
        (linux.SOL_IP, linux.IP_TTL, 256, errno.EINVAL),
        (linux.SOL_IP, linux.IP_MTU_DISCOVER, 6, errno.EINVAL),
        (linux.SOL_UDP, linux.UDP_SEGMENT, 65536, errno.EINVAL),
        (linux.SOL_SOCKET, linux.SO_BINDTOIFINDEX, 9, errno.ENODEV),
        (linux.SOL_IPV6, linux.IPV6_MULTICAST_IF, 9, errno.ENODEV),
    ],
)
def test_options_that_are_refused(bench: CallBench, level: int, option: int, value: int, error: int) -> None:
    handle = socket(bench.worker(), 10, DATAGRAM)
    assert bench.set(handle, level, option, value) == -error


def test_what_a_socket_is(bench: CallBench) -> None:
    handle = socket(bench.worker(), 10, DATAGRAM)
    assert bench.get(handle, linux.SOL_SOCKET, linux.SO_TYPE) == linux.SOCK_DGRAM
    assert bench.get(handle, linux.SOL_SOCKET, linux.SO_DOMAIN) == linux.AF_INET6
    assert bench.get(handle, linux.SOL_SOCKET, linux.SO_PROTOCOL) == 17
    assert bench.get(handle, linux.SOL_SOCKET, linux.SO_ACCEPTCONN) == 0


def test_so_error_is_read_once(bench: CallBench) -> None:
    worker = bench.worker()
    handle = socket(worker, 4, DATAGRAM)
    assert connect(worker, handle, bench.address(HERE[4], 999)) == 0
    at, count = bench.octets(b"x")
    assert send(worker, handle, at, count, 0) == 1
    watch(worker, handle, READABLE, 0, 1)
    assert bench.ready() == [(handle, FAILED, 1)]
    assert bench.get(handle, linux.SOL_SOCKET, linux.SO_ERROR) == errno.ECONNREFUSED
    assert bench.get(handle, linux.SOL_SOCKET, linux.SO_ERROR) == 0
    assert bench.ready() == []


def test_an_option_of_one_octet(bench: CallBench) -> None:
    handle = socket(bench.worker(), 4, DATAGRAM)
    assert bench.set(handle, linux.SOL_IP, linux.IP_TOS, 8, octets=1) == 0
    assert bench.get(handle, linux.SOL_IP, linux.IP_TOS) == 8
    assert bench.set(handle, linux.SOL_IP, linux.IP_TTL, 8, octets=0) == -errno.EINVAL
    assert bench.set(handle, linux.SOL_SOCKET, linux.SO_RCVBUF, 8, octets=2) == -errno.EINVAL


def test_streams_go_to_tcp(bench: CallBench) -> None:
    worker = bench.worker()
    server, client = socket(worker, 4, STREAM), socket(worker, 4, STREAM)
    assert bind(worker, server, bench.address("0.0.0.0", 80)) == 0
    assert listen(worker, server, 5) == 0
    assert accept(worker, server, NOBODY) == -errno.EAGAIN
    assert accept(worker, socket(worker, 4, DATAGRAM), NOBODY) == -errno.EOPNOTSUPP
    assert connect(worker, client, bench.address(PEER[4], 80)) == -errno.EINPROGRESS
    bench.turn()
    (frame,) = bench.sent()
    syn = j.Ether(frame)[j.TCP]
    assert (syn.dport, syn.flags) == (80, "S")
    own = bench.address("0.0.0.0", 0, place=1)
    assert socket_name(worker, client, own) == 0
    assert bench.text(own) == (HERE[4], syn.sport)
    assert bench.get(client, linux.SOL_SOCKET, linux.SO_TYPE) == linux.SOCK_STREAM
    peer = j.IP(src=PEER[4], dst=HERE[4]) / j.TCP(sport=80, dport=syn.sport, flags="SA", seq=9, ack=syn.seq + 1)
    assert bench.hear(j.Ether(src=ROUTER, dst=OWN[0]) / peer) != {}
    bench.sent()
    at, _ = bench.octets(b"abcdef")
    assert send_vector(worker, client, bench.parts([2, 0, 3]), 3, 0, NOBODY) == 5
    bench.turn()
    assert b"".join(bytes(j.Ether(frame)[j.TCP].payload) for frame in bench.sent()) != b""
    data = j.TCP(sport=80, dport=syn.sport, flags="PA", seq=10, ack=syn.seq + 1) / b"12345"
    bench.hear(j.Ether(src=ROUTER, dst=OWN[0]) / j.IP(src=PEER[4], dst=HERE[4]) / data)
    assert receive_vector(worker, client, bench.parts([1, 2, 9]), 3, 0, NOBODY) == 5
    assert receive(worker, client, at, 9, 0) == -errno.EAGAIN
    assert close_socket(worker, client) == close_socket(worker, server) == 0
