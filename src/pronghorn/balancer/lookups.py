"""The tables of schedulers that hash: Maglev's, and conhash's rings. Made by the control plane while workers run.

A new table is written where no worker reads; then the service's pointer goes over to it. After changes to services and
servers `rebuild_lookups` makes those anew that are out of date: it takes milliseconds for each.

Rings are cut from a pool of RING_POINTS words, the first that is free and long enough: a service's ring, and the one
that takes its place, have as many words as points, and one.
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.conhash import POINTS, fill_ring
from pronghorn.balancer.schedulers.mh import fill_table
from pronghorn.balancer.services import search_stale_service
from pronghorn.balancer.tables import CONHASH, MEMBERS, MH, Balancer, Service
from pronghorn.compiled import Array, array_at, entry, fence, u32, u64

RING_POINTS = 1 << 22
"""Words for the rings of all services: 32 MiB of addresses."""

RING_MOST = 1 << 18
"""Points of one ring: 160 for each of 1,638 units of weight."""


def rebuild_lookups(balancer: Balancer) -> None:
    """Make new tables for services whose servers have changed.

    Called after the change by the thread that made it, while the worker runs.
    """
    number = search_stale_service(balancer, 0)
    while number >= 0:
        service = balancer.services[number]
        service.stale = 0
        if service.ports != 0:
            if service.scheduler == MH:
                _make_lookup(balancer, service)
            elif service.scheduler == CONHASH:
                _make_ring(balancer, service)
            if service.scheduler != CONHASH:
                service.ring = 0
        number = search_stale_service(balancer, number + 1)


def _scratch(balancer: Balancer) -> list[Array[u32]]:
    return [array_at(u32, balancer.scratch.address + 4 * MEMBERS * n) for n in range(4)]


def _make_lookup(balancer: Balancer, service: Service) -> None:
    """Write the service's spare Maglev table and let the worker use it."""
    servers, identities, turns, places = _scratch(balancer)
    list_members(balancer, service, servers, identities, turns)
    size = balancer.maglev_size
    first = balancer.lookups.address + 8 * size * service.index
    spare = first + 4 * size if service.lookup.address == first else first
    fill_table(array_at(u32, spare), size, servers, service.member_count, identities, turns, places)
    fence()
    service.lookup = array_at(u32, spare)


def _make_ring(balancer: Balancer, service: Service) -> None:
    """Write a new ring and let the worker use it. Without room for one there is none, and servers take turns."""
    servers, identities, units, points = _scratch(balancer)
    list_members(balancer, service, servers, identities, units)
    count, limit, room = service.member_count, RING_MOST, -1
    while room < 0 and limit > 2 * count:
        total = share_points(units, count, limit - count, points)
        room = find_room(balancer, total + 1)
        limit = min(limit, total) // 2
    start = 0
    if room >= 0:
        start = balancer.rings.address + 8 * room
        fill_ring(array_at(u64, start), servers, count, identities, points)
    fence()
    service.ring = start


@entry
def list_members(
    balancer: Balancer, service: Service, servers: Array[u32], identities: Array[u32], units: Array[u32]
) -> None:
    """The members' indexes and identities, and their weights divided by the greatest common divisor."""
    for place in range(service.member_count):
        number = service.members[place]
        servers[place], identities[place] = number, balancer.servers[number].identity
        units[place] = service.weights[place] // service.step


@entry
def share_points(units: Array[u32], count: int, limit: int, points: Array[u32]) -> int:
    """POINTS points for each unit, or fewer where that is more than `limit`; one at least. Returns how many in all."""
    wanted, total = 0, 0
    for place in range(count):
        wanted += POINTS * units[place]
    for place in range(count):
        mine = POINTS * units[place]
        if wanted > limit and mine > 0:
            mine = max(mine * limit // wanted, 1)
        points[place] = mine
        total += mine
    return total


@entry
def find_room(balancer: Balancer, words: int) -> int:
    """The first place in Balancer.rings with so many words that no service's ring has, or -1."""
    place = 0
    while place + words <= RING_POINTS:
        after = place
        for number in range(balancer.service_limit):
            ring = balancer.services[number].ring
            if ring != 0:
                start = (ring - balancer.rings.address) // 8
                end = start + array_at(u64, ring)[0] + 1
                if start < place + words and place < end:
                    after = max(after, end)
        if after == place:
            return place
        place = after
    return -1
