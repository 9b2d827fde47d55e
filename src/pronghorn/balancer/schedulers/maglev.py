"""Maglev hashing: a client's connections go to the same server on every worker and machine, and hardly any move when
the servers change (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4).

Each server has a permutation of the table's places, of which the size is a prime: (offset + n * skip) mod size,
both drawn from a hash of its address and port. The servers take turns; in its turn a server takes the first place
of its permutation that is still free. With weights, a turn is as many places as the weight divided by the greatest
common divisor (as IPVS's `mh` does).

A client is its address; ports do not count, so all connections of a client meet the same server.

Making a table takes milliseconds, so the worker does not wait for it: `fill_table` writes one that no worker reads, the
control plane then lets Service.lookup point to it, and until then the old one serves, in which those that take no
connections any more are passed over.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import SRC4, SRC6_HI, SRC6_LO
from pronghorn.balancer.tables import NOBODY, SERVER_UP, Balancer, Service
from pronghorn.compiled import Array, entry, hashing, hot, leaf, load32, load64, u32
from pronghorn.state.packet import Packet

PROBES = 64
"""Places of a table that is out of date that are looked at for one client."""

_KEY = 0x5851F42D4C957F2D


@hot
def choose_maglev(balancer: Balancer, service: Service, packet: Packet) -> int:
    """The server at the client's place, or NOBODY."""
    if service.lookup.address == 0:
        return NOBODY
    network = packet.network
    if packet.family == 4:
        hash = hashing.mix(load32(network + SRC4), 0, balancer.maglev_seed)
    else:
        hash = hashing.mix(load64(network + SRC6_HI), load64(network + SRC6_LO), balancer.maglev_seed)
    size = balancer.maglev_size
    place = hashing.shift_right(hash, 33) % size
    for _ in range(PROBES):
        number = service.lookup[place]
        if number != NOBODY:
            server = balancer.servers[number]
            if server.state == SERVER_UP and server.weight > 0 and server.service == service.index:
                return number
        place = place + 1 if place + 1 < size else 0
    return NOBODY


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
    while True:
        for member in range(count):
            _, skip = permutation(identities[member], size)
            for _ in range(turns[member]):
                place = places[member]
                while table[place] != NOBODY:
                    place = (place + skip) % size
                table[place] = servers[member]
                places[member] = place
                taken += 1
                if taken == size:
                    return
