"""Engines for the benchmarks of TCP: with clients on null ports, or two on the ends of a user-veth.

Everything is one worker's. Applications' records lie in the engine's arena.
"""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any, TypeVar

from bench.tcp.address import CLIENT4, CLOSING_PORT, PORT, SERVER4, SERVER6, TARGETS
from bench.tcp.http_app import RESPONSE, HttpApp, http_begin
from pronghorn.compiled import View
from pronghorn.engine.engine import Engine
from pronghorn.engine.transports import Limits, create_transports
from pronghorn.engine.transports_growth import GROW_EVERY, Growth
from pronghorn.memory.arena import Arena
from pronghorn.net.configure import add_address, add_interface
from pronghorn.net.configure_routes import add_neighbour, add_route, halves
from pronghorn.net.create import create_net
from pronghorn.ports.null_client_port import ROUTER_MAC, NullClientPort, networks
from pronghorn.ports.veth_port import VethPort
from pronghorn.state.endpoints import READABLE, Address, endpoints_of, socket_watch
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import tcp_bind, tcp_listen, tcp_open

BACKLOG = 4096

V = TypeVar("V", bound=View)


def engine_with(packets: int, conns: int, large: int = 0, buffers: int = 1 << 30) -> Engine:
    """An engine that can have so many connections; no port yet."""
    arena = Arena.create("engine", limit=(8 << 30) + buffers + conns * 2048)
    engine = Engine(workers=1, packets=packets, large_packets=large, arena=arena)
    worker = engine.workers[0]
    create_net(arena, worker)
    create_transports(arena, worker, Limits(sockets=conns + 64, conns=conns, buffers=buffers))
    return engine


def record(engine: Engine, name: str, kind: type[V]) -> V:
    """A zeroed record in the engine's memory."""
    found: V = engine.arena.table(name, kind, 1)[0]
    return found


def address(where: IPv4Address | IPv6Address | None, port: int, family: int, place: Address) -> Address:
    """Fill in an address; None: any."""
    place.hi, place.lo = halves(where) if where is not None else (0, 0)
    place.port, place.family, place.interface = port, family, 0
    return place


def listen(engine: Engine, port: int = PORT, family: int = 4, backlog: int = BACKLOG) -> int:
    """A listening socket that is watched; its number."""
    worker = engine.workers[0]
    number = good(tcp_open(worker, family), "open")
    good(tcp_bind(worker, number, address(None, port, family, record(engine, f"bind.{port}", Address))), "bind")
    good(tcp_listen(worker, number, backlog), "listen")
    socket_watch(endpoints_of(worker), number, READABLE, 0)
    return number


def good(result: int, what: str) -> int:
    """The result of a call that has to succeed."""
    if result < 0:
        raise RuntimeError(f"{what}: errno {-result}")
    return result


@dataclass
class Served:
    """An HTTP server with clients on null ports."""

    engine: Engine
    app: HttpApp
    clients: list[NullClientPort]
    growth: Growth
    grown: float = 0.0  # when its memory was looked at last, s

    def keep_ahead(self) -> None:
        """What a gateway's control thread does beside the worker: every GROW_EVERY seconds, memory for more."""
        if time.monotonic() - self.grown >= GROW_EVERY:
            self.growth.grow()
            self.grown = time.monotonic()

    @property
    def worker(self) -> Worker:
        worker: Worker = self.engine.workers[0]
        return worker

    def total(self, counter: str) -> int:
        """A counter of the clients', all together."""
        return sum(int(port.statistics()[counter]) for port in self.clients)


def served(clients: list[NullClientPort], packets: int = 4096, conns: int = 1 << 16, backlog: int = BACKLOG) -> Served:
    """An engine with an HTTP server and these clients: on PORT connections are kept alive, on CLOSING_PORT not."""
    engine = engine_with(packets, conns)
    worker = engine.workers[0]
    for port in clients:
        reachable(worker, add_interface(worker, engine.add_port(port)))
    app = record(engine, "http", HttpApp)
    text = ctypes.create_string_buffer(RESPONSE)
    family = clients[0].server.version
    kept, closing = (listen(engine, port, family, backlog) for port in (PORT, CLOSING_PORT))
    http_begin(app, kept, closing, ctypes.addressof(text), len(RESPONSE))
    return Served(engine, app, clients, Growth(engine.arena, worker))


def reachable(worker: Worker, interface: int) -> None:
    """The server's addresses on an interface, and the way to the clients behind it."""
    own4, own6 = at(interface)
    clients4, clients6 = networks(interface)
    add_address(worker, interface, own4)
    add_address(worker, interface, own6)
    add_neighbour(worker, interface, own4.ip + 253, ROUTER_MAC)
    add_neighbour(worker, interface, own6.ip + 253, ROUTER_MAC)
    add_route(worker, clients4, interface, own4.ip + 253)
    add_route(worker, clients6, interface, own6.ip + 253)


def at(interface: int) -> tuple[IPv4Interface, IPv6Interface]:
    """The server's addresses on an interface."""
    return IPv4Interface((SERVER4.ip + 256 * interface, 24)), IPv6Interface((SERVER6.ip + (interface << 64), 64))


def pair(options: str = "", **sizes: Any) -> tuple[Engine, Engine]:
    """Two engines on the ends of a user-veth; the first has TARGETS addresses, the second CLIENT4."""
    engines = engine_with(**sizes), engine_with(**sizes)
    ports = []
    for engine in engines:
        port = VethPort(f"bench{os.getpid()}{options}")
        add_interface(engine.workers[0], engine.add_port(port))
        ports.append(port)
    server, client = (engine.workers[0] for engine in engines)
    for own in (IPv4Interface((SERVER4.ip + number, 24)) for number in range(TARGETS)):
        add_address(server, 0, own)
        add_neighbour(client, 0, own.ip, ports[0].mac)
    add_address(client, 0, CLIENT4)
    add_neighbour(server, 0, CLIENT4.ip, ports[1].mac)
    return engines
