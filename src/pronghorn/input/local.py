"""A packet that is not balanced: for this host, for a group, or for somebody else (RFC 1122 3.2.1.3, RFC 1812 5.2).

TCP's and UDP's packets for our addresses that nobody takes are answered: by ICMP, or by a reset. Packets for others are
forwarded where the interface they came by has forwarding on; what was link-local stays on its link (RFC 4291 2.5.6).
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.input.report import report_input
from pronghorn.net.addresses import input_interface, is_broadcast4, is_local4, is_local6, is_member4, is_member6
from pronghorn.net.errors import report_expired, report_port_unreachable, report_unknown_protocol
from pronghorn.net.group_queries import igmp_input
from pronghorn.net.groups import is_wanted
from pronghorn.net.icmp import icmp_input
from pronghorn.net.icmpv6 import icmpv6_input
from pronghorn.net.output import ip_output
from pronghorn.net.reset import send_reset
from pronghorn.net.state import FORWARDING, MAPPED, net_of
from pronghorn.programs.messages import program_message
from pronghorn.programs.output import program_output
from pronghorn.state.packet import BROADCAST, CHECKSUM_GOOD, CHECKSUM_PARTIAL, MULTICAST, Packet
from pronghorn.state.verdicts import CONTINUE, MULTICAST_IGNORED, NO_LISTENER, NOT_FOR_US, TTL_EXPIRED, UNKNOWN_PROTOCOL
from pronghorn.state.worker import Worker
from pronghorn.tcp.input import listener_input
from pronghorn.tcp.messages import tcp_message_input
from pronghorn.udp.input import udp_input
from pronghorn.udp.messages import message_input
from pronghorn.wire import ipv4, ipv6, tcp, udp
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_IGMP, PROTOCOL_TCP, PROTOCOL_UDP
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import TCP
from pronghorn.wire.udp import UDP


@hot
def local_input(worker: Worker, packet: Packet) -> int:
    """network, transport, family and protocol are set. Returns the verdict."""
    if packet.family == 4:
        dst = IPv4(packet.network).dst
        if is_local4(worker, dst):
            return deliver(worker, packet)
        if ipv4.is_multicast(dst) or dst == ipv4.BROADCAST:
            return deliver(worker, packet) if _is_member(worker, packet, 0, MAPPED | dst) else MULTICAST_IGNORED
        interface = input_interface(worker, packet)
        if interface >= 0 and is_broadcast4(worker, interface, dst):
            return deliver(worker, packet)
        return forward(worker, packet, interface)
    ip = IPv6(packet.network)
    if is_local6(worker, ip.dst_hi, ip.dst_lo):
        return deliver(worker, packet)
    if ipv6.is_multicast(ip.dst_hi):
        return deliver(worker, packet) if _is_member(worker, packet, ip.dst_hi, ip.dst_lo) else MULTICAST_IGNORED
    return forward(worker, packet, input_interface(worker, packet))


@hot
def _is_member(worker: Worker, packet: Packet, hi: int, lo: int) -> bool:
    """Whether the group is one of everybody's, or one that a socket has joined, here or on another worker."""
    if is_member4(lo & 0xFFFF_FFFF) if hi == 0 else is_member6(hi, lo):
        return True
    if is_wanted(worker, packet.port, hi, lo):
        return True
    return worker.workers > 1 and worker.transports != 0 and packet.protocol == PROTOCOL_UDP


@hot
def deliver(worker: Worker, packet: Packet) -> int:
    """A packet for this host, by protocol."""
    protocol = packet.protocol
    if protocol == (PROTOCOL_ICMP if packet.family == 4 else PROTOCOL_ICMPV6):
        verdict = message_input(worker, packet) if worker.transports != 0 else CONTINUE
        if verdict == CONTINUE and worker.transports != 0:
            verdict = tcp_message_input(worker, packet)
        if verdict == CONTINUE and worker.programs != 0:
            verdict = program_message(worker, packet)
        if verdict == CONTINUE:
            verdict = report_input(worker, packet)
        if verdict != CONTINUE:
            return verdict
        return icmp_input(worker, packet) if packet.family == 4 else icmpv6_input(worker, packet)
    if protocol == PROTOCOL_TCP or protocol == PROTOCOL_UDP:
        return _endpoint_input(worker, packet)
    if protocol == PROTOCOL_IGMP and packet.family == 4:
        return igmp_input(worker, packet)
    report_unknown_protocol(worker, packet)
    return UNKNOWN_PROTOCOL


@hot
def _endpoint_input(worker: Worker, packet: Packet) -> int:
    """TCP or UDP, of good shape, for this host. input/transport.py has looked for a connection."""
    if worker.programs != 0:
        verdict = program_output(worker, packet)
        if verdict != CONTINUE:
            return verdict
    if packet.protocol == PROTOCOL_TCP and worker.transports != 0:
        return listener_input(worker, packet)
    if packet.flags & (CHECKSUM_GOOD | CHECKSUM_PARTIAL) == 0:
        reason = _verify(packet)
        if reason != GOOD:
            return reason
    if packet.protocol == PROTOCOL_UDP:
        verdict = udp_input(worker, packet) if worker.transports != 0 else NO_LISTENER
        if verdict != NO_LISTENER:
            return verdict
        report_port_unreachable(worker, packet)
    else:
        send_reset(worker, packet)
    return NO_LISTENER


@hot
def _verify(packet: Packet) -> int:
    """The checksum of a datagram, or of a segment where nothing takes segments."""
    octets = packet.data + packet.length - packet.transport
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        if packet.protocol == PROTOCOL_UDP:
            return udp.verify4(ip4, UDP(packet.transport))
        return tcp.verify4(ip4, TCP(packet.transport), octets)
    ip6 = IPv6(packet.network)
    if packet.protocol == PROTOCOL_UDP:
        return udp.verify6(ip6, UDP(packet.transport))
    return tcp.verify6(ip6, TCP(packet.transport), octets)


@hot
def forward(worker: Worker, packet: Packet, interface: int) -> int:
    """A packet for another host: one hop less, and on its way; frames to a group stay here (RFC 1812 5.3.4)."""
    if interface < 0 or net_of(worker).interfaces[interface].flags & FORWARDING == 0:
        return NOT_FOR_US
    if packet.flags & (BROADCAST | MULTICAST) != 0:
        return NOT_FOR_US
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        if ip4.ttl <= 1:
            report_expired(worker, packet)
            return TTL_EXPIRED
        ipv4.decrement_ttl(ip4)
    else:
        ip6 = IPv6(packet.network)
        if ipv6.is_link_local(ip6.src_hi) or ipv6.is_link_local(ip6.dst_hi):
            return NOT_FOR_US
        if ip6.hop_limit <= 1:
            report_expired(worker, packet)
            return TTL_EXPIRED
        ipv6.decrement_hop_limit(ip6)
    return ip_output(worker, packet)
