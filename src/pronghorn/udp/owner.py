"""Which worker a datagram belongs to: one that has its port.

Every worker has its own sockets. When this one has the port and its device has a queue per worker, the device has
decided; else of the workers that have it, one by a hash of the flow, so that sockets bound on several workers share.

Left out: a connected socket on one worker does not draw its flow away from others that have the same port.
"""

from __future__ import annotations

from pronghorn.compiled import count_ones, hot, leaf, load_be16, load_be32, trailing_zeros
from pronghorn.compiled.hashing import mix, mix4
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import udp_of
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6


@hot
def datagram_owner(worker: Worker, packet: Packet) -> int:
    """Index of a worker that has the UDP packet's destination port; -1: none has."""
    users = udp_of(worker).users[load_be16(packet.transport + 2)]
    if users == 0:
        return -1
    if users >> worker.index & 1 != 0 and worker.ports[packet.port].queues >= worker.workers:
        return worker.index
    left = (packet_flow(worker, packet) & 0xFFFF_FFFF) * count_ones(users) >> 32
    while left > 0:
        users &= users - 1
        left -= 1
    return trailing_zeros(users)


@leaf
def packet_flow(worker: Worker, packet: Packet) -> int:
    """Hash of a TCP or UDP packet's addresses and ports, the same on every worker."""
    ports = load_be32(packet.transport)
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        return mix(ip4.src << 32 | ip4.dst, ports, worker.secret)
    ip6 = IPv6(packet.network)
    return mix(mix4(ip6.src_hi, ip6.src_lo, ip6.dst_hi, ip6.dst_lo, worker.secret), ports, worker.secret)
