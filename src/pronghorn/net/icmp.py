"""ICMP input: echo, and what routers report (RFC 792, RFC 1122 3.2.2).

Echo requests to an address of ours are turned round in the same packet. 'Fragmentation needed' is believed about a
packet that can have been ours: our address as its source, longer than the MTU reported, and a destination that we
have a route to; never below the floor of path_mtu.py (RFC 1191, RFC 5927). Whether a TCP segment was really in
flight, its connection's owner knows: input/ asks the balancer and the transports before this. The rest is ignored:
redirects and source quench may not change anything here (RFC 6633).
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.addresses import is_local4
from pronghorn.net.errors4 import HOPS
from pronghorn.net.output import ip_output
from pronghorn.net.path_mtu import path_mtu_add
from pronghorn.net.rates import take_echo
from pronghorn.net.routes import route_find4
from pronghorn.net.state import MAPPED
from pronghorn.state.packet import BROADCAST, MULTICAST, Packet
from pronghorn.state.verdicts import CONSUMED, ICMP_IGNORED, ICMP_RATE_LIMITED
from pronghorn.state.worker import Worker
from pronghorn.wire import icmp, ipv4
from pronghorn.wire.icmp import ICMP
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.reasons import GOOD


@hot
def icmp_input(worker: Worker, packet: Packet) -> int:
    """An ICMP message at packet.transport, up to the packet's end. Returns the verdict."""
    octets = packet.data + packet.length - packet.transport
    reason = icmp.check(packet.transport, octets)
    if reason != GOOD:
        return reason
    reason = icmp.verify(packet.transport, octets)
    if reason != GOOD:
        return reason
    message = ICMP(packet.transport)
    if message.type == icmp.ECHO_REQUEST:
        return _echo(worker, packet)
    return _error(worker, packet, octets) if icmp.is_error(message.type) else ICMP_IGNORED


@hot
def _echo(worker: Worker, packet: Packet) -> int:
    """Answer, unless a group was asked (smurf, CVE-1999-0513)."""
    ip = IPv4(packet.network)
    if packet.flags & (BROADCAST | MULTICAST) != 0 or not is_local4(worker, ip.dst):
        return ICMP_IGNORED
    if not take_echo(worker):
        return ICMP_RATE_LIMITED
    icmp.emit_echo_reply(ICMP(packet.transport))
    src, dst = ip.src, ip.dst
    ip.src, ip.dst, ip.ttl = dst, src, HOPS
    ipv4.fill_checksum(ip)
    return ip_output(worker, packet)


@hot
def _error(worker: Worker, packet: Packet, octets: int) -> int:
    reason, _, _ = icmp.quote(packet.transport, octets)
    if reason != GOOD:
        return reason
    message = ICMP(packet.transport)
    if message.type != icmp.UNREACHABLE or message.code != icmp.FRAGMENTATION_NEEDED:
        return ICMP_IGNORED
    return path_report4(worker, packet)


@hot
def path_report4(worker: Worker, packet: Packet) -> int:
    """A 'fragmentation needed' with a good quote: believe what may be believed. Returns CONSUMED or ICMP_IGNORED."""
    quoted = IPv4(packet.transport + icmp.HEADER)
    mtu = icmp.next_hop_mtu(ICMP(packet.transport))
    if quoted.length <= mtu or not is_local4(worker, quoted.src) or is_local4(worker, quoted.dst):
        return ICMP_IGNORED
    if not ipv4.is_sender(quoted.dst) or route_find4(worker, quoted.dst) < 0:
        return ICMP_IGNORED
    if quoted.fragment & ipv4.DO_NOT_FRAGMENT == 0:
        return ICMP_IGNORED
    path_mtu_add(worker, 0, MAPPED | quoted.dst, mtu)
    return CONSUMED
