"""What a service may have: connections, connections per client, connections, packets and octets a second.

A limit of connections is a quota of each worker, a rate is a token bucket of each worker. The control plane divides
the total over the workers by how much each was asked for (shares.py), and lowers before it raises, so that the total
holds at every moment. Connections per client are counted over all workers (clients.py).

A bucket's credit grows with time up to a tenth of a second's worth, and at least to one unit; whatever comes while it
is worth a unit passes and takes its whole size: packets of any length pass and the average still holds. Packets and
octets have a bucket for either direction. Octets are those of whole frames, as everywhere.

Packets of known connections are asked about only where their server is `watched`, which takes the place of the question
whether it was removed: others pay nothing.
"""

from __future__ import annotations

from pronghorn.balancer.clients import client_count, client_hash
from pronghorn.balancer.option_tables import Limits, RateBucket
from pronghorn.balancer.tables import Balancer, Service
from pronghorn.compiled import hot
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import (
    CLIENT_LIMIT,
    CONTINUE,
    SERVICE_LIMIT_CONNS,
    SERVICE_LIMIT_OCTETS,
    SERVICE_LIMIT_PACKETS,
    SERVICE_LIMIT_RATE,
)
from pronghorn.state.worker import Worker

SCALE = 64_000_000
"""Credit of one unit: so that a rate is 64 times what it is in a second, and can be divided over workers."""

_PACKETS, _OCTETS = Limits.offset("packets_in"), Limits.offset("octets_in")


@hot
def within_limits(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> int:
    """Whether the packet may open a connection. CONTINUE, or why it is dropped."""
    limits = balancer.limits[service.index]
    if limits.upper != 0 and service.conns >= limits.quota:
        limits.full += 1
        return SERVICE_LIMIT_CONNS
    if limits.per_client != 0:
        count = client_count(balancer, client_hash(balancer, service, limits, packet))
        if count >= limits.per_client:
            limits.crowded += 1
            return CLIENT_LIMIT
    if not take(limits.connections, worker.now, 1):
        return SERVICE_LIMIT_RATE
    return meter(worker, limits, packet, 0)


@hot
def meter(worker: Worker, limits: Limits, packet: Packet, direction: int) -> int:
    """Whether the packet is within the rates of its direction. CONTINUE, or why it is dropped."""
    if not take(RateBucket(limits.address + _PACKETS + RateBucket.SIZE * direction), worker.now, 1):
        return SERVICE_LIMIT_PACKETS
    if not take(RateBucket(limits.address + _OCTETS + RateBucket.SIZE * direction), worker.now, packet.length):
        return SERVICE_LIMIT_OCTETS
    return CONTINUE


@hot
def take(bucket: RateBucket, now: int, units: int) -> bool:
    """Take so many units, all of them if there is credit for one; False: there is not."""
    rate = bucket.rate
    bucket.asked += units
    if rate == 0:
        return True
    time = now // 1000
    credit, passed = bucket.credit, min(time - bucket.at, bucket.longest)
    if passed > 0:
        credit = min(credit + passed * rate, bucket.cap)
        bucket.at = time
    if credit < SCALE:
        bucket.credit = credit
        bucket.refused += 1
        return False
    bucket.credit = credit - units * SCALE
    return True
