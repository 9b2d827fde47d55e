"""A simulated host: an engine with addresses of both families on each of its links, and sockets."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Any

from pronghorn.compiled import u8, u64
from pronghorn.engine.calls import Event, bind, connect, listen, socket, watch
from pronghorn.engine.engine import Engine
from pronghorn.engine.transports import Limits as TransportLimits
from pronghorn.engine.transports import create_transports
from pronghorn.net.configure import add_address, add_interface
from pronghorn.net.configure_routes import add_neighbour, add_route, halves
from pronghorn.net.create import Limits, create_net
from pronghorn.net.state import net_of
from pronghorn.ports.wire_port import WirePort
from pronghorn.state.endpoints import DATAGRAM, STREAM, Address
from pronghorn.state.verdicts import VERDICTS
from pronghorn.state.worker import Worker
from tests.simulator.applications import FLOWS
from tests.simulator.flows import CHUNK, EVENTS, LISTENER, PACED, PERIOD, SENDER, SINK, WATCHED, Flow, Flows
from tests.simulator.loop import WIRES, SimHost

if TYPE_CHECKING:
    from tests.simulator.network import Network

START = 1_000_000_000_000
"""The virtual clock before hosts have announced their addresses, ns."""
LIMITS = Limits(
    interfaces=16, addresses=64, routes=256, neighbours=256, waiting=64, paths=64, destinations=64, fragments=128
)
SOCKETS = TransportLimits(sockets=2048, datagrams=256, buffers=1 << 28)
FLOW_LIMIT = 2048


class Host:
    """An engine with addresses of both families on each of its links."""

    def __init__(self, network: Network, name: str, place: SimHost, packets: int, large: int, forwarding: bool) -> None:
        self.network, self.name, self.place, self.forwarding = network, name, place, forwarding
        self.engine = Engine(network.workers, packets, large)
        for number in range(network.workers):
            worker: Worker = self.engine.workers[number]
            worker.now, worker.random = START, network.draw(f"{name}/{number}") | 1
            worker.secret = network.draw(name)
            create_net(self.engine.arena, worker, LIMITS)
            create_transports(self.engine.arena, worker, SOCKETS)
        self._flows: Flows | None = None
        place.workers, place.worker_count = self.engine.workers, network.workers
        place.ends = network.arena.table(f"ends.{name}", u64, WIRES)

    def flows(self) -> Flows:
        """The host's flows; none at first."""
        if self._flows is None:
            arena, limit = self.network.arena, FLOW_LIMIT
            own: Flows = arena.table(f"flows.{self.name}", Flows, 1)[0]
            own.flows = arena.table(f"flows.{self.name}.all", Flow, limit)
            own.events = arena.table(f"flows.{self.name}.events", Event, EVENTS)
            own.scratch = arena.table(f"flows.{self.name}.scratch", u8, CHUNK).address
            own.pattern = arena.table(f"flows.{self.name}.pattern", u8, CHUNK + PERIOD).address
            ctypes.memmove(own.pattern, bytes(range(PERIOD)) * (CHUNK // PERIOD + 2), CHUNK + PERIOD)
            own.limit, self._flows = limit, own
            self.network.application(self, FLOWS, own.address)
        return self._flows

    def flow(self, kind: int, handle: int) -> Flow:
        """One more flow, with an open socket. PACED ones come first."""
        own = self.flows()
        assert handle >= 0, os.strerror(-handle)
        assert kind != PACED or own.paced == own.count, "PACED flows come first"
        number, flow = own.count, own.flows[own.count]
        flow.kind, flow.handle = kind, handle
        own.count += 1
        own.paced += kind == PACED
        assert watch(self.worker, handle, WATCHED[kind], 0, number) == 0
        return flow

    def name_of(self, address: str, port: int) -> Address:
        """An address as socket calls take it."""
        name: Address = self.network.record(Address)[0]
        ip = ip_address(address)
        name.hi, name.lo = halves(ip)
        name.port, name.family = port, ip.version
        return name

    def listen(self, address: str, port: int, stream: bool = True) -> Flow:
        """Hear at the address: a LISTENER for streams, a SINK for datagrams."""
        name = self.name_of(address, port)
        handle = socket(self.worker, name.family, STREAM if stream else DATAGRAM)
        assert handle >= 0, os.strerror(-handle)
        assert bind(self.worker, handle, name) == 0
        if stream:
            assert listen(self.worker, handle, 1024) == 0
        return self.flow(LISTENER if stream else SINK, handle)

    def stream(self, address: str, port: int, octets: int = 0) -> Flow:
        """Connect now, and send so many octets as fast as they are taken; 0: for ever."""
        handle = socket(self.worker, ip_address(address).version, STREAM)
        assert handle >= 0, os.strerror(-handle)
        self.worker.now = self.network.now
        assert connect(self.worker, handle, self.name_of(address, port)) in (0, -errno.EINPROGRESS)
        flow = self.flow(SENDER, handle)
        flow.wanted = octets
        self.worker.due = self.network.now
        return flow

    def datagrams(self, address: str, port: int, size: int, interval: int, octets: int = 0) -> Flow:
        """Send a datagram of `size` octets each `interval` ns from now on, so many octets in all (0: for ever)."""
        handle = socket(self.worker, ip_address(address).version, DATAGRAM)
        assert handle >= 0, os.strerror(-handle)
        self.worker.now = self.network.now
        assert connect(self.worker, handle, self.name_of(address, port)) == 0
        flow = self.flow(PACED, handle)
        flow.size, flow.interval, flow.wanted, flow.next = size, interval, octets, self.network.now
        self.worker.due = self.network.now
        return flow

    @property
    def worker(self) -> Worker:
        """The first worker."""
        worker: Worker = self.engine.workers[0]
        return worker

    def everywhere(self, change: Callable[[Worker], Any]) -> None:
        """change(worker) on each worker."""
        for number in range(self.network.workers):
            change(self.engine.workers[number])

    def count(self, verdict: str) -> int:
        """Packets that ended with the verdict of this name."""
        number = next(found.number for found in VERDICTS.values() if found.name == verdict)
        return sum(self.engine.workers[n].verdicts[number] for n in range(self.network.workers))

    def join(self, driver: WirePort, networks: tuple[IPv4Network | IPv6Network, ...], member: int) -> int:
        """Open this end of a wire and own member number `member` of each network there; returns the port."""
        port = self.engine.add_port(driver)
        self.place.ends[self.place.end_count] = driver.end.address
        self.place.end_count += 1
        self.everywhere(lambda worker: add_interface(worker, port, int(self.forwarding)))
        for net in networks:
            address = ip_interface(f"{net[member]}/{net.prefixlen}")
            self.everywhere(lambda worker, address=address: add_address(worker, port, address))  # type: ignore[misc]
        return port

    def know(self, port: int, address: str, mac: int) -> None:
        """Set a neighbour for good, so that no question goes over the wire."""
        self.everywhere(lambda worker: add_neighbour(worker, port, ip_address(address), mac))

    def route(self, prefix: str, port: int, gateway: str) -> None:
        """Send packets to the prefix to a router."""
        self.everywhere(lambda worker: add_route(worker, ip_network(prefix), port, ip_address(gateway)))

    def settled(self) -> bool:
        """Whether all addresses have been announced."""
        return not any(net_of(self.engine.workers[n]).announcing for n in range(self.network.workers))
