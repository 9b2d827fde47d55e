"""Maglev hashing: a client's connections go to the same server on every worker and machine, and hardly any move when
the servers change (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4).

Each server has a permutation of the table's places, of which the size is a prime: (offset + n * skip) mod size,
both drawn from a hash of its address and port. The servers take turns; in its turn a server takes the first place
of its permutation that is still free. With weights, a turn is as many places as the weight divided by the greatest
common divisor (as IPVS's `mh` does, whose table has 4,093 places and whose hash is another one).

A client is its address, so all its connections meet the same server; with the flag `mh-port` its ports count as well.

Making a table takes milliseconds, so the worker does not wait for it: `fill_table` writes one that no worker reads, the
control plane then lets Service.lookup point to it, and until then the old one serves, in which those that take no
connections any more are passed over, as round robin does while there is none. A client whose server is full gets none,
as in IPVS, unless the flag `mh-fallback` is set: then the next places are asked, and in the end the members in a row.
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.rendezvous import distance_of
from pronghorn.balancer.schedulers.rr import choose_rr
from pronghorn.balancer.schedulers.targets import hash_source, source_port, takes, usable_from
from pronghorn.balancer.tables import MH_FALLBACK, MH_PORT, NOBODY, Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import Array, entry, hashing, hot, leaf, u32
from pronghorn.state.packet import Packet

PROBES = 64
"""Places that are looked at for one client."""

LAST = 32
"""The paper's rounds end when but one in so many places is taken."""

_KEY = 0x5851F42D4C957F2D


@hot
def choose_mh(balancer: Balancer, service: Service, packet: Packet) -> int:
    """The server at the client's place, or NOBODY."""
    if service.lookup.address == 0:
        return choose_rr(balancer, service)
    port = source_port(packet) if service.options & MH_PORT != 0 else 0
    hash = hashing.shift_right(hash_source(packet, port, balancer.maglev_seed), 33)
    size = balancer.maglev_size
    place = hash % size
    for _ in range(PROBES):
        number = service.lookup[place]
        if number != NOBODY and takes(balancer, service, number):
            if not is_full(balancer.servers[number]):
                return number
            if service.options & MH_FALLBACK == 0:
                return NOBODY
        place = place + 1 if place + 1 < size else 0
    return usable_from(balancer, service, hash % service.member_count)


@leaf
def identity_of(hi: int, lo: int, port: int) -> int:
    """What stands for a server here: 32 bits of its address and port, the same everywhere."""
    return hashing.mix(hashing.mix(hi, lo, _KEY), port, _KEY) & 0xFFFFFFFF


@leaf
def permutation(identity: int, size: int) -> tuple[int, int]:
    """Offset and skip of a server's permutation of the places."""
    offset = hashing.shift_right(hashing.mix(identity, 0, _KEY), 33) % size
    return offset, hashing.shift_right(hashing.mix(identity, 1, _KEY), 33) % (size - 1) + 1


@entry
def fill_table(
    table: Array[u32], size: int, servers: Array[u32], count: int, identities: Array[u32], turns: Array[u32],
    places: Array[u32],
) -> None:  # fmt: skip
    """Give each of `size` places to one of `count` servers, of which each takes `turns[n]` places per round.

    `places` is scratch, one for each server. With no turns at all every place is NOBODY's.
    """
    taken, all_turns = 0, 0
    for place in range(size):
        table[place] = NOBODY
    for member in range(count):
        offset, _ = permutation(identities[member], size)
        places[member] = offset
        all_turns += turns[member]
    if all_turns == 0:
        return
    while taken < size - size // LAST:
        for member in range(count):
            _, skip = permutation(identities[member], size)
            for _ in range(turns[member]):
                if taken == size - size // LAST:
                    break
                place = places[member]
                while table[place] != NOBODY:
                    place = (place + skip) % size
                table[place] = servers[member]
                places[member] = place
                taken += 1
    for place in range(size):
        if table[place] == NOBODY:
            table[place] = servers[_nearest(place, count, identities, turns)]


@hot
def _nearest(place: int, count: int, identities: Array[u32], turns: Array[u32]) -> int:
    """The server that is nearest to a place; one of them takes turns."""
    best, best_distance = 0, 0
    for member in range(count):
        if turns[member] == 0:
            continue
        distance = distance_of(hashing.mix(identities[member], place, _KEY))
        if turns[best] == 0 or best_distance == 0 or distance * turns[best] < best_distance * turns[member]:
            best, best_distance = member, distance
    return best
