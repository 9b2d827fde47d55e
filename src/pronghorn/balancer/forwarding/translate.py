"""Full NAT between the families: the client speaks one, the server the other (RFC 7915, with the state of RFC 6146).

    client4:cport -> service4:vport   becomes   local6:lport -> server6:sport, and the reverse on the way back
    client6:cport -> service6:vport   becomes   local4:lport -> server4:sport, and the reverse on the way back

Rules kept (section numbers of RFC 7915): traffic class and TOS are copied, congestion marks included (4.1, 5.1); one
hop less; the flow label is 0; options and extension headers are left out (4.1, 5.1), a fragment comes here put
together. An IPv4 packet of up to 1260 octets may be fragmented on its way and has a random identification, a longer one
has DF and none (5.1). A datagram over IPv4 without a checksum gets one (4.5). Checksums change by the difference of the
pseudo headers, which the connection holds as it does for full NAT within a family.

An IPv4 packet is 20 octets shorter than its IPv6 one; who sends too much for the other side hears of an MTU in its own
terms. IPv6 senders need not go below 1280 octets, so what is left of these goes in pieces. Left out: the MSS of SYN
segments stays as it is.
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.rewrite import rewrite_transport, turn64
from pronghorn.balancer.tables import Conn, Wide
from pronghorn.compiled import hot, leaf, store64
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, WHOLE, Packet
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import ipv4, ipv6
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import MINIMUM_MTU, IPv6
from pronghorn.wire.numbers import PROTOCOL_UDP
from pronghorn.wire.udp import UDP, fill_checksum6

FRAGMENTABLE = MINIMUM_MTU - (ipv6.HEADER - ipv4.HEADER)
"""Octets of an IPv4 packet that may be fragmented: of an IPv6 packet that every link takes."""

_SRC4 = IPv4.offset("src")
_SRC6 = IPv6.offset("src_hi")


@leaf
def header_behind(packet: Packet) -> int:
    """Octets of the network header that the packet will have."""
    return ipv6.HEADER if packet.family == 4 else ipv4.HEADER


@hot
def goes_in_pieces(packet: Packet) -> bool:
    """Whether the packet, when it is too long for the other side, travels in pieces."""
    if packet.flags & UNSEGMENTED != 0:
        return False
    if packet.flags & WHOLE != 0:
        return True
    if packet.family == 4:
        return IPv4(packet.network).fragment & DO_NOT_FRAGMENT == 0
    return packet.data + packet.length - packet.network <= MINIMUM_MTU


@hot
def translate(worker: Worker, packet: Packet, conn: Conn, wide: Wide, direction: int, pieces: bool) -> None:
    """Make the packet what the connection says, of the other family. `pieces`: it will be fragmented here."""
    rewrite_transport(packet, conn, direction)
    if packet.family == 4:
        _to6(packet, wide, direction)
    else:
        _to4(worker, packet, conn, direction, pieces)


@hot
def _to6(packet: Packet, wide: Wide, direction: int) -> None:
    old, end = IPv4(packet.network), packet.data + packet.length
    tos, ttl, network = old.tos, old.ttl, packet.transport - ipv6.HEADER
    ip = IPv6(network)
    ip.version_class_flow = 6 << 28 | tos << 20
    ip.length = end - packet.transport & 0xFFFF
    ip.next_header, ip.hop_limit = packet.protocol, ttl - 1
    other = 4 * (direction ^ 1)
    for place in range(2):
        store64(network + _SRC6 + 8 * place, wide.words[other + 2 + place])
        store64(network + _SRC6 + 16 + 8 * place, wide.words[other + place])
    _begin(packet, network, 6)
    if packet.protocol == PROTOCOL_UDP and packet.flags & CHECKSUM_PARTIAL == 0:
        udp = UDP(packet.transport)
        if udp.checksum == 0:
            fill_checksum6(ip, udp)


@hot
def _to4(worker: Worker, packet: Packet, conn: Conn, direction: int, pieces: bool) -> None:
    old, end = IPv6(packet.network), packet.data + packet.length
    tos, hops, network = ipv6.traffic_class(old), old.hop_limit, packet.transport - ipv4.HEADER
    octets = end - network
    may_be_cut = pieces or (octets <= FRAGMENTABLE and packet.flags & UNSEGMENTED == 0)
    ip = IPv4(network)
    ip.version_ihl, ip.tos, ip.length = ipv4.PLAIN, tos, octets & 0xFFFF
    ip.ident = random_number(worker) & 0xFFFF if may_be_cut else 0
    ip.fragment = 0 if may_be_cut else DO_NOT_FRAGMENT
    ip.ttl, ip.protocol = hops - 1, packet.protocol
    store64(network + _SRC4, turn64(conn.addresses[direction ^ 1]))
    ipv4.fill_checksum(ip)
    _begin(packet, network, 4)


@leaf
def _begin(packet: Packet, network: int, family: int) -> None:
    """The packet begins here from now on, and is of that family."""
    packet.length = packet.data + packet.length - network
    packet.data = network
    packet.network = network
    packet.family = family
