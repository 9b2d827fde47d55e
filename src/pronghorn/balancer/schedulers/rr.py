"""Round robin: the servers in turn, those of weight 0 and those that are full passed over (IPVS's `rr`)."""

from __future__ import annotations

from pronghorn.balancer.tables import NOBODY, Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot


@hot
def choose_rr(balancer: Balancer, service: Service) -> int:
    """The next server that takes connections, or NOBODY. Remembers it in `current`."""
    count = service.member_count
    member = service.current
    for _ in range(count):
        if member >= count:
            member = 0
        member += 1
        if service.weights[member - 1] > 0:
            number = service.members[member - 1]
            if not is_full(balancer.servers[number]):
                service.current = member
                return number
    return NOBODY
