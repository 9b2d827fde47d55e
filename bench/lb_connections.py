"""Connections per second through full NAT: opened, one request and one answer of 64 octets, closed by both sides.

    null clients <-> port 0   balancer   port 1 <-> null servers

Seven segments each, all of which pass: SYN, SYN-ACK, ACK, request, answer with FIN, FIN, ACK. The table has room for a
million, and after the first second is full of connections in TIME-WAIT, so every new one takes the place of an old one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench import cores
from bench.harness import Benchmark, Measure

if TYPE_CHECKING:
    from pronghorn.engine.engine import Engine
    from pronghorn.ports.null_client_port import NullClientPort

TABLE = 1_000_000
AT_ONCE = 256
TURNS = 500
SERVERS, LOCALS = 16, 8


def balanced(engine: Engine) -> NullClientPort:
    """The clients of an engine that balances them."""
    from ipaddress import IPv4Address, IPv4Interface

    from pronghorn.balancer.configure import add_local_address, add_server, add_service, create_balancer
    from pronghorn.balancer.growth import grow
    from pronghorn.net.configure import add_address, add_interface
    from pronghorn.net.configure_routes import add_neighbour, add_route
    from pronghorn.net.create import create_net
    from pronghorn.ports.null_client_port import ROUTER_MAC, NullClientPort, networks
    from pronghorn.ports.null_server_port import NullServerPort

    worker, service, first = engine.workers[0], IPv4Address("203.0.113.1"), IPv4Address("198.19.0.1")
    clients = NullClientPort(service, AT_ONCE, closing=True, stamps=False)
    create_net(engine.arena, worker)
    for port in (clients, NullServerPort()):
        add_interface(worker, engine.add_port(port))
    balancer = create_balancer(engine.arena, worker, conns=TABLE, services=1, servers=SERVERS)
    grow(engine.arena, worker, TABLE)
    add_address(worker, 0, IPv4Interface("192.0.2.1/24"))
    add_neighbour(worker, 0, IPv4Address("192.0.2.2"), ROUTER_MAC)
    add_route(worker, networks(0)[0], 0, IPv4Address("192.0.2.2"))
    add_address(worker, 1, IPv4Interface("198.19.255.254/16"))
    number = add_service(balancer, "tcp", service, 80, "wrr")
    for host in range(SERVERS):
        add_neighbour(worker, 1, first + host, 0x02_00_00_00_FF_00 + host)
        add_server(balancer, number, first + host, 8080)
    for host in range(LOCALS):
        add_local_address(balancer, IPv4Address("198.19.254.1") + host)
    return clients


@contextlib.contextmanager
def opening() -> Iterator[Measure]:
    """A reading: connections that ended well in two seconds of CPU time, per second."""
    from pronghorn.engine.engine import Engine

    cores.split()
    with Engine(workers=1, packets=8192) as engine:
        clients = balanced(engine)
        rate(engine, clients, 2.0)  # fills the table
        yield lambda: rate(engine, clients, 2.0)


def rate(engine: Engine, clients: NullClientPort, seconds: float) -> float:
    """Run the worker for so much CPU time; connections per second of it. RuntimeError when clients were not served."""
    queue = clients.queue(0)
    with cores.measured():
        before, begin = queue.completed, time.thread_time()
        while (spent := time.thread_time() - begin) < seconds:
            engine.run_turns(TURNS)
        done = queue.completed - before
    if not done or queue.resets or queue.odd or queue.dropped:
        raise RuntimeError(f"{done} connections ended; clients count {clients.statistics()}")
    return done / spent


BENCHMARK = Benchmark(
    name="lb_connections",
    what="full NAT: connections opened, used once and closed both ways, a full table of 1,000,000, one worker",
    unit="connections/s",
    ours=opening,
)
