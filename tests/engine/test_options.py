"""setsockopt and getsockopt against Linux: the same arguments, the same errno, the same value read back.

For each kind of socket, option, length and value a fresh socket of this stack and one of the kernel are asked. What is
different on purpose stands in DIFFERENT, with the reason.
"""

from __future__ import annotations

import ctypes
import errno
import socket as kernel
import struct
from collections.abc import Iterator

import pytest

from pronghorn.compiled import array_at, mode, u8
from pronghorn.engine.amounts import unsent, waiting_to_be_sent
from pronghorn.engine.calls import bind, close_socket, connect, get_option, listen, send, set_option, socket
from pronghorn.engine.options import interface_name
from pronghorn.state.endpoints import DATAGRAM, STREAM
from tests.engine.test_calls import CallBench
from tests.support.feed import OWN, ROUTER
from tests.udp.frames import PEER, ip
from tests.wire import judges as j

SOCKET, IP, TCP, UDP, IPV6 = 1, 0, 6, 17, 41
KINDS = {"udp4": (4, DATAGRAM), "udp6": (10, DATAGRAM), "tcp4": (4, STREAM), "tcp6": (10, STREAM)}
INTS = [-1, 0, 1, 2, 3, 5, 64, 88, 120, 121, 127, 128, 255, 256, 1000, 32767, 32768, 70_000, 0x7FFF_FFFF]
FEW = [-1, 0, 1, 64, 255, 256, 70_000]
SOCKET_OPTIONS = [2, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 18, 19, 29, 35, 36, 40, 41, 43, 45, 46, 47, 49, 63, 64]
ONLY_READ = [(SOCKET, 3), (SOCKET, 4), (SOCKET, 30), (SOCKET, 38), (SOCKET, 39), (SOCKET, 56)]
IP_OPTIONS = [1, 2, 6, 7, 8, 10, 11, 12, 13, 14, 15, 20, 21, 23, 24, 26]
IP_GROUPS = [33, 34, 49]
IPV6_OPTIONS = [16, 19, 23, 25, 26, 29, 33, 49, 51, 60, 62, 66, 67, 73, 74, 78]
TCP_OPTIONS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 17, 18, 23, 25, 30, 34, 36]
UDP_OPTIONS = [1, 101, 103, 104]
UNKNOWN = [(SOCKET, 999), (IP, 999), (IPV6, 999), (TCP, 999), (UDP, 999), (77, 1)]

BUFFERS = {(SOCKET, 7), (SOCKET, 8)}
"""Begin at another size: what is read after a refusal is not compared."""


def differs(kind: str, level: int, option: int, number: int) -> str:
    """Why the answer is another one on purpose; empty: it is to be the same."""
    if (level, option) == (IPV6, 16) and number == 0:
        return "a hop limit of 0 means the default"
    if kind == "udp6" and (level, option) == (IP, 49):
        return "groups of IPv4 that others here have joined are delivered to a dual-stack socket too"
    if kind.startswith("tcp") and (level, option) == (SOCKET, 18) and (number < 0 or number > 1_000_000):
        return "the most that it may be depends on tcp_rmem"
    if kind.startswith("tcp") and level == IPV6 and option in (19, 29):
        return "a stream sends to no groups: what is set is not kept"
    return ""


Answer = tuple[int, int, bytes]


class Asked:
    """One set and one get, on this stack and on Linux."""

    def __init__(self, bench: CallBench, kind: str) -> None:
        self.bench, (self.family, self.kind) = bench, KINDS[kind]

    def ours(self, level: int, option: int, value: bytes | None, room: int) -> Answer:
        worker = self.bench.worker()
        handle = socket(worker, self.family, self.kind)
        at = self.bench.memory.address + 512
        done = 0
        if value is not None:
            ctypes.memmove(at, value, len(value))
            done = set_option(worker, handle, level, option, at, len(value))
        ctypes.memset(at, 0xA5, 64)
        got = get_option(worker, handle, level, option, at, room)
        said = ctypes.string_at(at, got) if got >= 0 else b""
        close_socket(worker, handle)
        return -done, max(-got, 0), said

    def linux(self, level: int, option: int, value: bytes | None, room: int) -> Answer:
        family = kernel.AF_INET if self.family == 4 else kernel.AF_INET6
        with kernel.socket(family, kernel.SOCK_DGRAM if self.kind == DATAGRAM else kernel.SOCK_STREAM) as theirs:
            done = got = 0
            said = b""
            try:
                if value is not None:
                    theirs.setsockopt(level, option, value)
            except OSError as error:
                done = error.errno or 0
            try:
                said = theirs.getsockopt(level, option, room)
            except OSError as error:
                got = error.errno or 0
            return done, got, said


def options_of(kind: str) -> list[tuple[int, int]]:
    """Those that are numbers."""
    found = [(SOCKET, option) for option in SOCKET_OPTIONS] + ONLY_READ + UNKNOWN
    found += [(IP, option) for option in IP_OPTIONS]
    found += [(IPV6, option) for option in IPV6_OPTIONS]
    found += [(TCP, option) for option in TCP_OPTIONS]
    found += [(UDP, option) for option in UDP_OPTIONS]
    if kind.startswith("udp"):
        found += [(IP, option) for option in IP_GROUPS]
    return found


@pytest.fixture(scope="module")
def bench() -> Iterator[CallBench]:
    with CallBench() as made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_taken_and_read_as_linux_does(bench: CallBench, kind: str) -> None:
    asked, wrong = Asked(bench, kind), []
    numbers = INTS if mode() != "interpreted" else FEW
    for level, option in options_of(kind):
        for number in numbers:
            value = struct.pack("i", number)
            ours, theirs = asked.ours(level, option, value, 4), asked.linux(level, option, value, 4)
            if differs(kind, level, option, number):
                continue
            if (level, option) in BUFFERS and theirs[0] != 0:
                ours, theirs = (ours[0], 0, b""), (theirs[0], 0, b"")
            if ours != theirs:
                wrong.append((level, option, number, ours, theirs))
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_taken_and_cut_as_linux_does(bench: CallBench, kind: str) -> None:
    asked, wrong = Asked(bench, kind), []
    for level, option in options_of(kind):
        for length in (0, 1, 2, 3, 4, 8, 16):
            value = struct.pack("qq", 1, 0)[:length]
            ours, theirs = asked.ours(level, option, value, 4), asked.linux(level, option, value, 4)
            if (level, option) in BUFFERS and theirs[0] != 0:
                ours, theirs = (ours[0], 0, b""), (theirs[0], 0, b"")
            if ours != theirs and not differs(kind, level, option, 1):
                wrong.append(("set", level, option, length, ours, theirs))
        for room in (1, 2, 3, 4, 8):
            value = struct.pack("i", 1)
            ours, theirs = asked.ours(level, option, value, room), asked.linux(level, option, value, room)
            if (level, option) in BUFFERS and theirs[0] != 0:
                ours, theirs = (ours[0], 0, b""), (theirs[0], 0, b"")
            if ours != theirs and not differs(kind, level, option, 1):
                wrong.append(("get", level, option, room, ours, theirs))
    assert wrong == []


def timeval(seconds: int, micros: int) -> bytes:
    return struct.pack("qq", seconds, micros)


STRUCTURES = [
    (SOCKET, 13, struct.pack("ii", 1, 7), 8),
    (SOCKET, 13, struct.pack("ii", 0, 7), 8),
    (SOCKET, 13, struct.pack("ii", 1, 0), 8),
    (SOCKET, 13, struct.pack("i", 1), 8),
    (SOCKET, 13, struct.pack("ii", 1, 7), 4),
    *[
        (SOCKET, option, value, 16)
        for option in (20, 21, 66, 67)
        for value in (
            timeval(0, 0),
            timeval(3, 500_000),
            timeval(1, -1),
            timeval(1, 1_000_000),
            timeval(-1, 0),
            timeval(1, 0)[:12],
            timeval(100_000, 0),
        )
    ],
    (SOCKET, 20, timeval(2, 0), 8),
    (SOCKET, 32, struct.pack("i", 100_000), 4),
    (SOCKET, 33, struct.pack("i", 100_000), 4),
    (SOCKET, 47, struct.pack("q", 1 << 33), 8),
    (SOCKET, 47, struct.pack("q", 1 << 33), 4),
    (SOCKET, 47, struct.pack("q", -1), 8),
    (SOCKET, 25, b"nothing0", 16),
    (SOCKET, 25, b"", 16),
    (SOCKET, 25, b"\0", 16),
    (SOCKET, 57, b"\1\0\0\0", 4),
    (SOCKET, 60, struct.pack("i", 2), 4),
    (SOCKET, 60, struct.pack("i", 0), 4),
    (SOCKET, 62, struct.pack("i", -1), 4),
    (SOCKET, 62, struct.pack("i", 0), 4),
    (IP, 4, b"", 16),
    (IP, 19, struct.pack("i", 0), 4),
    (IPV6, 75, struct.pack("i", 0), 4),
    (IP, 32, b"", 4),
    (TCP, 13, b"reno", 16),
    (TCP, 13, b"cubic\0and more", 16),
    (TCP, 13, b"reno", 3),
    (TCP, 13, b"nosuchthing", 2),
    (TCP, 13, b"", 2),
    (TCP, 33, bytes(range(16)), 16),
    (TCP, 33, bytes(range(32)), 32),
    (TCP, 33, bytes(range(32)), 16),
    (TCP, 33, bytes(range(15)), 16),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("level", "option", "value", "room"), STRUCTURES)
def test_structures(bench: CallBench, kind: str, level: int, option: int, value: bytes, room: int) -> None:
    asked = Asked(bench, kind)
    ours, theirs = asked.ours(level, option, value, room), asked.linux(level, option, value, room)
    if theirs[0] != 0 and option == 13:
        ours, theirs = (ours[0], 0, b""), (theirs[0], 0, b"")  # the default is the system's
    assert ours == theirs


# --- what options are about ---------------------------------------------------------------------------------------


def test_what_is_refused_clearly(bench: CallBench) -> None:
    for kind in (DATAGRAM, STREAM):
        handle = socket(bench.worker(), 10, kind)
        assert bench.set(handle, SOCKET, 60, 1) == -errno.EOPNOTSUPP
        assert bench.set(handle, IP, 19, 1) == bench.set(handle, IPV6, 75, 1) == -errno.EPERM
        assert bench.set(handle, IP, 4, 1) == -errno.EOPNOTSUPP
        assert bench.set(handle, SOCKET, 62, 9) == -errno.ENODEV
        close_socket(bench.worker(), handle)


@pytest.mark.parametrize("kind", [DATAGRAM, STREAM])
def test_a_device_by_its_name(kind: int) -> None:
    with CallBench() as bench:
        worker, at = bench.worker(), bench.memory.address + 512
        ctypes.memmove(at + 100, b"eth0\0", 5)
        assert interface_name(worker, 0, array_at(u8, at + 100)) == 0
        ctypes.memmove(at + 100, b"eth01\0", 6)
        assert interface_name(worker, 1, array_at(u8, at + 100)) == 0
        handle = socket(worker, 4, kind)
        for name, done, found in (
            (b"eth01", 0, b"eth01\0"),
            (b"eth0", 0, b"eth0\0"),
            (b"eth", -errno.ENODEV, b"eth0\0"),
            (b"eth01\0xx", 0, b"eth01\0"),
            (b"eth012", -errno.ENODEV, b"eth01\0"),
            (b"", 0, b""),
        ):
            ctypes.memmove(at, name, len(name))
            assert set_option(worker, handle, SOCKET, 25, at, len(name)) == done
            got = get_option(worker, handle, SOCKET, 25, at, 16)
            assert ctypes.string_at(at, got) == found


def segment(flags: str, port: int = 0) -> object:
    return j.Ether(src=ROUTER, dst=OWN[port]) / ip(4) / j.TCP(sport=4000, dport=80, flags=flags, seq=7)


def test_streams_of_one_device() -> None:
    """A listener hears its device alone; a connection does not leave by another one."""
    with CallBench() as bench:
        worker = bench.worker()
        handle = socket(worker, 4, STREAM)
        assert bind(worker, handle, bench.address("0.0.0.0", 80)) == 0
        assert bench.set(handle, SOCKET, 62, 2) == 0
        assert listen(worker, handle, 5) == 0
        assert bench.hear(segment("S")) == {"no_listener": 1, "transmitted": 1}
        assert bench.set(handle, SOCKET, 62, 1) == 0
        assert bench.hear(segment("S"))["delivered"] == 1
        for device, done in ((2, -errno.ENETUNREACH), (1, -errno.EINPROGRESS)):
            handle = socket(worker, 4, STREAM)
            assert bench.set(handle, SOCKET, 62, device) == 0
            assert connect(worker, handle, bench.address(PEER[4], 80)) == done


@pytest.mark.parametrize("kind", [DATAGRAM, STREAM])
@pytest.mark.parametrize("family", [4, 6])
def test_an_address_that_is_not_ours(kind: int, family: int) -> None:
    with CallBench() as bench:
        handle = socket(bench.worker(), family, kind)
        assert bind(bench.worker(), handle, bench.address(PEER[family], 7)) == -errno.EADDRNOTAVAIL
        level, option = (IP, 15) if family == 4 else (IPV6, 78)
        assert bench.set(handle, level, option, 1) == 0
        assert bind(bench.worker(), handle, bench.address(PEER[family], 7)) == 0


def info(bench: CallBench, handle: int, room: int = 248) -> bytes:
    at = bench.memory.address + 4096
    return ctypes.string_at(at, get_option(bench.worker(), handle, TCP, 11, at, room))


def test_tcp_info_without_a_connection() -> None:
    """State, and of a listener how many wait and how many may: as Linux."""
    with CallBench() as bench, kernel.socket() as theirs:
        handle = socket(bench.worker(), 4, STREAM)
        assert info(bench, handle)[0] == theirs.getsockopt(TCP, 11, 248)[0] == 7
        assert len(info(bench, handle, 100)) == len(theirs.getsockopt(TCP, 11, 100)) == 100
        bind(bench.worker(), handle, bench.address("0.0.0.0", 80))
        listen(bench.worker(), handle, 7)
        theirs.listen(7)
        asked = theirs.getsockopt(TCP, 11, 248)
        said = info(bench, handle)
        assert said[0] == asked[0] == 10
        assert said[24:32] == asked[24:32]


def test_options_of_a_connection() -> None:
    with CallBench() as bench:
        worker = bench.worker()
        handle = socket(worker, 4, STREAM)
        assert bench.get(handle, IP, 14) == -errno.ENOTCONN
        assert bench.set(handle, TCP, 10, 20_000) == 0
        assert connect(worker, handle, bench.address(PEER[4], 80)) == -errno.EINPROGRESS
        assert bench.get(handle, IP, 14) == 1500
        bench.turn()
        syn = j.Ether(bench.sent()[0])[j.TCP]
        assert syn.window <= 20_000
        for option, value in ((10, 0), (23, 5), (30, 1), (34, 1)):
            assert bench.set(handle, TCP, option, value) == -errno.EINVAL, option
        assert bench.set(handle, TCP, 10, 1) == 0
        assert bench.get(handle, TCP, 10) == 1152


def test_octets_that_were_not_sent_yet() -> None:
    """SIOCOUTQNSD: of a connection whose peer opens a small window, what goes beyond it."""
    with CallBench() as bench:
        worker = bench.worker()
        handle = socket(worker, 4, STREAM)
        assert waiting_to_be_sent(worker, handle) == 0
        assert connect(worker, handle, bench.address(PEER[4], 80)) == -errno.EINPROGRESS
        bench.turn()
        syn = j.Ether(bench.sent()[0])[j.TCP]
        answer = j.TCP(sport=80, dport=syn.sport, flags="SA", seq=9, ack=syn.seq + 1, window=100)
        bench.hear(j.Ether(src=ROUTER, dst=OWN[0]) / ip(4) / answer)
        at, _ = bench.octets(bytes(1000))
        assert send(worker, handle, at, 1000, 0) == 1000
        bench.turn()
        assert (unsent(worker, handle), waiting_to_be_sent(worker, handle)) == (1000, 900)
        listener = socket(worker, 4, STREAM)
        assert listen(worker, listener, 1) == 0
        assert waiting_to_be_sent(worker, listener) == -errno.EINVAL
        assert waiting_to_be_sent(worker, socket(worker, 4, DATAGRAM)) == 0
