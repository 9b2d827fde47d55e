"""Links and probes between hosts, on one virtual clock. See the package for an example."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from pronghorn.compiled import Array, u8
from pronghorn.memory.arena import Arena
from pronghorn.ports.wire import WireEnd, wire_inject, wire_send, wire_take, wire_take_time
from pronghorn.ports.wire_port import COUNTS, Impairment, WirePort
from pronghorn.ports.wire_store import WireLane
from pronghorn.state.worker import Worker
from tests.simulator.applications import SOURCE, Source
from tests.simulator.host import START, Host
from tests.simulator.loop import DONE, STUCK, SimHost, SimLoop, simulate

MICROSECOND, MILLISECOND, SECOND = 1000, 1_000_000, 1_000_000_000
HOSTS = 256
PERFECT = Impairment()
NEAR, FAR = 0x0200_0000_0000, 0x0200_0001_0000
"""Hardware addresses of hosts' ends and of probes, plus the number of the wire."""

_names = itertools.count()


class Link:
    """A wire between two hosts: `lanes[0]` leads from the first to the second, `lanes[1]` back."""

    def __init__(self, number: int, drivers: tuple[WirePort, WirePort], ports: tuple[int, int]) -> None:
        self.drivers, self.ports = drivers, ports
        self.networks = networks_of(number)
        self.lanes: tuple[WireLane, WireLane] = drivers[0].lanes

    def address(self, end: int, family: int) -> str:
        """Of the first (0) or second (1) host on this link."""
        return str(self.networks[0 if family == 4 else 1][end + 1])

    def mac(self, end: int) -> int:
        """Likewise its hardware address."""
        return self.drivers[end].mac


class Probe:
    """A test as a host: the far end of a host's wire. It sends and hears frames, octet by octet."""

    def __init__(self, network: Network, number: int, driver: WirePort, port: int, mac: int) -> None:
        self.network, self.driver, self.port, self.mac = network, driver, port, mac
        self.networks = networks_of(number)
        self.end: WireEnd = driver.end
        self._room: Array[Any] = network.arena.table(f"probe.{number}", u8, 1 << 17)

    def address(self, family: int) -> str:
        """The probe's own. The host has member 1 of each network, the probe member 2."""
        return str(self.networks[0 if family == 4 else 1][2])

    def host_address(self, family: int) -> str:
        """The host's."""
        return str(self.networks[0 if family == 4 else 1][1])

    def send(self, frame: Any, when: int | None = None) -> None:
        """Through the impairments, at `when` (ns; now when it is None); times must not go back."""
        self.network.settle()
        octets = bytes(frame)
        ctypes.memmove(self._room.address, octets, len(octets))
        now = self.network.now if when is None else when
        assert wire_send(self.end, self._room.address, len(octets), now) == 1, "the wire does not take such a frame"

    def inject(self, frame: Any, when: int) -> None:
        """To arrive at `when`, ns, whatever the wire is like."""
        self.network.settle()
        octets = bytes(frame)
        ctypes.memmove(self._room.address, octets, len(octets))
        assert wire_inject(self.end, self._room.address, len(octets), when) == 1, "the wire is full"

    def heard(self) -> list[tuple[int, bytes]]:
        """Frames that have arrived here by now, with their times."""
        frames = []
        while 0 <= (when := wire_take_time(self.end)) <= self.network.now:
            octets = wire_take(self.end, self._room.address, 1 << 17)
            frames.append((when, ctypes.string_at(self._room.address, octets)))
        return frames


def networks_of(number: int) -> tuple[IPv4Network, IPv6Network]:
    """The addresses of link `number`."""
    return IPv4Network(f"10.{number >> 8}.{number & 255}.0/24"), IPv6Network(f"2001:db8:0:{number:x}::/64")


class Network:
    """See the module. Impairments begin when the hosts have announced their addresses, at the first `run`."""

    def __init__(self, seed: int = 1, workers: int = 1) -> None:
        self.seed, self.workers, self.name = seed, workers, next(_names)
        self.arena = Arena.create("simulator", limit=1 << 30)
        self.loop: SimLoop = self.arena.table("loop", SimLoop, 1)[0]
        self._places: Array[SimHost] = self.arena.table("hosts", SimHost, HOSTS)
        self.loop.hosts, self.loop.now = self._places, START
        self.hosts: list[Host] = []
        self.probes: list[Probe] = []
        self._wires = 0
        self._lanes: list[WireLane] = []
        self._records = 0
        self._waiting: list[tuple[Callable[[Impairment], None], Impairment]] = []
        self._free: dict[str, int] = {}

    @property
    def now(self) -> int:
        """The virtual clock, ns."""
        return self.loop.now

    def draw(self, purpose: str) -> int:
        """62 bits that the seed fixes."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()[:8]) >> 2

    # --- what there is ------------------------------------------------------------------------------------------------

    def host(self, name: str, packets: int = 1024, large: int = 0, forwarding: bool = False) -> Host:
        """A host without links yet."""
        host = Host(self, name, self._places[len(self.hosts)], packets, large, forwarding)
        self.hosts.append(host)
        self.loop.host_count = len(self.hosts)
        self._free[name] = host.engine.free_packets()
        return host

    def link(
        self,
        one: Host,
        two: Host,
        there: Impairment = PERFECT,
        back: Impairment | None = None,
        options: str = "mtu=1500",
    ) -> Link:
        """A wire between two hosts that know each other; `back` is like `there` when it is None.

        `options` are those of the port, offload=on for both ends: then hosts with large packets exchange 64 KB frames.
        """
        number = self._next_wire()
        whole = "offload=on" if "offload=on" in options else ""
        drivers = self._driver(number, 0, options), self._driver(number, 1, whole)
        networks = networks_of(number)
        ports = one.join(drivers[0], networks, 1), two.join(drivers[1], networks, 2)
        link = Link(number, drivers, ports)
        for family in (4, 6):
            one.know(ports[0], link.address(1, family), link.mac(1))
            two.know(ports[1], link.address(0, family), link.mac(0))
        self._lanes += link.lanes
        self._waiting += [(drivers[0].impair, there), (drivers[1].impair, back or there)]
        return link

    def probe(
        self, host: Host, there: Impairment = PERFECT, back: Impairment | None = None, options: str = "mtu=1500"
    ) -> Probe:
        """A wire from the test to a host: `there` is what it does to frames on their way to the host."""
        number = self._next_wire()
        driver = self._driver(number, 0, options)
        probe = Probe(self, number, driver, host.join(driver, networks_of(number), 1), FAR + number)
        for family in (4, 6):
            host.know(probe.port, probe.address(family), probe.mac)
        self.probes.append(probe)
        self._lanes += driver.lanes
        self._waiting += [(driver.impair_inbound, there), (driver.impair, back or there)]
        return probe

    def _next_wire(self) -> int:
        self._wires += 1
        return self._wires

    def _driver(self, number: int, side: int, options: str = "") -> WirePort:
        """An end of wire `number`; the first one (side 0) chooses the seed."""
        device = f"simulator {self.name} {number}?mac={NEAR + 2 * number + side:012x}"
        seed = [f"seed={self.draw(f'wire {number}')}"] if side == 0 else []
        return WirePort("&".join([device, *seed, *filter(None, options.split("&"))]))

    def record(self, kind: Any, count: int = 1) -> Any:
        """Zeroed memory for an application: an Array of the view or scalar."""
        self._records += 1
        return self.arena.table(f"record.{self._records}", kind, count)

    def application(self, host: Host, kind: int, record: int) -> None:
        """Let the host run an application of applications.py with the record at that address."""
        self.settle()
        host.place.application, host.place.record = kind, record
        host.worker.due = self.now

    def source(self, host: Host, port: int, frame: Any, interval: int, count: int) -> Source:
        """Let the host send `count` raw frames, one each `interval` ns, once the network runs."""
        self.settle()
        octets = bytes(frame)
        room = self.record(u8, len(octets))
        ctypes.memmove(room.address, octets, len(octets))
        source: Source = self.record(Source)[0]
        source.next, source.interval, source.remaining = self.now, interval, count
        source.frame, source.octets, source.port = room.address, len(octets), port
        self.application(host, SOURCE, source.address)
        return source

    # --- time ---------------------------------------------------------------------------------------------------------

    def run(self, seconds: float = 0, until: int = 0) -> int:
        """Let virtual time pass: so many seconds, or until so many ns. Returns DONE or STOPPED of loop.py."""
        self.settle()
        result = simulate(self.loop, until or self.now + round(seconds * SECOND))
        assert result != STUCK, f"time stands still at {self.now}"
        return result

    def settle(self) -> None:
        """Let the hosts announce their addresses over perfect wires; then the wires become what they are."""
        if not self._waiting:
            return
        while not all(host.settled() for host in self.hosts):
            assert simulate(self.loop, self.now + SECOND) == DONE
        for probe in self.probes:
            probe.heard()
        for impair, impairment in self._waiting:
            impair(impairment)
        self._waiting = []
        for lane in self._lanes:
            for count in COUNTS:
                setattr(lane, count, 0)

    # --- the end ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every worker's verdicts add up, and every packet is free or held."""
        for host in self.hosts:
            held = 0
            for number in range(self.workers):
                worker: Worker = host.engine.workers[number]
                ended = sum(worker.verdicts[verdict] for verdict in range(256))
                assert worker.received + worker.originated == ended + worker.held + worker.dispatched, host.name
                held += worker.held
            assert self._free[host.name] - host.engine.free_packets() == held, host.name

    def close(self) -> None:
        """Give everything back."""
        with ExitStack() as last:
            last.callback(self.arena.close)
            for host in self.hosts:
                last.callback(host.engine.close)

    def __enter__(self) -> Network:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.check()
        self.close()
