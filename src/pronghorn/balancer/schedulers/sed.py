"""Shortest expected delay: the least (open connections + 1) / weight (IPVS's `sed`)."""

from __future__ import annotations

from pronghorn.balancer.schedulers.least import expected, look_ahead
from pronghorn.balancer.tables import NOBODY, Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot


@hot
def choose_sed(balancer: Balancer, service: Service) -> int:
    """The server, or NOBODY."""
    found, least, least_weight = NOBODY, 0, 0
    for place in range(service.member_count):
        look_ahead(balancer, service, place)
        weight = service.weights[place]
        number = service.members[place]
        server = balancer.servers[number]
        if weight == 0 or is_full(server):
            continue
        load = expected(server)
        if found == NOBODY or least * weight > load * least_weight:
            found, least, least_weight = number, load, weight
    return found
