"""Which service a packet is for: the one with its destination address, port, protocol and family. And the walks over
servers that the control plane asks for: entries, for there may be thousands and only entries run compiled there."""

from __future__ import annotations

from pronghorn.balancer.lookup import DST6_HI, DST6_LO, hash6, packet_ports
from pronghorn.balancer.tables import SERVER_FREE, SERVER_LEAVING, SERVER_REMOVED, SERVER_UP, Balancer, Service
from pronghorn.compiled import entry, hot, leaf, load32, load64
from pronghorn.memory.hashtable import HashIndex, hash_first, hash_next
from pronghorn.state.packet import Packet
from pronghorn.wire.ipv4 import IPv4

_DST4 = IPv4.offset("dst")
_ANY_SOURCE_PORT = ~0xFFFF
_PORT = 0xFFFF0000

PARTS = 10
"""Of a unit of weight, while a server of the service starts slowly."""


@leaf
def service_hash(hi: int, lo: int, ports: int, secret: int) -> int:
    """32 bits for a service; `ports` as in Service.ports."""
    return hash6(0, 0, hi, lo, ports, secret)


@hot
def find_service(balancer: Balancer, packet: Packet) -> int:
    """Index of the service of a TCP or UDP packet, or -1."""
    ports = packet_ports(packet) & _ANY_SOURCE_PORT
    if packet.family == 4:
        return search_service(balancer, 0, load32(packet.network + _DST4), ports)
    return search_service(balancer, load64(packet.network + DST6_HI), load64(packet.network + DST6_LO), ports)


@entry
def search_service(balancer: Balancer, hi: int, lo: int, ports: int) -> int:
    """Index of the service for this address and these `Service.ports`, or -1: one for the port, else one for any."""
    found = search_exact(balancer, hi, lo, ports)
    if found < 0 and balancer.any_port != 0:
        return search_exact(balancer, hi, lo, ports & ~_PORT)
    return found


@entry
def search_exact(balancer: Balancer, hi: int, lo: int, ports: int) -> int:
    """Index of the service that is found under exactly these, or -1."""
    index = HashIndex(balancer.service_index)
    hash = service_hash(hi, lo, ports, index.secret)
    found = hash_first(index, hash)
    while found >= 0:
        if found >= balancer.service_limit:
            listen = balancer.listens[found - balancer.service_limit]
            if listen.lo == lo and listen.hi == hi and listen.ports == ports:
                return listen.service
        else:
            service = balancer.services[found]
            if service.lo == lo and service.hi == hi and service.ports == ports:
                return found
        found = hash_next(index, hash, found)
    return -1


@entry
def search_server(balancer: Balancer, service: Service, hi: int, lo: int, port: int) -> int:
    """Index of the service's server with this address and port (raw), or -1."""
    for place in range(service.member_count):
        number = service.members[place]
        server = balancer.servers[number]
        if server.lo == lo and server.hi == hi and server.port == port:
            return number
    return -1


@entry
def search_free_server(balancer: Balancer) -> int:
    """Index of a record that no server and no connection uses, or -1. Goes on where the last search ended."""
    number = balancer.next_server
    for _ in range(balancer.server_limit):
        number = number if number < balancer.server_limit else 0
        server = balancer.servers[number]
        if server.state == SERVER_FREE or (server.state >= SERVER_REMOVED and server.conns == 0):
            balancer.next_server = number + 1
            return number
        number += 1
    return -1


@entry
def end_leaving(balancer: Balancer, service: int) -> None:
    """Let the sweep end the connections of servers that left this service."""
    for number in range(balancer.server_limit):
        server = balancer.servers[number]
        if server.state == SERVER_LEAVING and server.service == service:
            server.state = SERVER_REMOVED
            server.watched = 1


@entry
def forget_member(service: Service, number: int) -> int:
    """Take a server, which is there, out of the service's members; the others keep their order. Returns its place."""
    place, last = 0, service.member_count - 1
    while place < last and service.members[place] != number:
        place += 1
    for later in range(place, last):
        service.members[later] = service.members[later + 1]
    service.member_count = last
    return place


@entry
def search_stale_service(balancer: Balancer, first: int) -> int:
    """Index of the first service from `first` on whose Maglev table is out of date, or -1."""
    for number in range(first, balancer.service_limit):
        if balancer.services[number].stale != 0:
            return number
    return -1


@entry
def search_free_service(balancer: Balancer) -> int:
    """Index of a record that no service uses, or -1."""
    for number in range(balancer.service_limit):
        if balancer.services[number].ports == 0:
            return number
    return -1


@entry
def refresh_weights(balancer: Balancer, service: Service) -> None:
    """Weights that count, the largest and their greatest common divisor. Turns go on where they were."""
    scale, largest, step = 1, 0, 0
    for place in range(service.member_count):
        if balancer.servers[service.members[place]].part != 0:
            scale = PARTS
    for place in range(service.member_count):
        server = balancer.servers[service.members[place]]
        weight = server.weight * scale if server.state == SERVER_UP else 0
        if weight != 0 and server.part != 0:
            weight = max(weight * server.part // 1000, 1)
        service.weights[place] = weight
        largest = max(largest, weight)
        while weight != 0:
            step, weight = weight, step % weight
    service.scale, service.largest, service.step = scale, largest, max(step, 1)
    threshold = min(service.threshold, largest)
    service.threshold = threshold - threshold % service.step if threshold >= service.step else largest


@entry
def search_starting_service(balancer: Balancer, first: int) -> int:
    """Index of the first service from `first` on with a server that starts slowly, or -1."""
    for number in range(first, balancer.service_limit):
        service = balancer.services[number]
        if service.ports != 0 and service.scale != 1:
            return number
    return -1


@entry
def advance_starts(balancer: Balancer, service: Service, now: int) -> None:
    """What servers that start slowly have of their weight by now, in ns of a clock: a tenth at first, then in step with
    time, and after `slow_start` seconds all of it."""
    whole = max(service.slow_start, 1) * 1000
    for place in range(service.member_count):
        server = balancer.servers[service.members[place]]
        if server.part != 0:
            if server.started == 0:
                server.started = now
            age = (now - server.started) // 1_000_000
            server.part = 100 + 900 * age // whole if age < whole else 0
    refresh_weights(balancer, service)
