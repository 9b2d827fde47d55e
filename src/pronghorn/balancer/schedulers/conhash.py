"""Consistent hashing on a weighted ring, as DPVS's `conhash`: when servers change, few clients move.

A server has 160 points on a ring of 32-bit numbers for each unit of its weight, after division by the weights'
greatest common divisor; where they lie is a hash of its address and port. A connection belongs to the first point from
its hash on, round about (Karger et al., "Consistent Hashing and Random Trees", STOC 1997). What is hashed is the
service's hash target: the source address, that and the port, or a QUIC connection id.

A point is one word: its number << 32, its server. The ring's first word counts its points. As with Maglev, a ring is
written while the worker reads the old one; where a point's server takes no connections any more or is full, those of
the next points are asked, then the members in a row. (DPVS: no server.)

Where room for points is short a ring has fewer, each server at least one (lookups.py).
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.rr import choose_rr
from pronghorn.balancer.schedulers.targets import hash_target, takes, usable_from
from pronghorn.balancer.tables import Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import Array, array_at, entry, hashing, hot, leaf, u32, u64
from pronghorn.state.packet import Packet

POINTS = 160
"""For each unit of weight."""

PROBES = 64
"""Points that are looked at for one connection."""

_KEY = 0x2127599BF4325C37


@hot
def choose_conhash(balancer: Balancer, service: Service, packet: Packet) -> int:
    """The server of the first point, or NOBODY."""
    if service.ring == 0:
        return choose_rr(balancer, service)
    ring = array_at(u64, service.ring)
    count = ring[0]
    hash = hashing.shift_right(hash_target(service, packet, balancer.maglev_seed), 32)
    point = first_point(ring, count, hash)
    for _ in range(min(PROBES, count)):
        number = server_at_point(ring[1 + point])
        if takes(balancer, service, number) and not is_full(balancer.servers[number]):
            return number
        point = point + 1 if point + 1 < count else 0
    return usable_from(balancer, service, hash % service.member_count)


@leaf
def server_at_point(word: int) -> int:
    """Index of the point's server."""
    return word & 0xFFFFFFFF


@hot
def first_point(ring: Array[u64], count: int, hash: int) -> int:
    """Index of the first of `count` points whose number is at least `hash`; 0 when there is none."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if hashing.shift_right(ring[1 + middle], 32) < hash:
            low = middle + 1
        else:
            high = middle
    return low if low < count else 0


@leaf
def point_of(identity: int, replica: int) -> int:
    """Number of a server's point: 32 bits."""
    return hashing.shift_right(hashing.mix(identity, replica, _KEY), 32)


@entry
def fill_ring(ring: Array[u64], servers: Array[u32], count: int, identities: Array[u32], points: Array[u32]) -> None:
    """Give each of `count` servers `points[n]` points, in order of their numbers."""
    total = 0
    for member in range(count):
        for replica in range(points[member]):
            ring[1 + total] = hashing.wrap(point_of(identities[member], replica) << 32 | servers[member])
            total += 1
    ring[0] = total
    sort_points(ring, total)


@hot
def sort_points(ring: Array[u64], count: int) -> None:
    """Heapsort: in place, and as fast on every order."""
    for start in range(count // 2 - 1, -1, -1):
        sift(ring, start, count)
    for last in range(count - 1, 0, -1):
        ring[1], ring[1 + last] = ring[1 + last], ring[1]
        sift(ring, 0, last)


@hot
def sift(ring: Array[u64], start: int, count: int) -> None:
    """Let the point at `start` sink to its place in the heap of the first `count`."""
    sinking = ring[1 + start]
    place = start
    while 2 * place + 1 < count:
        child = 2 * place + 1
        if child + 1 < count and is_less(ring[1 + child], ring[2 + child]):
            child += 1
        if not is_less(sinking, ring[1 + child]):
            break
        ring[1 + place] = ring[1 + child]
        place = child
    ring[1 + place] = sinking


@leaf
def is_less(one: int, other: int) -> bool:
    """Of two words as unsigned numbers."""
    return hashing.shift_right(one, 1) < hashing.shift_right(other, 1) or (
        hashing.shift_right(one, 1) == hashing.shift_right(other, 1) and one & 1 < other & 1
    )
