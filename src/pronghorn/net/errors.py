"""Errors by what went wrong, for packets of either family.

Each function sends the error that the packet deserves, or none when the rules or a rate limit forbid it; it does not
end the packet, so the caller returns the verdict that says what happened. packet.network and packet.family are set,
and the network header has been checked.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.errors4 import send_error4
from pronghorn.net.errors6 import send_error6
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.wire import extension, icmp, icmpv6, ipv6
from pronghorn.wire.extension import NEXT_HEADER, Extension
from pronghorn.wire.ipv6 import IPv6


@hot
def report_no_route(worker: Worker, packet: Packet) -> None:
    """There is no way to the destination."""
    if packet.family == 4:
        send_error4(worker, packet, icmp.UNREACHABLE, icmp.NETWORK_UNREACHABLE, 0)
    else:
        send_error6(worker, packet, icmpv6.UNREACHABLE, icmpv6.NO_ROUTE, 0, 0)


@hot
def report_unreachable(worker: Worker, packet: Packet) -> None:
    """The destination, or the router to it, did not answer on its link."""
    if packet.family == 4:
        send_error4(worker, packet, icmp.UNREACHABLE, icmp.HOST_UNREACHABLE, 0)
    else:
        send_error6(worker, packet, icmpv6.UNREACHABLE, icmpv6.ADDRESS_UNREACHABLE, 0, 0)


@hot
def report_port_unreachable(worker: Worker, packet: Packet) -> None:
    """Nobody listens at the port."""
    if packet.family == 4:
        send_error4(worker, packet, icmp.UNREACHABLE, icmp.PORT_UNREACHABLE, 0)
    else:
        send_error6(worker, packet, icmpv6.UNREACHABLE, icmpv6.PORT_UNREACHABLE, 0, 0)


@hot
def report_unknown_protocol(worker: Worker, packet: Packet) -> None:
    """Nobody speaks the layer-4 protocol of the packet, whose packet.transport is set."""
    if packet.family == 4:
        send_error4(worker, packet, icmp.UNREACHABLE, icmp.PROTOCOL_UNREACHABLE, 0)
    else:
        send_error6(worker, packet, icmpv6.PARAMETER_PROBLEM, icmpv6.UNKNOWN_NEXT_HEADER, _named_at(packet), 0)


@hot
def _named_at(packet: Packet) -> int:
    """Where in an IPv6 packet, whose extension headers have been walked, the number of its layer-4 protocol stands."""
    place = NEXT_HEADER
    protocol = IPv6(packet.network).next_header
    at = packet.network + ipv6.HEADER
    while at < packet.transport:
        place = at - packet.network
        size = extension.header_octets(at, protocol)
        protocol = Extension(at).next_header
        at += size
    return place


@hot
def report_expired(worker: Worker, packet: Packet) -> None:
    """The packet came one hop too far."""
    if packet.family == 4:
        send_error4(worker, packet, icmp.TIME_EXCEEDED, icmp.TTL_EXCEEDED, 0)
    else:
        send_error6(worker, packet, icmpv6.TIME_EXCEEDED, icmpv6.HOP_LIMIT_EXCEEDED, 0, 0)


@hot
def report_incomplete(worker: Worker, packet: Packet) -> None:
    """The packet is a first fragment, and the others did not come."""
    if packet.family == 4:
        send_error4(worker, packet, icmp.TIME_EXCEEDED, icmp.REASSEMBLY_EXCEEDED, 0)
    else:
        send_error6(worker, packet, icmpv6.TIME_EXCEEDED, icmpv6.REASSEMBLY_EXCEEDED, 0, 0)


@hot
def report_too_big(worker: Worker, packet: Packet, mtu: int) -> None:
    """The packet is longer than `mtu`, the most that the way takes (RFC 1191 section 4, RFC 4443 3.2)."""
    if packet.family == 4:
        send_error4(worker, packet, icmp.UNREACHABLE, icmp.FRAGMENTATION_NEEDED, mtu & 0xFFFF)
    else:
        send_error6(worker, packet, icmpv6.TOO_BIG, 0, mtu, 1)
