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

_KEY = 0x5851F42D4C957F2D


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
def identity_of(hi: int, lo: int, port: int) -> int:
    """What stands for a server here: 32 bits of its address and port, the same everywhere."""
    return hashing.mix(hashing.mix(hi, lo, _KEY), port, _KEY) & 0xFFFFFFFF


@leaf
def permutation(identity: int, size: int) -> tuple[int, int]:
    """Offset and skip of a server's permutation of the places."""
    offset = hashing.shift_right(hashing.mix(identity, 0, _KEY), 33) % size
    return offset, hashing.shift_right(hashing.mix(identity, 1, _KEY), 33) % (size - 1) + 1


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
                table[place] = member
                places[member] = place
                taken += 1
                if taken == size:
                    return
