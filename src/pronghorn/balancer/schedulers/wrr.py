"""Weighted round robin, interleaved: the sequence of IPVS's `wrr`.

The members are passed over and over again; in each pass those are chosen whose weight reaches a threshold, which
begins at the largest weight and sinks by the weights' greatest common divisor, pass by pass, then begins again.
With weights 4, 3, 2 for A, B, C: A A B A B C A B C.

A pass finds at least the members of the largest weight, so a choice looks at each member twice at most.
"""

from __future__ import annotations

from pronghorn.balancer.tables import NOBODY, Service
from pronghorn.compiled import hot


@hot
def choose_wrr(service: Service) -> int:
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
            service.current, service.threshold = member, threshold
            return service.members[member - 1]
    return NOBODY
