"""Weighted round robin, interleaved: the sequence of IPVS's `wrr`.

The members are passed over and over again; in each pass those are chosen whose weight reaches a threshold, which
begins at the largest weight and sinks by the weights' greatest common divisor, pass by pass, then begins again.
With weights 4, 3, 2 for A, B, C: A A B A B C A B C.

A pass finds at least the members of the largest weight, so a choice looks at each member twice at most. Only where
those are full it may not, and then the threshold goes at once to the largest weight of those that are not: the passes
between would find nobody.
"""

from __future__ import annotations

from pronghorn.balancer.tables import NOBODY, Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hot


@hot
def choose_wrr(balancer: Balancer, service: Service) -> int:
    """The next server, or NOBODY. Remembers the place in `current` and `threshold`."""
    count, largest = service.member_count, service.largest
    if largest == 0:
        return NOBODY
    member, threshold = service.current, service.threshold
    for _ in range(2 * count):
        if member >= count:
            member = 0
            threshold = threshold - service.step if threshold > service.step else largest
        member += 1
        if service.weights[member - 1] >= threshold:
            number = service.members[member - 1]
            if not is_full(balancer.servers[number]):
                service.current, service.threshold = member, threshold
                return number
    return largest_not_full(balancer, service)


@hot
def largest_not_full(balancer: Balancer, service: Service) -> int:
    """The first of those with the largest weight that are not full, or NOBODY. The passes go on from there."""
    found, most = -1, 0
    for place in range(service.member_count):
        weight = service.weights[place]
        if weight > most and not is_full(balancer.servers[service.members[place]]):
            found, most = place, weight
    if found < 0:
        return NOBODY
    service.current, service.threshold = found + 1, most
    return service.members[found]
