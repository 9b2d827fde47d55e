"""Destination hashing: the destination address says which server (IPVS's `dh`), for services of many addresses.

IPVS deals 256 buckets out to the servers in turn, the one that was added last first, whatever their weights. Where the
bucket's server takes no connections there is none.
"""

from __future__ import annotations

from pronghorn.balancer.schedulers.targets import folded_destination, hash_32, is_usable
from pronghorn.balancer.tables import NOBODY, Balancer, Service
from pronghorn.compiled import hot
from pronghorn.state.packet import Packet

BITS = 8


@hot
def choose_dh(balancer: Balancer, service: Service, packet: Packet) -> int:
    """The server of the address's bucket, or NOBODY."""
    count = service.member_count
    place = count - 1 - hash_32(folded_destination(packet), BITS) % count
    return service.members[place] if is_usable(balancer, service, place) else NOBODY
