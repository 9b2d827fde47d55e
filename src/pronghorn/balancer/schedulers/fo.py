"""Failover: all connections to the server of the largest weight that is not full (IPVS's `fo`)."""

from __future__ import annotations

from pronghorn.balancer.tables import NOBODY, Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot


@hot
def choose_fo(balancer: Balancer, service: Service) -> int:
    """The server, or NOBODY."""
    found, most = NOBODY, 0
    for place in range(service.member_count):
        weight = service.weights[place]
        number = service.members[place]
        if weight > most and not is_full(balancer.servers[number]):
            found, most = number, weight
    return found
