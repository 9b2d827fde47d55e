"""Maglev hashing: a client's connections go to the same server on every worker and machine, and hardly any move when
the servers change (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4).

Each server has a permutation of the table's places, of which the size is a prime: (offset + n * skip) mod size,
both drawn from a hash of its address and port. The servers take turns; in its turn a server takes the first place
of its permutation that is still free. With weights, a turn is as many places as the weight divided by the greatest
common divisor (as IPVS's `mh` does).

A client is its address; ports do not count, so all connections of a client meet the same server.

`fill_table` writes a table that no worker reads yet; the control plane then lets Service.lookup point to it.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import SRC4, SRC6_HI, SRC6_LO
from pronghorn.balancer.tables import NOBODY, Balancer, Service
from pronghorn.compiled import Array, hashing, hot, leaf, load32, load64, u16, u32
from pronghorn.state.packet import Packet

_SKIP = 0x5851F42D4C957F2D
_BITS = 0x7FFFFFFF


@hot
def choose_maglev(balancer: Balancer, service: Service, packet: Packet) -> int:
    """The member at the client's place, or NOBODY."""
    if service.lookup.address == 0:
        return NOBODY
    network = packet.network
    if packet.family == 4:
        hash = hashing.mix(load32(network + SRC4), 0, balancer.maglev_seed)
    else:
        hash = hashing.mix(load64(network + SRC6_HI), load64(network + SRC6_LO), balancer.maglev_seed)
    return service.lookup[hashing.shift_right(hash, 33) % balancer.maglev_size]


@leaf
def _offset(identity: int, size: int) -> int:
    return hashing.shift_right(hashing.mix(identity, 0, _SKIP), 33) % size


@leaf
def _skip(identity: int, size: int) -> int:
    return hashing.shift_right(hashing.mix(identity, 1, _SKIP), 33) % (size - 1) + 1


@hot
def fill_table(
    table: Array[u16], size: int, count: int, identities: Array[u32], turns: Array[u32], places: Array[u32]
) -> None:
    """Give each of `size` places to one of `count` members, of which each takes `turns[member]` places per round.

    `places` is scratch, one for each member. With no turns at all every place is NOBODY's.
    """
    taken, all_turns = 0, 0
    for place in range(size):
        table[place] = NOBODY
    for member in range(count):
        places[member] = _offset(identities[member], size)
        all_turns += turns[member]
    if all_turns == 0:
        return
    while True:
        for member in range(count):
            skip = _skip(identities[member], size)
            for _ in range(turns[member]):
                place = places[member]
                while table[place] != NOBODY:
                    place = (place + skip) % size
                table[place] = member
                places[member] = place
                taken += 1
                if taken == size:
                    return
