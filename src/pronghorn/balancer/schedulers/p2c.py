"""Power of two choices: of two servers chosen at random, the one with the lesser (connections + 1) / weight.

Two looks do nearly as well as a look at all of them, and workers that know late of each other's choices do not all
run to the same server (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.targets import is_usable, usable_from
from pronghorn.balancer.tables import Balancer, Service
from pronghorn.compiled import hot, leaf
from pronghorn.state.worker import Worker, random_number

DRAWS = 8
"""Members that are drawn for two that take connections."""


@hot
def choose_p2c(worker: Worker, balancer: Balancer, service: Service) -> int:
    """The server, or NOBODY."""
    count = service.member_count
    first = -1
    for _ in range(DRAWS):
        place = random_number(worker) % count
        if place != first and is_usable(balancer, service, place):
            if first >= 0:
                return service.members[lesser(balancer, service, first, place)]
            first = place
    if first >= 0:
        return service.members[first]
    return usable_from(balancer, service, random_number(worker) % count)


@leaf
def lesser(balancer: Balancer, service: Service, first: int, second: int) -> int:
    """Of two members the one with less load for its weight; the first of equals."""
    one, other = balancer.servers[service.members[first]], balancer.servers[service.members[second]]
    load = (one.conns + one.others_conns + 1) * service.weights[second]
    return second if load > (other.conns + other.others_conns + 1) * service.weights[first] else first
