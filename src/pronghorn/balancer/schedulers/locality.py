"""What lblc and lblcr remember: which servers are for an address. And when those have too much.

One table of a worker serves all its services: CACHE records, found by a keyed hash in a window of WAYS. What has not
been used for a day (IPVS's lblc_expiration) is forgotten when somebody comes for it; a full window gives up the
record that was not used for the longest time. So memory and work are bounded, whatever addresses come.

IPVS keeps up to 16,384 records for each service and goes through them every half an hour.
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.least import active_of
from pronghorn.balancer.tables import TICK, Balancer, Locality, Server, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import entry, hashing, hot, leaf, load32, load64, sequence
from pronghorn.memory.hashtable import HashIndex
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6

CACHE = 16_384
"""Records of a worker; a power of two."""

WAYS = 8
"""Records that one address may have."""

EXPIRATION = 24 * 60 * 60
"""Seconds: IPVS's lblc_expiration and lblcr_expiration."""

_EXPIRED = EXPIRATION * 1_000_000_000 >> TICK
_DST4, _DST6 = IPv4.offset("dst"), IPv6.offset("dst_hi")


@leaf
def destination_of(packet: Packet) -> tuple[int, int]:
    """The destination address, raw."""
    if packet.family == 4:
        return 0, load32(packet.network + _DST4)
    return load64(packet.network + _DST6), load64(packet.network + _DST6 + 8)


@leaf
def first_way(balancer: Balancer, service: Service, hi: int, lo: int) -> int:
    """Index of the address's window of WAYS records."""
    secret = HashIndex(balancer.service_index).secret
    return (hashing.mix(hashing.mix(hi, lo, secret), service.index, secret) & CACHE - 1) // WAYS * WAYS


@hot
def find_locality(worker: Worker, balancer: Balancer, service: Service, hi: int, lo: int) -> int:
    """Index in Balancer.cache of the address's record, used now, or -1."""
    tick = worker.now >> TICK
    first = first_way(balancer, service, hi, lo)
    for number in range(first, first + WAYS):
        record = balancer.cache[number]
        if record.count != 0 and record.lo == lo and record.hi == hi and record.service == service.index:
            if sequence.difference(tick, record.used) >= _EXPIRED:
                record.count = 0
                return -1
            record.used = tick
            return number
    return -1


@hot
def add_locality(worker: Worker, balancer: Balancer, service: Service, hi: int, lo: int, server: int) -> None:
    """The address, of which there is no record, is that server's from now on."""
    tick = worker.now >> TICK
    first = first_way(balancer, service, hi, lo)
    chosen, longest = first, -1
    for number in range(first, first + WAYS):
        record = balancer.cache[number]
        if record.count == 0:
            chosen = number
            break
        unused = sequence.difference(tick, record.used)
        if unused > longest:
            chosen, longest = number, unused
    taken: Locality = balancer.cache[chosen]
    taken.hi, taken.lo, taken.service = hi, lo, service.index
    taken.used, taken.changed = tick, tick
    taken.servers[0] = server
    taken.count = 1


@entry
def forget_localities(balancer: Balancer, service: Service) -> None:
    """Begin anew for a service. Goes through the whole table: when its scheduler is set."""
    for number in range(CACHE):
        if balancer.cache[number].service == service.index:
            balancer.cache[number].count = 0


@hot
def has_too_much(balancer: Balancer, service: Service, server: Server) -> bool:
    """IPVS's rule: more open connections than its weight says, while somebody has less than half of theirs."""
    if active_of(server) <= server.weight:
        return False
    for place in range(service.member_count):
        other = balancer.servers[service.members[place]]
        if service.weights[place] > 0 and active_of(other) * 2 < other.weight and not is_full(other):
            return True
    return False
