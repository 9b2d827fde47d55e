"""The first pass over a burst: find the flow's memory before it is needed.

Only the two commonest shapes are worth it: IPv4 without options or fragments, IPv6 without extension headers, TCP or
UDP, no VLAN. Whatever is noted here is compared or set again by the ordinary way in, so a wrong guess costs time and
nothing else.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import flow_prefetch, flow_prepare
from pronghorn.compiled import leaf
from pronghorn.state.packet import PREPARED, Packet
from pronghorn.state.worker import Worker
from pronghorn.tcp.input import tcp_prefetch, tcp_prefetch_more, tcp_prepare
from pronghorn.wire.ethernet import HEADER, Ethernet
from pronghorn.wire.ipv4 import FRAGMENT_OFFSET, MORE_FRAGMENTS, PLAIN, IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_TCP, PROTOCOL_UDP

SHORTEST4 = 14 + 20 + 8
SHORTEST6 = 14 + 40 + 8


@leaf
def look_ahead(worker: Worker, packet: Packet) -> None:
    """Parse and hash a frame of a common shape, and ask for the line of the flow index it leads to."""
    data, octets = packet.data, packet.length
    if octets < SHORTEST4:
        return
    ethertype = Ethernet(data).ethertype
    network = data + HEADER
    if ethertype == ETHERTYPE_IPV4:
        ip = IPv4(network)
        protocol, header = ip.protocol, 20
        if ip.version_ihl != PLAIN or ip.fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0:
            return
    elif ethertype == ETHERTYPE_IPV6 and octets >= SHORTEST6:
        protocol, header = IPv6(network).next_header, 40
    else:
        return
    if protocol != PROTOCOL_TCP and protocol != PROTOCOL_UDP:
        return
    packet.network, packet.transport = network, network + header
    packet.family, packet.protocol = 4 if header == 20 else 6, protocol
    packet.flags |= PREPARED
    if worker.balancer != 0:
        flow_prepare(worker, packet)
    elif protocol == PROTOCOL_TCP:
        tcp_prepare(worker, packet)


@leaf
def look_again(worker: Worker, packet: Packet) -> None:
    """Some packets later: read the index's line, and ask for the flow's or the connection's."""
    if packet.flags & PREPARED == 0:
        return
    if worker.balancer != 0:
        flow_prefetch(worker, packet)
    elif packet.protocol == PROTOCOL_TCP:
        tcp_prefetch(worker, packet)


@leaf
def look_deeper(worker: Worker, packet: Packet) -> None:
    """Some packets later: read the connection, and ask for what it names."""
    if packet.flags & PREPARED != 0 and packet.protocol == PROTOCOL_TCP and worker.balancer == 0:
        tcp_prefetch_more(worker, packet)
