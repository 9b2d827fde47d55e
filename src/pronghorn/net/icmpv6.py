"""ICMPv6 input: neighbour discovery, echo, and what routers report (RFC 4443); as icmp.py is for IPv4.

'Packet too big' is believed about a packet that can have been ours, and never below 1280 octets (RFC 8201 section 4).
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.addresses import input_interface, is_local6
from pronghorn.net.discovery import nd_input
from pronghorn.net.errors4 import HOPS
from pronghorn.net.errors6 import send_error6
from pronghorn.net.group_queries import mld_input
from pronghorn.net.output import own_output6
from pronghorn.net.path_mtu import FLOOR6, path_mtu_add
from pronghorn.net.rates import take_echo
from pronghorn.net.resolve import resolve_back6
from pronghorn.net.routes import route_find6
from pronghorn.state.packet import BROADCAST, MULTICAST, Packet
from pronghorn.state.verdicts import CONSUMED, ICMP_IGNORED, ICMP_RATE_LIMITED
from pronghorn.state.worker import Worker
from pronghorn.wire import icmpv6, mld
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.ipv6 import HEADER, IPv6
from pronghorn.wire.reasons import GOOD, IPV6_UNSPECIFIED_SOURCE


@hot
def icmpv6_input(worker: Worker, packet: Packet) -> int:
    """An ICMPv6 message at packet.transport, up to the packet's end. Returns the verdict."""
    octets = packet.data + packet.length - packet.transport
    reason = icmpv6.check(packet.transport, octets)
    if reason != GOOD:
        return reason
    ip = IPv6(packet.network)
    reason = icmpv6.verify(ip, packet.transport, octets)
    if reason != GOOD:
        return reason
    kind = ICMPv6(packet.transport).type
    if icmpv6.is_discovery(kind):
        return nd_input(worker, packet, octets)
    if ip.src_hi == 0:
        return IPV6_UNSPECIFIED_SOURCE
    if kind == mld.QUERY:
        return mld_input(worker, packet, octets)
    if kind == icmpv6.ECHO_REQUEST:
        return _echo(worker, packet)
    return _error(worker, packet, octets) if icmpv6.is_error(kind) else ICMP_IGNORED


@hot
def _echo(worker: Worker, packet: Packet) -> int:
    """Answer, unless a group was asked."""
    ip = IPv6(packet.network)
    interface = input_interface(worker, packet)
    if interface < 0 or packet.flags & (BROADCAST | MULTICAST) != 0 or not is_local6(worker, ip.dst_hi, ip.dst_lo):
        return ICMP_IGNORED
    if not take_echo(worker):
        return ICMP_RATE_LIMITED
    icmpv6.emit_echo_reply(ICMPv6(packet.transport))
    src_hi, src_lo = ip.src_hi, ip.src_lo
    ip.src_hi, ip.src_lo = ip.dst_hi, ip.dst_lo
    ip.dst_hi, ip.dst_lo = src_hi, src_lo
    ip.hop_limit = HOPS
    return own_output6(worker, packet, resolve_back6(worker, interface, src_hi, src_lo))


@hot
def _error(worker: Worker, packet: Packet, octets: int) -> int:
    reason, _, _ = icmpv6.quote(packet.transport, octets)
    if reason != GOOD:
        return reason
    if ICMPv6(packet.transport).type != icmpv6.TOO_BIG:
        return ICMP_IGNORED
    return path_report6(worker, packet)


@hot
def path_report6(worker: Worker, packet: Packet) -> int:
    """A 'packet too big' with a good quote: believe what may be believed. Returns CONSUMED or ICMP_IGNORED."""
    quoted = IPv6(packet.transport + icmpv6.HEADER)
    mtu = icmpv6.next_hop_mtu(ICMPv6(packet.transport))
    hi, lo = quoted.dst_hi, quoted.dst_lo
    if quoted.length + HEADER <= max(mtu, FLOOR6) or not is_local6(worker, quoted.src_hi, quoted.src_lo):
        return ICMP_IGNORED
    if is_local6(worker, hi, lo) or hi == 0 or route_find6(worker, hi, lo) < 0:
        return ICMP_IGNORED
    path_mtu_add(worker, hi, lo, mtu)
    return CONSUMED


@hot
def parameter_problem(worker: Worker, packet: Packet, code: int, offset: int, always: int) -> None:
    """Report that the octet at `offset` of the packet is wrong (RFC 4443 3.4); `always` 1: to senders to groups too."""
    send_error6(worker, packet, icmpv6.PARAMETER_PROBLEM, code, offset, always)
