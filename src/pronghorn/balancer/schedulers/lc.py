"""Least connections: the server with the least overhead, whatever the weights, unless 0 (IPVS's `lc`)."""

from __future__ import annotations

from pronghorn.balancer.schedulers.least import look_ahead, overhead
from pronghorn.balancer.tables import NOBODY, Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot


@hot
def choose_lc(balancer: Balancer, service: Service) -> int:
    """The server, or NOBODY."""
    found, least = NOBODY, 0
    for place in range(service.member_count):
        look_ahead(balancer, service, place)
        number = service.members[place]
        server = balancer.servers[number]
        if service.weights[place] == 0 or is_full(server):
            continue
        load = overhead(server)
        if found == NOBODY or load < least:
            found, least = number, load
    return found
