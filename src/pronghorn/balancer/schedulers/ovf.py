"""Overflow: the server of the largest weight until it has more open connections than its weight says, then the next
(IPVS's `ovf`). Where all of them have, nobody."""

from __future__ import annotations

from pronghorn.balancer.schedulers.least import active_of
from pronghorn.balancer.tables import NOBODY, Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot


@hot
def choose_ovf(balancer: Balancer, service: Service) -> int:
    """The server, or NOBODY."""
    found, most = NOBODY, 0
    for place in range(service.member_count):
        weight = service.weights[place]
        if weight <= most:
            continue
        number = service.members[place]
        server = balancer.servers[number]
        if active_of(server) <= weight and not is_full(server):
            found, most = number, weight
    return found
