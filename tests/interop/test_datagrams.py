"""Datagram sockets of an engine behind a TAP device, and the kernel's own at the other end of it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import mode
from pronghorn.engine.calls import bind, connect, receive_from, send, send_to, set_option, socket
from pronghorn.engine.engine import Engine
from pronghorn.engine.transports import Limits, create_transports
from pronghorn.net.configure import add_address, add_interface
from pronghorn.net.create import Limits as NetLimits
from pronghorn.net.create import create_net
from pronghorn.net.state import MAPPED
from pronghorn.ports.tap_port import TapPort
from pronghorn.state import linux
from pronghorn.state.endpoints import DATAGRAM, ECHO, Address
from tests.interop.datagram_peer import SIZES
from tests.peers.namespaces import Namespace, stage
from tests.ports.support import inside
from tests.udp.bench import Application

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(mode() == "interpreted", reason="the peer waits for answers; tests/udp runs interpreted"),
]
PEER = {4: "192.0.2.9", 6: "2001:db8::9"}
OURS = {4: "192.0.2.1", 6: "2001:db8::1"}
SCRIPT = Path(__file__).with_name("datagram_peer.py")
FAMILIES = pytest.mark.parametrize("family", [4, 6])


class Host:
    """An engine of one worker with port 0 on tap0 of a namespace."""

    def __init__(self, engine: Engine, kernel: Namespace) -> None:
        self.engine, self.kernel, self.worker = engine, kernel, engine.workers[0]
        self.memory = engine.arena.table("application", Application, 1)
        self.names = engine.arena.table("names", Address, 2)

    def address(self, name: str, port: int) -> Address:
        made: Address = self.names[0]
        ip = ip_address(name)
        made.family, made.port, made.interface = ip.version, port, 0
        made.hi = int(ip) >> 64 if ip.version == 6 else 0
        made.lo = int(ip) & 0xFFFF_FFFF_FFFF_FFFF if ip.version == 6 else MAPPED | int(ip)
        return made

    def open(self, family: int, port: int = 0, kind: int = DATAGRAM) -> int:
        handle = socket(self.worker, family, kind)
        if port:
            assert bind(self.worker, handle, self.address("0.0.0.0" if family == 4 else "::", port)) == 0
        return handle

    def send(self, handle: int, octets: bytes, to: tuple[str, int] | None = None) -> int:
        at = self.memory.address
        ctypes.memmove(at, octets, len(octets))
        if to is None:
            return send(self.worker, handle, at, len(octets), 0)
        return send_to(self.worker, handle, at, len(octets), 0, self.address(*to))

    def receive(self, handle: int) -> bytes | int:
        """What has come; its sender is in names[1]."""
        done = receive_from(self.worker, handle, self.memory.address, 65536, 0, self.names[1])
        return done if done < 0 else ctypes.string_at(self.memory.address, done)

    def until(self, found: Callable[[], Any], seconds: float = 10) -> Any:
        """Turns until `found` returns something that is not None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.engine.run_turns(20)
            if (value := found()) is not None:
                return value
        raise AssertionError("nothing came")

    def hear(self, handle: int) -> bytes | int:
        """The next datagram, or error."""

        def look() -> bytes | int | None:
            got = self.receive(handle)
            return None if got == -errno.EAGAIN else got

        return self.until(look)  # type: ignore[no-any-return]

    def start(self, *arguments: str, ready: bool = True) -> subprocess.Popen[bytes]:
        """A peer of the kernel's, waited for."""
        log = f"{arguments[0]}.log"
        process = self.kernel.start(sys.executable, SCRIPT, *arguments, log=log)
        path = self.kernel.stage.scratch / log
        end = time.monotonic() + 10
        while ready and "ready" not in path.read_text() and time.monotonic() < end:
            self.engine.run_turns(20)
            time.sleep(0.002)
        return process

    def text(self, role: str) -> str:
        return (self.kernel.stage.scratch / f"{role}.log").read_text()


@contextlib.contextmanager
def host() -> Iterator[Host]:
    with stage() as place, Engine(1, 4096, 64) as engine:
        kernel = place.namespace("host")
        device = TapPort("tap0")
        create_net(engine.arena, engine.workers[0], NetLimits())
        create_transports(engine.arena, engine.workers[0], Limits(64, 64, 64, 64 << 20))
        with inside(kernel):
            engine.add_port(device)
        kernel.ip("address add 192.0.2.9/24 dev tap0", "address add 2001:db8::9/64 dev tap0 nodad")
        add_interface(engine.workers[0], 0, 0)
        add_address(engine.workers[0], 0, ip_interface("192.0.2.1/24"))
        add_address(engine.workers[0], 0, ip_interface("2001:db8::1/64"))
        yield Host(engine, kernel)


@FAMILIES
def test_the_kernel_echoes_every_length(family: int) -> None:
    with host() as one:
        one.start("echo", PEER[family], "7000")
        handle = one.open(family, 7001)
        for size in SIZES:
            octets = bytes((size + place) & 0xFF for place in range(size))
            assert one.send(handle, octets, (PEER[family], 7000)) == size
            assert one.hear(handle) == octets
            assert one.names[1].port == 7000


@FAMILIES
def test_we_echo_every_length(family: int) -> None:
    with host() as one:
        handle = one.open(family, 7000)
        asker = one.start("ask", OURS[family], "7000", ready=False)

        def serve() -> int | None:
            got = one.receive(handle)
            if isinstance(got, bytes):
                sender = one.names[1]
                ctypes.memmove(one.memory.address, got, len(got))
                assert send_to(one.worker, handle, one.memory.address, len(got), 0, sender) == len(got)
            return asker.poll()

        assert one.until(serve) == 0, one.text("ask")


def test_a_closed_port_refuses() -> None:
    with host() as one:
        for family in (4, 6):
            handle = one.open(family)
            assert connect(one.worker, handle, one.address(PEER[family], 9)) == 0
            assert one.send(handle, b"anyone?") == 7
            assert one.hear(handle) == -errno.ECONNREFUSED


def test_echo_sockets_are_answered() -> None:
    with host() as one:
        for family in (4, 6):
            handle = one.open(family, kind=ECHO)
            request = bytes([8 if family == 4 else 128, 0, 0, 0, 0, 0, 0, 1]) + b"ping"
            assert one.send(handle, request, (PEER[family], 0)) == 12
            answer = one.hear(handle)
            assert isinstance(answer, bytes)
            assert (answer[0], answer[6:]) == (0 if family == 4 else 129, b"\0\1ping")


@FAMILIES
def test_a_train_of_datagrams(family: int) -> None:
    """UDP_SEGMENT: one frame to the kernel, which takes it apart; the echoes are ten."""
    with host() as one:
        one.start("echo", PEER[family], "7000")
        handle = one.open(family, 7001)
        assert one.send(handle, b"first", (PEER[family], 7000)) == 5
        assert one.hear(handle) == b"first"
        ctypes.memmove(one.memory.address, (1200).to_bytes(4, "little"), 4)
        assert set_option(one.worker, handle, linux.SOL_UDP, linux.UDP_SEGMENT, one.memory.address, 4) == 0
        octets = b"".join(bytes([number]) * 1200 for number in range(10))
        before = one.worker.queues[0].tx_packets
        assert one.send(handle, octets, (PEER[family], 7000)) == 12_000
        one.engine.run_turns(1)
        assert one.worker.queues[0].tx_packets == before + 1
        assert [one.hear(handle) for _ in range(10)] == [bytes([number]) * 1200 for number in range(10)]


def test_groups_both_ways() -> None:
    with host() as one:
        handle = one.open(4, 7000)
        request = ip_address("239.1.2.3").packed + ip_address(OURS[4]).packed
        ctypes.memmove(one.memory.address, request, 8)
        assert set_option(one.worker, handle, 0, linux.IP_ADD_MEMBERSHIP, one.memory.address, 8) == 0
        one.start("group", "239.1.2.3", "7000", PEER[4], ready=False)
        assert one.hear(handle) == b"to the group"
        listener = one.start("hear", "239.9.9.9", "7000", PEER[4])
        assert one.send(handle, b"from an engine", ("239.9.9.9", 7000)) == 14
        assert one.until(listener.poll) == 0
        assert "from an engine" in one.text("hear")
