"""Source hashing: a client's address says which server (IPVS's `sh`).

IPVS deals 256 buckets out to the servers, to each as many in a row as its weight says and at least one, over and over
again, the server that was added last first. Here nobody writes the buckets down: counting through the weights finds
the one that is asked for, and is always up to date. With more than 256 servers, or larger weights, the last ones have
no bucket.

Flags: with `sh-port` the source port counts too. Where the bucket's server takes no connections there is none, unless
`sh-fallback` is set: then the buckets after it are asked.
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.targets import folded_source, hash_32, is_usable, source_port
from pronghorn.balancer.tables import NOBODY, SH_FALLBACK, SH_PORT, Balancer, Service
from pronghorn.compiled import hot, leaf
from pronghorn.state.packet import Packet

BITS = 8
BUCKETS = 1 << BITS


@hot
def choose_sh(balancer: Balancer, service: Service, packet: Packet) -> int:
    """The server of the client's bucket, or NOBODY."""
    port = source_port(packet) if service.options & SH_PORT != 0 else 0
    bucket = hash_32(folded_source(packet) + port, BITS)
    place, left = owner(service, bucket)
    if is_usable(balancer, service, place):
        return service.members[place]
    if service.options & SH_FALLBACK == 0:
        return NOBODY
    bucket = 2 * bucket & BUCKETS - 1  # IPVS adds the bucket's number as an offset to the hash that gave it
    place, left = owner(service, bucket)
    walked = 0
    while walked < BUCKETS:
        if is_usable(balancer, service, place):
            return service.members[place]
        steps = min(left, BUCKETS - bucket)
        walked, bucket = walked + steps, bucket + steps
        if bucket == BUCKETS:  # the deal begins anew at the first bucket, whoever had the last
            bucket, place = 0, service.member_count - 1
        else:
            place = place - 1 if place > 0 else service.member_count - 1
        left = buckets_of(service, place)
    return NOBODY


@leaf
def buckets_of(service: Service, place: int) -> int:
    """Buckets in a row of the member at that place."""
    return max(service.weights[place], 1)


@hot
def owner(service: Service, bucket: int) -> tuple[int, int]:
    """The member that the bucket falls to, and how many buckets in a row, from this one on, are its."""
    count, total = service.member_count, 0
    for place in range(count):
        total += buckets_of(service, place)
    bucket %= total
    place = count - 1
    while bucket >= buckets_of(service, place):
        bucket -= buckets_of(service, place)
        place -= 1
    return place, buckets_of(service, place) - bucket
