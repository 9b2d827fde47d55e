"""Locality-based least connections: what is for an address goes to one server, for caches (IPVS's `lblc`).

The first connection to a destination address takes the server with the least overhead for its weight (`wlc`); later
ones follow it there until that one has too much or takes nothing any more, and then all follow to another.

A server that is at its upper limit gets nothing here either; IPVS looks at it only for the first connection.
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.least import least_overhead
from pronghorn.balancer.schedulers.locality import add_locality, destination_of, find_locality, has_too_much
from pronghorn.balancer.schedulers.targets import takes
from pronghorn.balancer.tables import NOBODY, Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker


@hot
def choose_lblc(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> int:
    """The server of the packet's destination address, or NOBODY."""
    hi, lo = destination_of(packet)
    found = find_locality(worker, balancer, service, hi, lo)
    if found >= 0:
        number = balancer.cache[found].servers[0]
        server = balancer.servers[number]
        usable = takes(balancer, service, number) and not is_full(server)
        if usable and not has_too_much(balancer, service, server):
            return number
    number = least_overhead(balancer, service)
    if number != NOBODY:
        if found >= 0:
            balancer.cache[found].servers[0] = number
        else:
            add_locality(worker, balancer, service, hi, lo, number)
    return number
