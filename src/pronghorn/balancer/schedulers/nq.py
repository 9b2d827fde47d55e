"""Never queue: the first server without open connections; where there is none, as `sed` (IPVS's `nq`)."""

from __future__ import annotations

from pronghorn.balancer.schedulers.least import active_of, look_ahead
from pronghorn.balancer.schedulers.sed import choose_sed
from pronghorn.balancer.tables import Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot


@hot
def choose_nq(balancer: Balancer, service: Service) -> int:
    """The server, or NOBODY."""
    for place in range(service.member_count):
        look_ahead(balancer, service, place)
        number = service.members[place]
        server = balancer.servers[number]
        if active_of(server) == 0 and service.weights[place] > 0 and not is_full(server):
            return number
    return choose_sed(balancer, service)
