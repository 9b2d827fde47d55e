"""Locality-based least connections with replication: as `lblc`, with several servers for an address (IPVS's `lblcr`).

An address has a set of servers, of which the least loaded gets the connection. When that one has too much, the least
loaded of all joins the set; when the set has not changed for a day, the most loaded leaves it.

A set has at most LOCALITY_SET servers; where it is full the most loaded makes room. (IPVS: no limit.)
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.least import least_overhead, overhead
from pronghorn.balancer.schedulers.locality import (
    EXPIRATION,
    add_locality,
    destination_of,
    find_locality,
    has_too_much,
)
from pronghorn.balancer.schedulers.targets import takes
from pronghorn.balancer.tables import LOCALITY_SET, NOBODY, TICK, Balancer, Locality, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot, sequence
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker

_EXPIRED = EXPIRATION * 1_000_000_000 >> TICK


@hot
def choose_lblcr(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> int:
    """A server of the packet's destination address, or NOBODY."""
    hi, lo = destination_of(packet)
    found = find_locality(worker, balancer, service, hi, lo)
    if found < 0:
        number = least_overhead(balancer, service)
        if number != NOBODY:
            add_locality(worker, balancer, service, hi, lo, number)
        return number
    record = balancer.cache[found]
    tick = worker.now >> TICK
    number = least_of(balancer, service, record)
    if record.count > 1 and sequence.difference(tick, record.changed) > _EXPIRED:
        leave(balancer, service, record, tick)
    if number != NOBODY and not has_too_much(balancer, service, balancer.servers[number]):
        return number
    number = least_overhead(balancer, service)
    if number != NOBODY:
        join(balancer, service, record, number, tick)
    return number


@hot
def least_of(balancer: Balancer, service: Service, record: Locality) -> int:
    """The set's server with the least overhead for its weight, or NOBODY."""
    found, least, least_weight = NOBODY, 0, 0
    for place in range(record.count):
        number = record.servers[place]
        server = balancer.servers[number]
        if not takes(balancer, service, number) or is_full(server):
            continue
        load, weight = overhead(server), server.weight
        if found == NOBODY or least * weight > load * least_weight:
            found, least, least_weight = number, load, weight
    return found


@hot
def join(balancer: Balancer, service: Service, record: Locality, number: int, tick: int) -> None:
    """Put a server at the head of the set, unless it is in it."""
    for place in range(record.count):
        if record.servers[place] == number:
            return
    if record.count == LOCALITY_SET:
        leave(balancer, service, record, tick)
    for place in range(record.count, 0, -1):
        record.servers[place] = record.servers[place - 1]
    record.servers[0] = number
    record.count += 1
    record.changed = tick


@hot
def leave(balancer: Balancer, service: Service, record: Locality, tick: int) -> None:
    """Take the server with the most overhead for its weight out of the set; first of all one that takes nothing."""
    most, load, weight = 0, 0, 0
    for place in range(record.count):
        number = record.servers[place]
        server = balancer.servers[number]
        if not takes(balancer, service, number):
            most = place
            break
        if weight == 0 or load * server.weight < overhead(server) * weight:
            most, load, weight = place, overhead(server), server.weight
    for place in range(most + 1, record.count):
        record.servers[place - 1] = record.servers[place]
    record.count -= 1
    record.changed = tick
