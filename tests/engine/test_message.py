"""recvmsg and sendmsg with ancillary data, queued errors, corked datagrams and SO_SNDBUF; Linux says the same."""

from __future__ import annotations

import ctypes
import errno
import socket as kernel
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pronghorn.compiled import Array, array_at
from pronghorn.engine.calls import bind, connect, receive, send, send_to, socket, watch
from pronghorn.engine.message import Message, engine_wall, receive_message, send_message
from pronghorn.state import linux
from pronghorn.state.endpoints import DATAGRAM, FAILED, READABLE, STREAM, WRITABLE
from tests.engine.test_calls import CallBench
from tests.support.feed import OWN, ROUTER
from tests.udp.frames import HERE, PEER, incoming, ip, outgoing
from tests.wire import judges as j

Sent = list[tuple[int, int, bytes]]


class MessageBench(CallBench):
    """Messages in and out, as Python's socket module has them."""

    def _message(self, octets: int, control: int) -> Any:
        messages: Array[Any] = array_at(Message, self.memory.address + 256)
        message = messages[0]
        message.vector, message.count = self.parts([octets]), 1
        message.control, message.control_octets = self.memory.address + (1 << 16), control
        return message

    def recvmsg(self, handle: int, octets: int = 1000, control: int = 512, flags: int = 0) -> Any:
        message = self._message(octets, control)
        address = self.address("0.0.0.0", 0, place=2)
        message.peer = address.address
        done = receive_message(self.worker(), handle, message, flags)
        if done < 0:
            return done
        text = ctypes.string_at(message.control, message.control_octets)
        said = []
        while text:
            length, level, kind = struct.unpack_from("Qii", text)
            said.append((level, kind, text[16:length]))
            text = text[length + 7 & ~7 :]
        data = ctypes.string_at(self.memory.address + 1024, min(done, octets))
        return data, said, message.flags, self.text(address)

    def sendmsg(self, handle: int, data: bytes, sent: Sent, to: tuple[str, int] | None = None, flags: int = 0) -> int:
        text = b""
        for level, kind, value in sent:
            text += struct.pack("Qii", 16 + len(value), level, kind) + value + bytes(-len(value) % 8)
        message = self._message(len(data), len(text))
        ctypes.memmove(message.control, text, len(text))
        ctypes.memmove(self.memory.address + 1024, data, len(data))
        message.peer = self.address(*to).address if to else 0
        return send_message(self.worker(), handle, message, flags)

    def open_bound(self, family: int, port: int) -> int:
        handle = socket(self.worker(), family, DATAGRAM)
        assert bind(self.worker(), handle, self.address("0.0.0.0" if family == 4 else "::", port)) == 0
        return handle

    def __enter__(self) -> MessageBench:
        return self


@pytest.fixture
def bench() -> Iterator[MessageBench]:
    with MessageBench() as made:
        yield made


def refusal(family: int, sport: int, octets: bytes, dport: int = 9) -> Any:
    about = ip(family, HERE[family], PEER[family]) / j.UDP(sport=sport, dport=dport) / octets
    message = j.ICMP(type=3, code=3) if family == 4 else j.ICMPv6DestUnreach(code=4)
    return j.Ether(src=ROUTER, dst=OWN[0]) / ip(family) / message / about


def packed(family: int, host: str) -> bytes:
    return kernel.inet_pton(kernel.AF_INET if family == 4 else kernel.AF_INET6, host)


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6])
def test_a_queued_error_is_what_linux_says(bench: MessageBench, family: int) -> None:
    """A refused port: octets, address, flags and ancillary data are those of Linux, but for the addresses."""
    level, option, home = (0, 11, "127.0.0.1") if family == 4 else (41, 25, "::1")
    with kernel.socket(kernel.AF_INET if family == 4 else kernel.AF_INET6, kernel.SOCK_DGRAM) as theirs:
        theirs.setsockopt(level, option, 1)
        theirs.settimeout(1)
        theirs.sendto(b"hello", (home, 9))
        for _ in range(100):
            try:
                said, control, flags, address = theirs.recvmsg(100, 300, linux.MSG_ERRQUEUE)
                break
            except BlockingIOError:
                time.sleep(0.01)
    handle = bench.open_bound(family, 4000)
    assert bench.set(handle, level, option, 1) == 0
    assert watch(bench.worker(), handle, READABLE, 0, 5) == 0
    bench.hear(refusal(family, 4000, b"hello"))
    assert bench.ready() == [(handle, FAILED, 5)]
    data, own, own_flags, own_address = bench.recvmsg(handle, flags=linux.MSG_ERRQUEUE)
    assert (data, own_flags, own_address) == (said, flags, (PEER[family], address[1]))
    assert own == [(*control[0][:2], control[0][2].replace(packed(family, home), packed(family, PEER[family])))]
    assert bench.get(handle, linux.SOL_SOCKET, linux.SO_ERROR) == 0, "it was read"
    assert bench.ready() == []
    assert bench.recvmsg(handle, flags=linux.MSG_ERRQUEUE) == -errno.EAGAIN


def test_errors_wait_in_their_order_and_are_bounded(bench: MessageBench) -> None:
    handle, other = bench.open_bound(4, 4000), bench.open_bound(4, 4001)
    for each in (handle, other):
        assert bench.set(each, linux.SOL_IP, linux.IP_RECVERR, 1) == 0
    bench.hear(refusal(4, 4001, b"other"))
    for number in range(40):
        bench.hear(refusal(4, 4000, b"%d" % number))
    assert receive(bench.worker(), handle, *bench.octets(), 0) == -errno.ECONNREFUSED
    assert receive(bench.worker(), handle, *bench.octets(), 0) == -errno.EAGAIN
    heard = []
    while not isinstance(found := bench.recvmsg(handle, flags=linux.MSG_ERRQUEUE), int):
        heard.append(found[0])
    assert heard == [b"%d" % number for number in range(32)]
    at, _ = bench.octets()
    assert receive(bench.worker(), other, at, 3, linux.MSG_ERRQUEUE) == 3
    assert ctypes.string_at(at, 3) == b"oth"


def test_a_datagram_that_is_too_long_says_so_itself(bench: MessageBench) -> None:
    handle = bench.open_bound(4, 4000)
    for option, value in ((linux.IP_RECVERR, 1), (linux.IP_MTU_DISCOVER, 2)):
        assert bench.set(handle, linux.SOL_IP, option, value) == 0
    at, _ = bench.octets()
    assert send_to(bench.worker(), handle, at, 1600, 0, bench.address(PEER[4], 9)) == -errno.EMSGSIZE
    data, said, flags, address = bench.recvmsg(handle, flags=linux.MSG_ERRQUEUE)
    assert (data, flags, address) == (b"", linux.MSG_ERRQUEUE, (PEER[4], 0))
    assert said == [(0, 11, struct.pack("IBBBBII", errno.EMSGSIZE, 1, 0, 0, 0, 1500, 0) + bytes(16))]


def test_a_closed_sockets_errors_are_forgotten(bench: MessageBench) -> None:
    from pronghorn.engine.calls import close_socket

    for port in range(4000, 4020):
        handle = bench.open_bound(4, port)
        assert bench.set(handle, linux.SOL_IP, linux.IP_RECVERR, 1) == 0
        for _ in range(32):
            bench.hear(refusal(4, port, b"x"))
        assert bench.recvmsg(handle, flags=linux.MSG_ERRQUEUE)[0] == b"x"
        assert close_socket(bench.worker(), handle) == 0


@pytest.mark.parametrize("asks", [0, 1])
def test_a_stream_that_is_being_opened_queues_errors(bench: MessageBench, asks: int) -> None:
    handle = socket(bench.worker(), 4, STREAM)
    assert bench.set(handle, linux.SOL_IP, linux.IP_RECVERR, asks) == 0
    assert connect(bench.worker(), handle, bench.address(PEER[4], 80)) == -errno.EINPROGRESS
    bench.turn()
    syn = j.Ether(bench.sent()[0])[j.IP]
    bench.hear(j.Ether(src=ROUTER, dst=OWN[0]) / ip(4, PEER[4][:-1] + "8") / j.ICMP(type=3, code=1) / syn)
    found = bench.recvmsg(handle, flags=linux.MSG_ERRQUEUE)
    if not asks:
        assert found == -errno.EAGAIN
        return
    data, said, flags, address = found
    assert data == bytes(syn[j.TCP])
    assert (flags, address) == (linux.MSG_ERRQUEUE, (PEER[4], 80))
    assert said[0][2][:16] == struct.pack("IBBBBII", errno.EHOSTUNREACH, 2, 3, 1, 0, 0, 0)


# --- ancillary data -----------------------------------------------------------------------------------------------


def test_what_is_said_of_a_datagram(bench: MessageBench) -> None:
    handle = bench.open_bound(4, 7)
    engine_wall(bench.worker(), 1_700_000_000_123_456_789)
    before = bench.now
    for level, option in ((1, 35), (0, 8), (0, 12), (0, 13), (0, 20)):
        assert bench.set(handle, level, option, 1) == 0
    frame = incoming(4, 7, b"told")
    frame[j.IP].tos, frame[j.IP].ttl = 184, 33
    bench.hear(frame)
    data, said, flags, _ = bench.recvmsg(handle)
    here = packed(4, HERE[4])
    wall = divmod(1_700_000_000_123_456_789 + bench.now - before, 1_000_000_000)
    assert (data, flags) == (b"told", 0)
    assert said == [
        (1, 35, struct.pack("qq", *wall)),
        (0, 8, struct.pack("i", 1) + here + here),
        (0, 2, struct.pack("i", 33)),
        (0, 1, bytes([184])),
        (0, 20, struct.pack("!2sH", struct.pack("H", 2), 7) + here + bytes(8)),
    ]
    bench.hear(frame)
    _, said, flags, _ = bench.recvmsg(handle, octets=2, control=40)
    assert (len(said), flags) == (1, linux.MSG_TRUNC | linux.MSG_CTRUNC)


def test_what_is_said_of_a_datagram_of_ipv6(bench: MessageBench) -> None:
    handle = bench.open_bound(6, 7)
    for option in (49, 51, 66, 74):
        assert bench.set(handle, 41, option, 1) == 0
    frame = incoming(6, 7, b"told")
    frame[j.IPv6].tc, frame[j.IPv6].hlim = 0x2E, 9
    bench.hear(frame)
    data, said, flags, _ = bench.recvmsg(handle)
    here = packed(6, HERE[6])
    assert (data, flags) == (b"told", 0)
    assert said[:3] == [
        (41, 50, here + struct.pack("i", 1)),
        (41, 52, struct.pack("i", 9)),
        (41, 67, struct.pack("i", 0x2E)),
    ]
    assert said[3][2][8:24] == here


@pytest.mark.parametrize("family", [4, 6])
def test_options_of_one_datagram(bench: MessageBench, family: int) -> None:
    """They hold for that one, and the socket's own again afterwards."""
    handle, header = bench.open_bound(family, 7), j.IP if family == 4 else j.IPv6
    one = struct.pack("i", 1)
    sent = [(0, 2, struct.pack("i", 7)), (0, 1, bytes([8])), (0, 8, one + bytes(8))]
    if family == 6:
        sent = [(41, 52, struct.pack("i", 7)), (41, 67, struct.pack("i", 8)), (41, 50, packed(6, HERE[6]) + one)]
    assert bench.sendmsg(handle, b"aside", sent, (PEER[family], 9)) == 5
    assert bench.sendmsg(handle, b"usual", [], (PEER[family], 9)) == 5
    bench.turn()
    first, second = (j.Ether(frame)[header] for frame in bench.sent())
    if family == 4:
        assert [(each.ttl, each.tos) for each in (first, second)] == [(7, 8), (64, 0)]
    else:
        assert [(each.hlim, each.tc) for each in (first, second)] == [(7, 8), (64, 0)]
    assert bench.sendmsg(handle, b"x", [(0, 2, bytes(4))], (PEER[family], 9)) == -errno.EINVAL
    assert bench.sendmsg(handle, b"x", [(0, 99, one)], (PEER[family], 9)) == -errno.EINVAL
    foreign = (0, 8, bytes(4) + packed(4, PEER[4]) + bytes(4))
    if family == 6:
        foreign = (41, 50, packed(6, PEER[6]) + bytes(4))
    assert bench.sendmsg(handle, b"x", [foreign], (PEER[family], 9)) == -errno.EINVAL


def test_segments_of_one_send(bench: MessageBench) -> None:
    handle = bench.open_bound(4, 7)
    assert bench.sendmsg(handle, b"abcde", [(17, 103, struct.pack("H", 2))], (PEER[4], 9)) == 5
    bench.turn()
    assert [outgoing(frame)[4] for frame in bench.sent()] == [b"ab", b"cd", b"e"]


# --- corked datagrams, SO_SNDBUF ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6])
def test_a_datagram_of_several_sends(bench: MessageBench, family: int) -> None:
    worker, handle = bench.worker(), bench.open_bound(family, 7)
    at, _ = bench.octets(b"abcdef")
    to = bench.address(PEER[family], 9, place=3)
    assert send_to(worker, handle, at, 2, linux.MSG_MORE, to) == 2
    assert send(worker, handle, at + 2, 1, linux.MSG_MORE) == 1, "where it goes has been said"
    bench.turn()
    assert bench.sent() == []
    assert send(worker, handle, at + 3, 3, 0) == 3
    bench.turn()
    assert [outgoing(frame)[3:] for frame in bench.sent()] == [(9, b"abcdef")]
    assert bench.endpoint(handle & 0xFF_FFFF).cork.block == 0, "it keeps no memory"
    assert send(worker, handle, at, 1, 0) == -errno.EDESTADDRREQ
    assert bench.set(handle, linux.SOL_UDP, linux.UDP_CORK, 1) == 0
    for _ in range(3):
        assert send_to(worker, handle, at, 2, 0, to) == 2
    bench.turn()
    assert bench.sent() == []
    assert bench.set(handle, linux.SOL_UDP, linux.UDP_CORK, 0) == 0
    bench.turn()
    assert [outgoing(frame)[3:] for frame in bench.sent()] == [(9, b"ababab")]


def test_a_corked_datagram_that_gets_too_long_is_lost(bench: MessageBench) -> None:
    worker, handle = bench.worker(), bench.open_bound(4, 7)
    assert connect(worker, handle, bench.address(PEER[4], 9)) == 0
    at, _ = bench.octets()
    assert send(worker, handle, at, 60_000, linux.MSG_MORE) == 60_000
    assert send(worker, handle, at, 60_000, linux.MSG_MORE) == -errno.EMSGSIZE
    assert send(worker, handle, at, 3, 0) == 3
    bench.turn()
    assert [len(outgoing(frame)[4]) for frame in bench.sent()] == [3]


def test_so_sndbuf_limits_a_turn(bench: MessageBench) -> None:
    worker, handle = bench.worker(), bench.open_bound(4, 7)
    assert bench.set(handle, linux.SOL_SOCKET, linux.SO_SNDBUF, 0) == 0
    assert bench.get(handle, linux.SOL_SOCKET, linux.SO_SNDBUF) == 4608
    assert watch(worker, handle, WRITABLE, 0, 1) == 0
    at, _ = bench.octets()
    to = bench.address(PEER[4], 9, place=3)
    for _ in range(2):
        done = [send_to(worker, handle, at, 1000, 0, to) for _ in range(5)]
        assert done == [1000, 1000, 1000, -errno.EAGAIN, -errno.EAGAIN]
        assert bench.ready() == []
        bench.turn()
        assert len(bench.sent()) == 3
        assert bench.ready() == [(handle, WRITABLE, 1)]
