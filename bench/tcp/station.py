"""An engine with an application that checks every octet, and a kernel in a namespace at the other end of a device.

    kernel <-> device <-> engine                                       tap, xdp, packet (the last two on a veth pair)
    kernel <-> device (CROSS) <-> wire end (CROSS) ~~~ <-> engine      with an impairment
    kernel <-> router <-- narrow --> router <-> device <-> engine      with a router

The kernel's side runs `stream_peer.py`. The workers turn in the calling thread, which sleeps when nothing is to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
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
from pronghorn.net.configure_routes import add_route
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
FAR = {4: "198.51.100.9", 6: "2001:db8:2::9"}
BITS = {4: 24, 6: 64}
PORT = 5001
TURNS = 64
NAP = 1_000_000  # ns at most
PEER_PROGRAM = Path(__file__).with_name("stream_peer.py")


@dataclass
class Station:
    """Both sides of a device."""

    stage: Stage
    kernel: Namespace
    interface: str  # the kernel's, in its namespace
    engine: Engine
    apps: list[PatternApp]  # of each worker
    where: Address  # scratch
    peer_at: dict[int, str]  # the kernel's address, by family
    routers: list[Namespace]
    listeners: dict[tuple[int, int, int], int]  # by family, port and worker
    wires: list[WirePort]  # the kernel's and our end, where there is an impairment
    other_step: Callable[[], int] | None = None  # another application's
    environment: dict[str, str] | None = None  # of the kernel's programs

    def step(self) -> int:
        """Some turns of the engine and of its application; how much work there was."""
        if self.other_step:
            return self.other_step()
        if len(self.apps) == 1:
            return serve_pattern(self.worker, self.app, TURNS)
        return sum(serve_pattern(self.engine.workers[index], app, 1) for index, app in enumerate(self.apps))

    @property
    def worker(self) -> Worker:
        worker: Worker = self.engine.workers[0]
        return worker

    @property
    def app(self) -> PatternApp:
        return self.apps[0]

    @property
    def tcp(self) -> Tcp:
        return tcp_of(self.worker)

    def run(self, done: Callable[[], bool], seconds: float) -> bool:
        """Turn until it is so; False when the time is over first."""
        end = time.monotonic() + seconds
        workers = [self.engine.workers[index] for index in range(len(self.apps))]
        queues = [worker.queues[number] for worker in workers for number in range(worker.port_count)]
        descriptors = [queue.fd for queue in queues if queue.fd >= 0]
        while not done():
            if time.monotonic() > end:
                return False
            if self.step() == 0:
                nap = min(NAP, *(worker.due - worker.now for worker in workers))
                select.select(descriptors, [], [], max(nap, 0) / 1e9)
        return True

    def settle(self, seconds: float = 0.05) -> None:
        """Turn for a while."""
        self.run(lambda: False, seconds)

    def listen(self, family: int, target: int = 0, port: int = PORT) -> None:
        """Accept connections on every worker, and send so many octets on each."""
        for index, app in enumerate(self.apps):
            worker = self.engine.workers[index]
            number = self.listeners.get((family, port, index), -1)
            if number < 0:
                number = self.listeners[family, port, index] = good(tcp_open(worker, family), "open")
                good(tcp_bind(worker, number, address(None, port, family, self.where)), "bind")
                good(tcp_listen(worker, number, 64), "listen")
                socket_watch(endpoints_of(worker), number, READABLE, 0)
            app.listener, app.target = number + 1, target

    def connect(self, family: int, target: int = 0, port: int = PORT, index: int = 0) -> int:
        """Connect from a worker to the kernel and send so many octets; the socket's number."""
        self.engine.run_turns(1, index)  # sets the clock
        worker = self.engine.workers[index]
        number = good(tcp_open(worker, family), "open")
        where = address(ip_address(self.peer_at[family]), port, family, self.where)
        result = tcp_connect(worker, number, where)
        assert result == -errno.EINPROGRESS, f"connect: errno {-result}"
        assert pattern_begin(worker, self.apps[index], number, target)
        return number

    def peer(self, *words: object, log: str = "peer.log") -> subprocess.Popen[bytes]:
        """Start the kernel's side: `serve` or `connect` (stream_peer.py says with what)."""
        return self.kernel.start(
            sys.executable, "-S", "-E", PEER_PROGRAM, *map(str, words), log=log, environment=self.environment
        )

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
    device: str,
    impairment: str = "",
    large: int = 256,
    mtu: int = 1500,
    families: tuple[int, ...] = (4, 6),
    narrow: int = 0,
    workers: int = 1,
    queues: int = 1,
) -> Iterator[Station]:
    """A kernel and an engine that have a device between them; and two routers with a link of MTU `narrow`.

    `queues` are those of a veth; other devices have one for each worker.
    """
    with stage() as place:
        near = place.namespace("near")
        home = near if device == "tap" else place.namespace("engine")
        interface = "tap0" if device == "tap" else "eth0"
        if device == "tap":
            near.run("ip", "tuntap", "add", "tap0", "mode", "tap", *(["multi_queue"] if workers > 1 else []))
        else:
            place.join(near, "eth0", home, "eth0")
            if queues > 1:
                for one in (home, near):
                    one.run("ethtool", "-L", "eth0", "rx", str(queues), "tx", str(queues))
            home.ip(f"link set eth0 mtu {mtu}")
        near.ip(f"link set {interface} mtu {mtu}")
        arena = Arena.create("engine", limit=4 << 30)
        with Engine(workers, 8192, large, arena) as engine:
            all_workers = [engine.workers[index] for index in range(workers)]
            for worker in all_workers:
                create_net(arena, worker)
                create_transports(arena, worker, Limits(sockets=4096, conns=1 << 16, buffers=1 << 28))
            with inside(home):
                engine.add_port(DEVICES[device](interface), CROSS if impairment else INPUT, 1)
            wires = _wires(engine, mtu, impairment) if impairment else []
            for worker in all_workers:
                _addresses(worker, 2 if impairment else 0, families)
            near.ip(f"link set {interface} up", *(f"address add {PEER[f]}/{BITS[f]} dev {interface}" for f in families))
            apps = [arena.table(f"pattern.{index}", PatternApp, 1)[0] for index in range(workers)]
            octets = pattern()
            room = arena.table("octets", u8, len(octets))
            ctypes.memmove(room.address, octets, len(octets))
            for app in apps:
                app.pattern = room.address
            where = record(engine, "where", Address)
            made = Station(place, near, interface, engine, apps, where, PEER, [], {}, wires)
            if narrow:
                made.kernel, made.peer_at = _behind_routers(made, narrow), FAR
            made.settle(0.01)
            yield made


def _wires(engine: Engine, mtu: int, impairment: str) -> list[WirePort]:
    """A bad wire between the device, which is port 0, and the stack's port, 2."""
    wires = [WirePort(f"station{id(engine)}?mtu={mtu}&{impairment}") for _ in range(2)]
    engine.add_port(wires[0], CROSS, 0)
    engine.add_port(wires[1])
    return wires


def _addresses(worker: Worker, interface: int, families: tuple[int, ...]) -> None:
    """Ours; everything else is behind the kernel."""
    add_interface(worker, interface)
    for family in families:
        add_address(worker, interface, ip_interface(f"{OWN[family]}/{BITS[family]}"))
        anywhere = ip_network("0.0.0.0/0" if family == 4 else "::/0")
        add_route(worker, anywhere, interface, ip_address(PEER[family]))


def _behind_routers(one: Station, mtu: int) -> Namespace:
    """A kernel behind two routers, the first of which is at the device; both say when a packet is too big."""
    near, far, kernel = one.kernel, one.stage.namespace("far"), one.stage.namespace("kernel")
    one.routers = [near, far]
    one.stage.join(near, "narrow", far, "narrow")
    one.stage.join(far, "eth0", kernel, "eth0")
    for router, own, other, there in ((near, 1, 2, FAR), (far, 2, 1, OWN)):
        router.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        networks = (ip_interface(f"{there[f]}/{BITS[f]}").network for f in (4, 6))
        four, six = networks
        router.ip(
            f"link set narrow mtu {mtu}",
            f"address add 203.0.113.{own}/24 dev narrow",
            f"address add 2001:db8:1::{own}/64 dev narrow nodad",
            f"route add {four} via 203.0.113.{other}",
            f"route add {six} via 2001:db8:1::{other}",
        )
    far.ip("address add 198.51.100.1/24 dev eth0", "address add 2001:db8:2::1/64 dev eth0 nodad")
    kernel.ip(
        *(f"address add {FAR[f]}/{BITS[f]} dev eth0" for f in (4, 6)),
        "route add default via 198.51.100.1",
        "route add ::/0 via 2001:db8:2::1",
    )
    return kernel
