"""ICMP errors about packets that were translated between the families (RFC 7915 4.2, 4.3, 5.2, 5.3).

The error becomes one of the other ICMP, about the packet that its receiver had sent. It seems to come from the
address that the receiver talks to: the reporter has none in its family. An MTU is told in the receiver's terms, and
no IPv6 host hears of less than 1280 octets. Left out: parameter problems, but for an unknown next header (the pointer
names a field that is not there on the other side), and extensions (RFC 4884).
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.rewrite import turn64
from pronghorn.balancer.tables import Conn, Wide
from pronghorn.compiled import copy, hot, store64
from pronghorn.state.packet import Packet
from pronghorn.wire import icmp, icmpv6, ipv4, ipv6
from pronghorn.wire.icmp import ICMP
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import MINIMUM_MTU, IPv6
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6

NONE = -1
"""In place of a type: nothing says the same."""

LONGEST4, LONGEST6 = 576, MINIMUM_MTU
"""Octets of an error (RFC 1812 4.3.2.3, RFC 4443 2.4 (c))."""

FRONT = 80
"""Octets before an IPv4 error that its IPv6 form and the frame's header may need."""

_SHORTER = ipv6.HEADER - ipv4.HEADER
_SMALLEST4 = 68  # RFC 791 3.1
_NEXT_HEADER = 6  # where the fixed header has it
_PROHIBITED = 1 << 9 | 1 << 10 | 1 << 13 | 1 << 15  # codes of `unreachable`: by an administrator, or by precedence
_UNREACHED = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 12
_HOST_PROHIBITED = 10
_SRC4, _SRC6 = IPv4.offset("src"), IPv6.offset("src_hi")


@hot
def error_as6(message: ICMP, mtu: int) -> tuple[int, int, int]:
    """Type, code and second word of what says the same in ICMPv6; `mtu`: of the way back."""
    kind, code = message.type, message.code
    if kind == icmp.TIME_EXCEEDED:
        return icmpv6.TIME_EXCEEDED, code, 0
    if kind != icmp.UNREACHABLE or code > 15:
        return NONE, 0, 0
    if code == icmp.PORT_UNREACHABLE:
        return icmpv6.UNREACHABLE, icmpv6.PORT_UNREACHABLE, 0
    if code == icmp.FRAGMENTATION_NEEDED:
        return icmpv6.TOO_BIG, 0, max(min(icmp.next_hop_mtu(message) + _SHORTER, mtu), MINIMUM_MTU)
    if code == icmp.PROTOCOL_UNREACHABLE:
        return icmpv6.PARAMETER_PROBLEM, icmpv6.UNKNOWN_NEXT_HEADER, _NEXT_HEADER
    if _PROHIBITED >> code & 1 != 0:
        return icmpv6.UNREACHABLE, icmpv6.ADMINISTRATIVELY_PROHIBITED, 0
    if _UNREACHED >> code & 1 != 0:
        return icmpv6.UNREACHABLE, icmpv6.NO_ROUTE, 0
    return NONE, 0, 0


@hot
def error_as4(message: ICMPv6, rest: int, mtu: int) -> tuple[int, int, int]:
    """The same in ICMP; `rest`: the message's second word."""
    kind, code = message.type, message.code
    if kind == icmpv6.TIME_EXCEEDED:
        return icmp.TIME_EXCEEDED, code, 0
    if kind == icmpv6.TOO_BIG:
        return icmp.UNREACHABLE, icmp.FRAGMENTATION_NEEDED, max(min(rest - _SHORTER, mtu), _SMALLEST4)
    if kind == icmpv6.PARAMETER_PROBLEM and code == icmpv6.UNKNOWN_NEXT_HEADER:
        return icmp.UNREACHABLE, icmp.PROTOCOL_UNREACHABLE, 0
    if kind != icmpv6.UNREACHABLE or code > icmpv6.PORT_UNREACHABLE:
        return NONE, 0, 0
    if code == icmpv6.PORT_UNREACHABLE:
        return icmp.UNREACHABLE, icmp.PORT_UNREACHABLE, 0
    if code == icmpv6.ADMINISTRATIVELY_PROHIBITED:
        return icmp.UNREACHABLE, _HOST_PROHIBITED, 0
    return icmp.UNREACHABLE, icmp.HOST_UNREACHABLE, 0


@hot
def write_error6(packet: Packet, wide: Wide, direction: int, layer4: int, kind: int, code: int, rest: int) -> None:
    """Make the ICMP error one of ICMPv6, in place. The quoted header of layer 4 lies at `layer4` and has been changed;
    before packet.network are FRONT octets."""
    hops, tos = IPv4(packet.network).ttl, IPv4(packet.network).tos
    quoted = IPv4(packet.transport + icmp.HEADER)
    inner_tos, inner_hops, protocol = quoted.tos, quoted.ttl, quoted.protocol
    inner_length = quoted.length - ipv4.header_octets(quoted)
    inner = layer4 - ipv6.HEADER
    transport = inner - icmpv6.HEADER
    network, other = transport - ipv6.HEADER, wide.address + 32 * (direction ^ 1)
    octets = min(packet.data + packet.length - network, LONGEST6)
    ipv6.emit(inner, inner_tos << 20, inner_length & 0xFFFF, protocol, inner_hops, 0, 0, 0, 0)
    copy(inner + _SRC6, other, 32)
    ipv6.emit(network, tos << 20, octets - ipv6.HEADER, PROTOCOL_ICMPV6, hops - 1, 0, 0, 0, 0)
    copy(network + _SRC6, other + 16, 16)
    copy(network + _SRC6 + 16, other, 16)
    icmpv6.emit(IPv6(network), transport, kind, code, rest, octets - ipv6.HEADER)
    _begin(packet, network, transport, octets, 6, PROTOCOL_ICMPV6)


@hot
def write_error4(
    packet: Packet, conn: Conn, direction: int, layer4: int, protocol: int, kind: int, code: int, rest: int
) -> None:
    """The same the other way; the quoted packet is of this protocol."""
    outer = IPv6(packet.network)
    hops, tos = outer.hop_limit, ipv6.traffic_class(outer)
    quoted = IPv6(packet.transport + icmpv6.HEADER)
    inner_tos, inner_hops = ipv6.traffic_class(quoted), quoted.hop_limit
    inner_length = quoted.length + ipv6.HEADER + quoted.address - layer4 + ipv4.HEADER
    inner = layer4 - ipv4.HEADER
    transport = inner - icmp.HEADER
    network, pair = transport - ipv4.HEADER, conn.addresses[direction ^ 1]
    octets = min(packet.data + packet.length - network, LONGEST4)
    ipv4.emit(inner, inner_tos, inner_length & 0xFFFF, 0, 0, inner_hops, protocol, 0, 0)
    store64(inner + _SRC4, pair)
    ipv4.fill_checksum(IPv4(inner))
    ipv4.emit(network, tos, octets, 0, 0, hops - 1, PROTOCOL_ICMP, 0, 0)
    store64(network + _SRC4, turn64(pair))
    ipv4.fill_checksum(IPv4(network))
    icmp.emit(transport, kind, code, rest, octets - ipv4.HEADER)
    _begin(packet, network, transport, octets, 4, PROTOCOL_ICMP)


@hot
def _begin(packet: Packet, network: int, transport: int, octets: int, family: int, protocol: int) -> None:
    packet.data, packet.network, packet.transport = network, network, transport
    packet.length, packet.family, packet.protocol = octets, family, protocol
