"""Full NAT: both addresses change, so replies come back through the balancer from any network.

    client:cport -> service:vport   becomes   local:lport -> server:sport, and the reverse on the way back.

A flow holds what its packets become, and what that does to a checksum (RFC 1624), worked out once: a packet costs
two stores and two additions. Over IPv6 there is no header checksum, and the addresses are copied from the flow's
second line.

A packet whose checksum is partial (the port fills it) has only the pseudo header in its checksum field, so only the
addresses' change goes there, and in the uncomplemented form.
"""

from __future__ import annotations

from pronghorn.balancer.tables import Flow
from pronghorn.compiled import hot, leaf, store32, store64
from pronghorn.state.packet import CHECKSUM_PARTIAL, Packet
from pronghorn.wire.checksum import ONES, apply, apply_udp, change_address6, fold, halves
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.tcp import TCP
from pronghorn.wire.udp import UDP

_SRC4 = IPv4.offset("src")
_SRC6_HI, _SRC6_LO = IPv6.offset("src_hi"), IPv6.offset("src_lo")
_DST6_HI, _DST6_LO = IPv6.offset("dst_hi"), IPv6.offset("dst_lo")
_ONE_HOP = 0xFEFF  # the word of TTL and protocol loses 0x0100


@leaf
def rewrite4(packet: Packet, flow: Flow) -> None:
    """Make the IPv4 packet what the flow says, one hop further: addresses, ports, TTL and both checksums, in place."""
    ip = IPv4(packet.network)
    ip.ttl -= 1
    ip.checksum = apply(ip.checksum, flow.change + _ONE_HOP)
    store64(packet.network + _SRC4, flow.new_addresses)
    rewrite_transport(packet, flow)


@leaf
def rewrite6(packet: Packet, flow: Flow) -> None:
    """The same for an IPv6 packet."""
    network = packet.network
    IPv6(network).hop_limit -= 1
    store64(network + _SRC6_HI, flow.new_src_hi)
    store64(network + _SRC6_LO, flow.new_src_lo)
    store64(network + _DST6_HI, flow.new_dst_hi)
    store64(network + _DST6_LO, flow.new_dst_lo)
    rewrite_transport(packet, flow)


@leaf
def rewrite_transport(packet: Packet, flow: Flow) -> None:
    """Ports and checksum of layer 4."""
    if packet.flags & CHECKSUM_PARTIAL != 0:
        rewrite_partial(packet, flow)
    elif packet.protocol == PROTOCOL_TCP:
        tcp = TCP(packet.transport)
        tcp.checksum = apply(tcp.checksum, flow.change_all)
    else:
        udp = UDP(packet.transport)
        udp.checksum = apply_udp(udp.checksum, flow.change_all)
    store32(packet.transport, flow.new_ports)


@hot
def rewrite_partial(packet: Packet, flow: Flow) -> None:
    """The checksum that a port will fill: it holds the pseudo header's sum."""
    if packet.protocol == PROTOCOL_TCP:
        tcp = TCP(packet.transport)
        tcp.checksum = apply(tcp.checksum ^ ONES, flow.change) ^ ONES
    else:
        udp = UDP(packet.transport)
        udp.checksum = apply(udp.checksum ^ ONES, flow.change) ^ ONES


@hot
def lay_out(request: Flow, reply: Flow) -> None:
    """Each flow becomes the other's reverse. Addresses and ports of both are set: what arrives on each side."""
    request.new_addresses, reply.new_addresses = _turn64(reply.addresses), _turn64(request.addresses)
    request.new_ports, reply.new_ports = _turn32(reply.ports), _turn32(request.ports)
    request.new_src_hi, request.new_src_lo = reply.dst_hi, reply.dst_lo
    request.new_dst_hi, request.new_dst_lo = reply.src_hi, reply.src_lo
    reply.new_src_hi, reply.new_src_lo = request.dst_hi, request.dst_lo
    reply.new_dst_hi, reply.new_dst_lo = request.src_hi, request.src_lo
    set_changes(request)
    set_changes(reply)


@hot
def set_changes(flow: Flow) -> None:
    """Work out what the flow does to checksums. Sums do not mind byte order (RFC 1071 2 (B)): one swap at the end."""
    if flow.ports >> 40 == 4:
        addresses = halves(~flow.addresses) + halves(flow.new_addresses)
    else:
        addresses = change_address6(flow.src_hi, flow.src_lo, flow.new_src_hi, flow.new_src_lo)
        addresses += change_address6(flow.dst_hi, flow.dst_lo, flow.new_dst_hi, flow.new_dst_lo)
    ports = (~flow.ports & 0xFFFFFFFF) + flow.new_ports
    flow.change = swap16(fold(addresses))
    flow.change_all = swap16(fold(addresses + ports))


@leaf
def swap16(word: int) -> int:
    """A 16-bit word between the machine's byte order and the wire's."""
    return (word & 0xFF) << 8 | word >> 8 & 0xFF


@leaf
def _turn64(pair: int) -> int:
    """Source and destination address exchanged."""
    return pair << 32 | pair >> 32 & 0xFFFFFFFF


@leaf
def _turn32(pair: int) -> int:
    """Source and destination port exchanged."""
    return (pair & 0xFFFF) << 16 | pair >> 16 & 0xFFFF
