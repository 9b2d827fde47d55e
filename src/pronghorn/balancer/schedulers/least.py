"""What the schedulers that count connections share: a server's load, and the least loaded of a service.

Loads are compared as IPVS does, without fractions: a / v > b / w as a * w > b * v. The first of equals wins, in the
order in which the servers were added (IPVS walks them the other way round, the one that was added last first).

A choice looks at every member of the service, once, when a connection opens; packets of open connections cost nothing
more. docs/adr/0017-schedulers.md says what that is with a thousand members.
"""

from __future__ import annotations

from pronghorn.balancer.tables import NOBODY, Balancer, Server, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot, leaf, prefetch

AHEAD = 8
"""Members whose records are asked for ahead of a walk."""


@leaf
def active_of(server: Server) -> int:
    """Connections of all workers in which data flows both ways."""
    return server.active + server.others_active


@leaf
def overhead(server: Server) -> int:
    """IPVS's load of lc, wlc, lblc and lblcr: an open connection counts as 256 that are opening or closing."""
    return active_of(server) * 255 + server.conns + server.others_conns


@leaf
def expected(server: Server) -> int:
    """IPVS's load of sed and nq: the open connections, the new one included."""
    return active_of(server) + 1


@leaf
def look_ahead(balancer: Balancer, service: Service, place: int) -> None:
    """Ask for the record of a member that a walk will come to."""
    if place + AHEAD < service.member_count:
        address = balancer.servers[service.members[place + AHEAD]].address
        prefetch(address)
        prefetch(address + 64)


@hot
def least_overhead(balancer: Balancer, service: Service) -> int:
    """The server with the least overhead for its weight, or NOBODY."""
    return least_loaded(balancer, service, False)


@leaf
def least_loaded(balancer: Balancer, service: Service, by_delay: bool) -> int:
    """The server with the least load for its weight, or NOBODY: its expected delay, or its overhead."""
    found, least, least_weight = NOBODY, 0, 0
    for place in range(service.member_count):
        look_ahead(balancer, service, place)
        weight = service.weights[place]
        number = service.members[place]
        server = balancer.servers[number]
        if weight == 0 or is_full(server):
            continue
        load = expected(server) if by_delay else overhead(server)
        if found == NOBODY or least * weight > load * least_weight:
            found, least, least_weight = number, load, weight
    return found
