"""How many connections a client has with a service: counted exactly, over all workers, in a table that never grows.

The table is one per engine, for a client's packets reach every worker. A place is one word, a tag of 40 bits and a
count of 24, which changes by compare-and-exchange alone; a count of 0 makes it free. Eight places in a cache line
compete for a client; one for whom all are taken is not counted, and is let in: whoever can fill a line has so many
addresses that a limit for each would not stop him. Two workers that meet a new client in the same moment may take a
place each; then either counts its own until both are free again.

What a connection counts for is remembered with it (ties.py), so that it is given back whatever becomes of the limit.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import SRC4, SRC6_HI, SRC6_LO
from pronghorn.balancer.option_tables import Limits
from pronghorn.balancer.tables import Balancer, Service
from pronghorn.compiled import compare_exchange64, hashing, hot, leaf, load32, load64
from pronghorn.memory.hashtable import HashIndex
from pronghorn.state.packet import Packet

PLACES = 1 << 20
"""Places of an engine: 8 MiB."""

WAYS = 8
_COUNT = (1 << 24) - 1
_TRIES = 64
"""Times that other workers may come first."""


@leaf
def client_hash(balancer: Balancer, service: Service, limits: Limits, packet: Packet) -> int:
    """64 bits for who sent the packet."""
    network, secret = packet.network, HashIndex(balancer.index).secret
    hi, lo = 0, 0
    if packet.family == 4:
        lo = load32(network + SRC4) & limits.mask_lo
    else:
        hi, lo = load64(network + SRC6_HI) & limits.mask_hi, load64(network + SRC6_LO) & limits.mask_lo
    return hashing.mix(hashing.mix(hi, lo, secret), service.index | packet.family << 16, secret)


@hot
def find_client(balancer: Balancer, hash: int) -> int:
    """The place of the client; a free one, if it has none, and -1 if there is none of those either."""
    first, free = (hash & balancer.client_mask) * WAYS, -1
    for place in range(first, first + WAYS):
        word = balancer.clients[place]
        if word & _COUNT == 0:
            free = place
        elif word & ~_COUNT == hash & ~_COUNT:
            return place
    return free


@hot
def client_count(balancer: Balancer, hash: int) -> int:
    """Connections that the client has."""
    place = find_client(balancer, hash)
    return 0 if place < 0 else balancer.clients[place] & _COUNT


@hot
def add_client(balancer: Balancer, hash: int) -> int:
    """Count one more. Returns the place, or -1 when it could not be counted."""
    for _ in range(_TRIES):
        place = find_client(balancer, hash)
        if place < 0:
            return -1
        word = balancer.clients[place]
        count, tag = word & _COUNT, word & ~_COUNT
        if count != 0 and tag != hash & ~_COUNT:
            continue  # somebody else has just taken it
        if count == _COUNT:
            return -1
        if compare_exchange64(balancer.clients.address + 8 * place, word, hash & ~_COUNT | (count + 1)):
            return place
    return -1


@hot
def release_client(balancer: Balancer, place: int) -> None:
    """One less."""
    address = balancer.clients.address + 8 * place
    word = load64(address)
    while not compare_exchange64(address, word, word - 1):
        word = load64(address)
