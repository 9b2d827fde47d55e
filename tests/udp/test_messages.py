"""Errors that ICMP reports about datagrams, and echo sockets. Bad inputs 18 (UDP) and what nobody asked for."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pronghorn.net.path_mtu import FLOOR4, path_mtu_find
from pronghorn.net.state import MAPPED
from pronghorn.state.endpoints import ECHO, FAILED, READABLE, RECEIVE_ERRORS, RECEIVE_ERRORS6
from pronghorn.udp.calls import udp_open
from tests.support.feed import OWN, ROUTER
from tests.udp.bench import UdpBench
from tests.udp.frames import HERE, PEER, incoming, ip
from tests.wire import judges as j

UNREACHABLE = {
    4: {
        0: errno.ENETUNREACH,
        1: errno.EHOSTUNREACH,
        2: errno.ENOPROTOOPT,
        3: errno.ECONNREFUSED,
        13: errno.EHOSTUNREACH,
    },
    6: {0: errno.ENETUNREACH, 1: errno.EACCES, 3: errno.EHOSTUNREACH, 4: errno.ECONNREFUSED},
}
HARD = {4: {2, 3, 13}, 6: {1, 4}}


def quoted(family: int, sport: int, dport: int = 53, dst: str = "", octets: int = 8) -> Any:
    """The datagram of ours that an error is about."""
    return ip(family, HERE[family], dst or PEER[family]) / j.UDP(sport=sport, dport=dport) / bytes(octets)


def unreachable(family: int, code: int, about: Any, src: str = "") -> Any:
    """An error from a router on the way."""
    message = j.ICMP(type=3, code=code) if family == 4 else j.ICMPv6DestUnreach(code=code)
    return j.Ether(src=ROUTER, dst=OWN[0]) / ip(family, src or PEER[family]) / message / about


@pytest.mark.parametrize("family", [4, 6])
def test_a_connected_socket_hears_of_hard_errors(family: int) -> None:
    with UdpBench() as bench:
        number = bench.open(family, 7)
        assert bench.connect(number, PEER[family], 53) == 0
        for code, error in UNREACHABLE[family].items():
            assert bench.hear(unreachable(family, code, quoted(family, 7))) == {"consumed": 1}
            heard = bench.events(number) & FAILED != 0
            assert heard == (code in HARD[family]), code
            assert bench.receive(number) == (-error if heard else -errno.EAGAIN), code
            assert bench.events(number) & FAILED == 0


@pytest.mark.parametrize("family", [4, 6])
def test_with_recverr_it_hears_of_all(family: int) -> None:
    with UdpBench() as bench:
        number = bench.open(family, 7, options=RECEIVE_ERRORS | RECEIVE_ERRORS6)
        for code, error in UNREACHABLE[family].items():
            bench.hear(unreachable(family, code, quoted(family, 7)))
            assert bench.send(number, b"x", (PEER[family], 53)) == -error
            assert bench.send(number, b"x", (PEER[family], 53)) == 1


@pytest.mark.parametrize("family", [4, 6])
def test_an_unconnected_socket_hears_nothing(family: int) -> None:
    with UdpBench() as bench:
        number = bench.open(family, 7)
        bench.hear(unreachable(family, 3 if family == 4 else 4, quoted(family, 7)))
        assert bench.receive(number) == -errno.EAGAIN


@pytest.mark.parametrize("family", [4, 6])
def test_forged_errors_are_ignored(family: int) -> None:
    """RFC 5927: the quoted addresses and ports must be those of a socket."""
    port = 3 if family == 4 else 4
    with UdpBench() as bench:
        number = bench.open(family, 7)
        assert bench.connect(number, PEER[family], 53) == 0
        other = PEER[family][:-1] + "8"
        for about in (
            quoted(family, 8),
            quoted(family, 7, 54),
            quoted(family, 7, dst=other),
            ip(family, other, PEER[family]) / j.UDP(sport=7, dport=53),
            ip(family, HERE[family], PEER[family]) / j.TCP(sport=7, dport=53),
        ):
            assert "consumed" not in bench.hear(unreachable(family, port, about))
        wrong = bytearray(bytes(unreachable(family, port, quoted(family, 7))))
        wrong[-1] ^= 1
        assert bench.hear(bytes(wrong)) in ({"icmp_bad_checksum": 1}, {"icmpv6_bad_checksum": 1})
        assert bench.receive(number) == -errno.EAGAIN


@pytest.mark.parametrize("mtu", [0, 68, 552, 1000, 1500, 65535])
def test_a_reported_mtu_is_bounded(mtu: int) -> None:
    with UdpBench() as bench:
        number = bench.open(4, 7)
        assert bench.connect(number, PEER[4], 53) == 0
        about = ip(4, HERE[4], PEER[4], flags="DF") / j.UDP(sport=7, dport=53) / bytes(1472)
        message = j.ICMP(type=3, code=4, nexthopmtu=mtu)
        frame = j.Ether(src=ROUTER, dst=OWN[0]) / ip(4) / message / bytes(about)[:100]
        assert bench.hear(frame) == {"consumed": 1}
        believed = path_mtu_find(bench.worker(), 0, MAPPED | 0x6440004D)
        assert believed == (0 if mtu >= 1500 else max(mtu, FLOOR4))
        assert bench.receive(number) == -errno.EMSGSIZE


def test_a_report_about_no_socket_changes_nothing() -> None:
    with UdpBench() as bench:
        about = ip(4, HERE[4], PEER[4], flags="DF") / j.UDP(sport=7, dport=53) / bytes(1472)
        message = j.ICMP(type=3, code=4, nexthopmtu=600)
        frame = j.Ether(src=ROUTER, dst=OWN[0]) / ip(4) / message / bytes(about)[:100]
        assert bench.hear(frame) == {"icmp_ignored": 1}
        assert path_mtu_find(bench.worker(), 0, MAPPED | 0x6440004D) == 0


# --- echo ---------------------------------------------------------------------------------------------------------


def echo_request(family: int, sequence: int = 1) -> bytes:
    return bytes([8 if family == 4 else 128, 0, 0xAA, 0xAA, 0, 0, 0, sequence]) + b"payload"


@pytest.mark.parametrize("family", [4, 6])
def test_an_echo_socket(family: int) -> None:
    with UdpBench() as bench:
        number = udp_open(bench.worker(), family, ECHO)
        assert bench.send(number, echo_request(family), (PEER[family], 0)) == 15
        bench.turn()
        (frame,) = bench.sent()
        sent = j.Ether(frame)
        _, identifier = bench.name(number)  # type: ignore[misc]
        message = bytes(sent.payload.payload)
        assert message[:1] == bytes([8 if family == 4 else 128])
        assert int.from_bytes(message[4:6], "big") == identifier != 0
        kind: Any = j.ICMP if family == 4 else j.ICMPv6EchoReply
        fields: Any = {"type": 0, "code": 0} if family == 4 else {}
        reply = kind(id=identifier, seq=1, **fields) / b"payload"
        assert bench.hear(j.Ether(src=ROUTER, dst=OWN[0]) / ip(family) / reply) == {"delivered": 1}
        assert bench.events(number) & READABLE
        octets, sender = bench.receive(number)  # type: ignore[misc]
        assert sender == (PEER[family], 0)
        assert octets[:2] == bytes([0 if family == 4 else 129, 0])
        assert octets[4:] == identifier.to_bytes(2, "big") + b"\0\1payload"
        stranger = kind(id=identifier ^ 1, seq=1, **fields) / b"payload"
        assert bench.hear(j.Ether(src=ROUTER, dst=OWN[0]) / ip(family) / stranger) == {"icmp_ignored": 1}
        assert bench.counter("InDatagrams") == 0


def test_checksums_of_echo_requests_are_right() -> None:
    with UdpBench() as bench:
        for family, layer in ((4, j.ICMP), (6, j.ICMPv6EchoRequest)):
            number = udp_open(bench.worker(), family, ECHO)
            assert bench.send(number, echo_request(family), (PEER[family], 0)) == 15
            bench.turn()
            (frame,) = bench.sent()
            again = j.Ether(frame)
            delattr(again[layer], "cksum" if family == 6 else "chksum")
            assert bytes(again) == frame


def test_only_echo_requests_may_be_sent() -> None:
    with UdpBench() as bench:
        number = udp_open(bench.worker(), 4, ECHO)
        for octets in (b"", b"\x08\0", b"\x00\0\0\0\0\0\0\0", b"\x08\1\0\0\0\0\0\0", b"\x05\0\0\0\0\0\0\0"):
            assert bench.send(number, octets, (PEER[4], 0)) == -errno.EINVAL


def test_errors_about_echo_requests() -> None:
    with UdpBench() as bench:
        number = udp_open(bench.worker(), 4, ECHO)
        assert bench.connect(number, PEER[4]) == 0
        _, identifier = bench.name(number)  # type: ignore[misc]
        about = ip(4, HERE[4], PEER[4]) / j.ICMP(type=8, id=identifier, seq=1)
        assert bench.hear(unreachable(4, 13, about)) == {"consumed": 1}
        assert bench.receive(number) == -errno.EHOSTUNREACH


def test_two_workers_hear_of_each_others_errors() -> None:
    with UdpBench(workers=2) as bench:
        number = bench.open(4, 7, worker=1)
        assert bench.connect(number, PEER[4], 53, worker=1) == 0
        bench.hear(unreachable(4, 3, quoted(4, 7)), worker=0)
        bench.turn()
        assert bench.receive(number, worker=1) == -errno.ECONNREFUSED


def test_a_datagram_finds_the_worker_that_has_its_port() -> None:
    with UdpBench(workers=2) as bench:
        one = bench.open(4, 7, worker=1)
        bench.put(incoming(4, 7, b"x"), worker=0)
        bench.turn()
        bench.turn()
        assert bench.receive(one, worker=1) == (b"x", (PEER[4], 4000))
        for index in range(2):
            number = bench.open(4, worker=index)
            assert bench.connect(number, PEER[4], 53, worker=index) == 0
            _, port = bench.name(number, worker=index)  # type: ignore[misc]
            assert port % 2 == index


def test_several_workers_share_a_port() -> None:
    with UdpBench(workers=2, queues=1) as bench:
        numbers = [bench.open(4, 7, worker=index) for index in range(2)]
        for sport in range(40):
            bench.put(incoming(4, 7, b"x", sport=1000 + sport), worker=sport % 2)
        bench.turn()
        bench.turn()
        shares = [bench.endpoint(numbers[index], index).waiting for index in range(2)]
        assert sum(shares) == 40
        assert min(shares) > 3
