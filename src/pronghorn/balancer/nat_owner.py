"""Which worker a packet of NAT belongs to, requests and replies alike.

With NAT the client's end stays what it is on both sides, so the worker is chosen by a hash of it: of a request's
source, and of a reply's destination. Which of the two a packet is, its destination tells: requests go to a service,
replies to none and to no address of ours. On devices with a receive queue per worker this moves packets between
workers, which is why it is done only where there is (or was) a server with this method.

A connection that was open before its service got such a server stays where it is: its worker knows it.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import DST6_HI, DST6_LO, SRC4, SRC6_HI, SRC6_LO, find_flow
from pronghorn.balancer.services import find_service
from pronghorn.balancer.tables import Balancer
from pronghorn.compiled import hashing, hot, leaf, load16, load32, load64
from pronghorn.net.addresses import is_local4, is_local6
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6

_DST4 = IPv4.offset("dst")


@hot
def nat_owner(worker: Worker, balancer: Balancer, packet: Packet) -> int:
    """Index of the worker that handles the TCP or UDP packet, which is prepared; -1: other rules say."""
    service = find_service(balancer, packet)
    if service >= 0:
        if balancer.services[service].nat == 0:
            return -1
        return worker.index if find_flow(balancer, packet) >= 0 else source_owner(worker, packet)
    if packet.family == 4:
        if is_local4(worker, IPv4(packet.network).dst):
            return -1
        return end_owner(worker, 0, load32(packet.network + _DST4), load16(packet.transport + 2))
    ip = IPv6(packet.network)
    if is_local6(worker, ip.dst_hi, ip.dst_lo):
        return -1
    hi, lo = load64(packet.network + DST6_HI), load64(packet.network + DST6_LO)
    return end_owner(worker, hi, lo, load16(packet.transport + 2))


@leaf
def source_owner(worker: Worker, packet: Packet) -> int:
    """The worker by the packet's source address and port."""
    if packet.family == 4:
        return end_owner(worker, 0, load32(packet.network + SRC4), load16(packet.transport))
    hi, lo = load64(packet.network + SRC6_HI), load64(packet.network + SRC6_LO)
    return end_owner(worker, hi, lo, load16(packet.transport))


@leaf
def end_owner(worker: Worker, hi: int, lo: int, port: int) -> int:
    """The worker by a client's address and port, both as they lie on the wire."""
    return (hashing.mix(hashing.mix(hi, lo, worker.secret), port, worker.secret) >> 8 & 0xFFFF_FFFF) % worker.workers
