"""An engine with an application that checks every octet, and a kernel in a namespace at the other end of a device.

    kernel <-> device <-> engine                                       tap, xdp, packet (the last two on a veth pair)
    kernel <-> device (CROSS) <-> wire end (CROSS) ~~~ <-> engine      with an impairment

The kernel's side runs `stream_peer.py`. Worker 0 turns in the calling thread, and sleeps when there is nothing to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

from bench.tcp.engines import address, good, record
from bench.tcp.loops import serve_pattern
from bench.tcp.pattern_app import PatternApp, pattern, pattern_begin
from pronghorn.compiled import u8
from pronghorn.engine.engine import Engine
from pronghorn.engine.transports import Limits, create_transports
from pronghorn.memory.arena import Arena
from pronghorn.net.configure import add_address, add_interface
from pronghorn.net.create import create_net
from pronghorn.ports.driver import Driver
from pronghorn.ports.packet_port import PacketPort
from pronghorn.ports.tap_port import TapPort
from pronghorn.ports.wire_port import WirePort
from pronghorn.ports.xdp_port import XdpPort
from pronghorn.state.endpoints import READABLE, Address, endpoints_of, socket_watch
from pronghorn.state.port import CROSS, INPUT
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import tcp_bind, tcp_connect, tcp_listen, tcp_open
from pronghorn.tcp.tcb import Tcp, tcp_of
from tests.peers.namespaces import Namespace, Stage, stage
from tests.ports.support import inside

DEVICES: dict[str, Callable[[str], Driver]] = {"tap": TapPort, "xdp": XdpPort, "packet": PacketPort}
OWN = {4: "192.0.2.1", 6: "2001:db8::1"}
PEER = {4: "192.0.2.9", 6: "2001:db8::9"}
PORT = 5001
TURNS = 64
NAP = 1  # ms
PEER_PROGRAM = Path(__file__).with_name("stream_peer.py")


@dataclass
class Station:
    """Both sides of a device."""

    stage: Stage
    kernel: Namespace
    interface: str  # the kernel's, in its namespace
    engine: Engine
    app: PatternApp
    where: Address  # scratch
    wires: list[WirePort]  # the kernel's and our end, where there is an impairment

    @property
    def worker(self) -> Worker:
        worker: Worker = self.engine.workers[0]
        return worker

    @property
    def tcp(self) -> Tcp:
        return tcp_of(self.worker)

    def run(self, done: Callable[[], bool], seconds: float) -> bool:
        """Turn until it is so; False when the time is over first."""
        end = time.monotonic() + seconds
        waiter = select.poll()
        for number in range(self.worker.port_count):
            if self.worker.queues[number].fd >= 0:
                waiter.register(self.worker.queues[number].fd, select.POLLIN)
        while not done():
            if time.monotonic() > end:
                return False
            if serve_pattern(self.worker, self.app, TURNS) == 0:
                waiter.poll(NAP)
        return True

    def settle(self, seconds: float = 0.05) -> None:
        """Turn for a while."""
        self.run(lambda: False, seconds)

    def listen(self, family: int, target: int = 0, port: int = PORT) -> None:
        """Accept connections, and send so many octets on each."""
        number = good(tcp_open(self.worker, family), "open")
        where = address(None, port, family, self.where)
        good(tcp_bind(self.worker, number, where), "bind")
        good(tcp_listen(self.worker, number, 64), "listen")
        socket_watch(endpoints_of(self.worker), number, READABLE, 0)
        self.app.listener, self.app.target = number + 1, target

    def connect(self, family: int, target: int = 0, port: int = PORT) -> int:
        """Connect to the kernel and send so many octets; the socket's number."""
        self.engine.run_turns(1)  # sets the clock
        number = good(tcp_open(self.worker, family), "open")
        where = address(ip_address(PEER[family]), port, family, self.where)
        result = tcp_connect(self.worker, number, where)
        assert result == -115, f"connect: errno {-result}"
        assert pattern_begin(self.worker, self.app, number, target)
        return number

    def peer(self, *words: object, log: str = "peer.log") -> subprocess.Popen[bytes]:
        """Start the kernel's side: `serve` or `connect` (stream_peer.py says with what)."""
        return self.kernel.start(sys.executable, "-S", "-E", PEER_PROGRAM, *map(str, words), log=log)

    def said(self, log: str = "peer.log") -> dict[str, Any]:
        """What it reported at its end."""
        text = (self.stage.scratch / log).read_text()
        try:
            found: dict[str, Any] = json.loads(text.splitlines()[-1])
        except (IndexError, ValueError):
            raise RuntimeError(f"the peer said: {text}") from None
        return found

    def exchange(self, family: int, out: int, back: int, actively: bool, seconds: float = 60) -> dict[str, Any]:
        """One connection: `out` octets from here, `back` from the kernel, opened from here or there. The peer's report.

        RuntimeError when it does not end in time, or not well.
        """
        before, bad = self.app.ended, self.app.failed
        if actively:
            process = self.peer("serve", PORT, back, out)
            self.await_listener(PORT)
            begin = time.monotonic()
            self.connect(family, out)
        else:
            self.app.target = out
            begin = time.monotonic()
            process = self.peer("connect", OWN[family], PORT, back, out)
        ended = self.run(
            lambda: process.poll() is not None and self.app.ended + self.app.failed > before + bad, seconds
        )
        took = time.monotonic() - begin
        if not ended or self.app.failed != bad:
            self.stage.stop(process)
            raise RuntimeError(f"{'failed' if ended else 'late'}, errno {self.app.error}: {self.state()}")
        return {**self.said(), "took": took}

    def nstat(self, name: str) -> int:
        """A counter of the kernel's."""
        lines = self.kernel.run("nstat", "-asz", name).stdout.splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

    def state(self) -> str:
        """Of connections, for messages."""
        tcp = self.tcp
        found = [tcp.tcbs[number] for number in range(tcp.fresh) if tcp.tcbs[number].state]
        return "; ".join(f"state {tcb.state} una {tcb.snd_una} nxt {tcb.snd_nxt} rcv {tcb.rcv_nxt}" for tcb in found)

    def await_listener(self, port: int, seconds: float = 10) -> None:
        """Wait until the kernel's side listens; the engine goes on turning."""
        pattern_text, end = f":{port} ", time.monotonic() + seconds
        while pattern_text not in self.kernel.run("ss", "-Hltn").stdout:
            if time.monotonic() > end:
                raise RuntimeError(f"nobody listens at {port}")
            self.settle(0.02)


@contextlib.contextmanager
def station(
    device: str, impairment: str = "", large: int = 256, mtu: int = 1500, packets: int = 8192
) -> Iterator[Station]:
    """A kernel and an engine that have a device between them."""
    with stage() as place:
        kernel = place.namespace("kernel")
        home = kernel
        if device != "tap":
            home = place.namespace("engine")
            place.join(kernel, "eth0", home, "eth0")
            home.ip(f"link set eth0 mtu {mtu}")
            kernel.ip(f"link set eth0 mtu {mtu}")
        interface = "tap0" if device == "tap" else "eth0"
        arena = Arena.create("engine", limit=4 << 30)
        with Engine(1, packets, large, arena) as engine:
            worker = engine.workers[0]
            create_net(arena, worker)
            create_transports(arena, worker, Limits(sockets=4096, conns=1 << 16, buffers=1 << 28))
            if device == "tap":
                kernel.run("ip", "tuntap", "add", "tap0", "mode", "tap")
                kernel.ip(f"link set tap0 mtu {mtu}")
            with inside(home):
                engine.add_port(DEVICES[device](interface), CROSS if impairment else INPUT, 1)
            own, wires = 0, []
            if impairment:
                wires = [WirePort(f"station{id(engine)}?mtu={mtu}&{impairment}") for _ in range(2)]
                engine.add_port(wires[0], CROSS, 0)
                own = engine.add_port(wires[1])
            add_interface(worker, own)
            kernel.ip(f"link set {interface} up")
            for family, bits in ((4, 24), (6, 64)):
                add_address(worker, own, ip_interface(f"{OWN[family]}/{bits}"))
                nodad = " nodad" if family == 6 else ""
                kernel.ip(f"address add {PEER[family]}/{bits} dev {interface}{nodad}")
            app = record(engine, "pattern", PatternApp)
            octets = pattern()
            room = arena.table("octets", u8, len(octets))
            ctypes.memmove(room.address, octets, len(octets))
            app.pattern = room.address
            where = record(engine, "where", Address)
            made = Station(place, kernel, interface, engine, app, where, wires)
            made.settle(0.01)
            yield made
