"""Addresses and ports of a packet become those of the other direction, turned round: full NAT and NAT.

    full NAT:  client:cport -> service:vport   becomes   local:lport -> server:sport, and the reverse on the way back
    NAT:       client:cport -> service:vport   becomes   client:cport -> server:sport, and the reverse

With full NAT replies come back through the balancer from any network; with NAT the servers' way to the clients must
lead through it, and they see the clients' addresses.

A connection holds what the change does to a checksum (RFC 1624), worked out once: a packet costs two stores and two
additions. What a reply changes is what a request does with the opposite sign, which in ones' complement is the
complement. Over IPv6 there is no header checksum.

A packet whose checksum is partial (the port fills it) has only the pseudo header in its checksum field, so only the
addresses' change goes there, and in the uncomplemented form.
"""

from __future__ import annotations

from pronghorn.balancer.tables import REPLY, REQUEST, Conn, Wide
from pronghorn.compiled import hot, leaf, store32, store64
from pronghorn.state.packet import CHECKSUM_PARTIAL, Packet
from pronghorn.wire.checksum import ONES, apply, apply_udp, fold, halves
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
def rewrite4(packet: Packet, conn: Conn, direction: int) -> None:
    """Make the IPv4 packet what the connection says, one hop further, in place."""
    ip = IPv4(packet.network)
    ip.ttl -= 1
    ip.checksum = apply(ip.checksum, change_in(conn.change, direction) + _ONE_HOP)
    store64(packet.network + _SRC4, turn64(conn.addresses[direction ^ 1]))
    rewrite_transport(packet, conn, direction)


@leaf
def rewrite6(packet: Packet, conn: Conn, wide: Wide, direction: int) -> None:
    """The same for an IPv6 packet."""
    network, other = packet.network, 4 * (direction ^ 1)
    IPv6(network).hop_limit -= 1
    store64(network + _SRC6_HI, wide.words[other + 2])
    store64(network + _SRC6_LO, wide.words[other + 3])
    store64(network + _DST6_HI, wide.words[other])
    store64(network + _DST6_LO, wide.words[other + 1])
    rewrite_transport(packet, conn, direction)


@leaf
def change_in(change: int, direction: int) -> int:
    """A connection's change, in this direction."""
    return change ^ (-direction & ONES)


@leaf
def rewrite_transport(packet: Packet, conn: Conn, direction: int) -> None:
    """Ports and checksum of layer 4."""
    if packet.flags & CHECKSUM_PARTIAL != 0:
        rewrite_partial(packet, change_in(conn.change, direction))
    elif packet.protocol == PROTOCOL_TCP:
        tcp = TCP(packet.transport)
        tcp.checksum = apply(tcp.checksum, change_in(conn.change_all, direction))
    else:
        udp = UDP(packet.transport)
        udp.checksum = apply_udp(udp.checksum, change_in(conn.change_all, direction))
    store32(packet.transport, turn32(conn.keys[direction ^ 1]))


@hot
def rewrite_partial(packet: Packet, change: int) -> None:
    """The checksum that a port will fill: it holds the pseudo header's sum, which this changes."""
    if packet.protocol == PROTOCOL_TCP:
        tcp = TCP(packet.transport)
        tcp.checksum = apply(tcp.checksum ^ ONES, change) ^ ONES
    else:
        udp = UDP(packet.transport)
        udp.checksum = apply(udp.checksum ^ ONES, change) ^ ONES


@hot
def set_changes(conn: Conn, wide: Wide) -> None:
    """Work out what requests do to checksums; what arrives on either side is set. Sums do not mind byte order (RFC
    1071 2 (B)): one swap at the end."""
    addresses = 0
    if conn.keys[REQUEST] >> 40 == 4:
        addresses += halves(~conn.addresses[REQUEST])
    else:
        for place in range(4):
            addresses += halves(~wide.words[place])
    if conn.keys[REPLY] >> 40 == 4:
        addresses += halves(conn.addresses[REPLY])
    else:
        for place in range(4, 8):
            addresses += halves(wide.words[place])
    ports = (~conn.keys[REQUEST] & 0xFFFFFFFF) + (conn.keys[REPLY] & 0xFFFFFFFF)
    conn.change = swap16(fold(addresses))
    conn.change_all = swap16(fold(addresses + ports))


@leaf
def swap16(word: int) -> int:
    """A 16-bit word between the machine's byte order and the wire's."""
    return (word & 0xFF) << 8 | word >> 8 & 0xFF


@leaf
def turn64(pair: int) -> int:
    """Source and destination address exchanged."""
    return pair << 32 | pair >> 32 & 0xFFFFFFFF


@leaf
def turn32(pair: int) -> int:
    """Source and destination port exchanged."""
    return (pair & 0xFFFF) << 16 | pair >> 16 & 0xFFFF
