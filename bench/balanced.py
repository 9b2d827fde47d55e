"""What the lb_* benchmarks share: an engine that balances, and so many open connections over null ports.

    null port 0: clients, 64-octet TCP segments over all connections in turn   ->   balancer   ->   null port 1: servers

Connections are opened in another order than they are visited in afterwards, so that neither the flows nor the index
are read one after the other. They are opened by the real way in: a SYN of every client through the engine, the
server's answer noted by the balancer's own state machine (there is no server behind a null port to send it), an ACK
of every client. What is measured then is segments with data in the direction of the servers: parsed, looked up,
counted, both addresses and ports rewritten, both checksums adjusted, next hop found, MAC header written, transmitted.

Addresses are those for benchmarks (RFC 2544 C.2.2, RFC 5180 8): clients in 198.18/16, servers in 198.19/16 and
2001:2::/64.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pronghorn.engine.engine import Engine
    from pronghorn.ports.null import NullQueue

FRAME = 64
CLIENT = int(IPv4Address("198.18.0.1"))
SERVICE, PORT = IPv4Address("198.18.250.1"), 80  # the first one
SERVER = IPv4Address("198.19.0.1")  # the first one
LOCALS = [IPv4Address("198.19.255.1") + n for n in range(8)]
SERVER6, LOCALS6 = IPv6Address("2001:2::1"), [IPv6Address("2001:2::ff01") + n for n in range(8)]
SERVER_MAC = 0x02_00_00_00_FF_00
SYN, ACK, PSH = 0x02, 0x10, 0x08


def with_connections(
    connections: int, method: str = "full-nat", services: int = 1, servers: int = 16, family: int = 4
) -> Callable[[Engine], Sequence[int]]:
    """What prepares an engine for null_engine.forwarding. Connections are spread over `services` of `servers` each.

    `family`: of the servers; clients are of IPv4."""

    def prepare(engine: Engine) -> Sequence[int]:
        from pronghorn.ports.null import STRIDE

        queue, out = configure(engine, connections, method, services, servers, family=family)
        establish(engine, queue, connections)
        segments(queue, connections, ACK | PSH, engine.ports[0].mac)
        queue.stride = STRIDE % connections or 1
        queue.remaining = -1
        return [out]

    return prepare


def configure(
    engine: Engine,
    connections: int,
    method: str = "full-nat",
    services: int = 1,
    servers: int = 16,
    warm: bool = True,
    family: int = 4,
) -> tuple[NullQueue, int]:
    """Ports, addresses, services with servers. Returns the clients' generator and the servers' port.

    `warm`: memory for all connections comes ahead of them, as a gateway's control plane sees to it.
    """
    from pronghorn.balancer.configure import add_local_address, add_server, add_service, create_balancer
    from pronghorn.balancer.growth import grow
    from pronghorn.net.configure import add_address, add_interface
    from pronghorn.net.configure_routes import add_neighbour
    from pronghorn.net.create import create_net
    from pronghorn.ports.null import NullPort

    worker, clients = engine.workers[0], NullPort()
    inside, outside = engine.add_port(clients), engine.add_port(NullPort())
    if worker.net == 0:
        create_net(engine.arena, worker)
    for port in (inside, outside):
        add_interface(worker, port)
    balancer = create_balancer(
        engine.arena, worker, conns=connections + connections // 8, services=services, servers=services * servers
    )
    if warm:
        grow(engine.arena, worker, connections)
    first_server, locals_ = (SERVER, LOCALS) if family == 4 else (SERVER6, LOCALS6)
    add_address(worker, outside, IPv4Interface("198.19.255.254/16"))
    add_address(worker, outside, IPv6Interface("2001:2::fffe/64"))
    for number in range(servers):
        add_neighbour(worker, outside, first_server + number, SERVER_MAC + number)
    for first in range(services):
        service = add_service(balancer, "tcp", SERVICE + first, PORT, "rr")
        for number in range(servers):
            port = 8080 if method in ("full-nat", "nat") else PORT
            add_server(balancer, service, first_server + number, port, method=method)
    for local in locals_:
        add_local_address(balancer, local)
    queue = clients.queue(0)
    queue.destinations = services
    return queue, outside


def establish(engine: Engine, queue: NullQueue, connections: int) -> None:
    """Open all connections. Raises RuntimeError when one is missing."""
    from pronghorn.balancer.tables import REPLY, Balancer
    from pronghorn.balancer.tcp_state import follow

    worker = engine.workers[0]
    balancer = Balancer(worker.balancer)
    mac = engine.ports[0].mac
    once(engine, queue, connections, SYN, mac)
    first = 0 if balancer.fresh[0] else balancer.conn_limit - connections  # those with IPv6 begin at the end
    for number in range(first, first + connections):
        if balancer.conns[number].keys[REPLY]:
            follow(worker, balancer, 2 * number + REPLY, SYN | ACK)
    once(engine, queue, connections, ACK, mac)
    open_now = sum(balancer.servers[number].active for number in range(balancer.server_limit))
    if balancer.count != connections or open_now != connections:
        raise RuntimeError(f"{balancer.count} connections of {connections}, {open_now} of them open")


def once(engine: Engine, queue: NullQueue, connections: int, flags: int, mac: int) -> None:
    """One segment of every connection through the engine."""
    segments(queue, connections, flags, mac)
    queue.remaining = connections
    while queue.remaining:
        engine.run_turns(100)


def segments(queue: NullQueue, connections: int, flags: int, mac: int) -> None:
    """Make the generator produce such segments of all connections in turn."""
    frame, network_sum, transport_sum = template(flags, mac)
    for place, octet in enumerate(frame):
        queue.template[place] = octet
    queue.octets, queue.flows, queue.next, queue.source, queue.stride = FRAME, connections, 0, CLIENT, 1
    queue.network_sum, queue.transport_sum = network_sum, transport_sum


def template(flags: int, mac: int) -> tuple[bytes, int, int]:
    """A frame without source address, source port and checksums, and the sums over its IPv4 header and its TCP part."""
    octets = FRAME - 14
    ethernet = mac.to_bytes(6, "big") + bytes.fromhex("020000001000 0800")
    ip = struct.pack("!BBHHHBBH4x4s", 0x45, 0, octets, 0, 0x4000, 64, 6, 0, SERVICE.packed)
    tcp = struct.pack("!HHIIBBHHH", 0, PORT, 1, 1, 5 << 4, flags, 65535, 0, 0) + bytes(octets - 40)
    pseudo = SERVICE.packed + struct.pack("!HH", 6, len(tcp))
    return ethernet + ip + tcp, words(ip), words(pseudo + tcp)


def words(octets: bytes) -> int:
    """The sum of 16-bit words in network order."""
    return sum(struct.unpack(f"!{len(octets) // 2}H", octets))
