"""ICMP errors: what we tell a sender about its IPv4 packet (RFC 792; when not to: RFC 1122 3.2.2, RFC 1812 4.3.2).

Never about an ICMP error, a group or broadcast packet of either layer, a fragment but the first, a packet of our own,
or one whose source is no single other station. At most 576 octets (RFC 1812 4.3.2.3), and within the rate limits.
"""

from __future__ import annotations

from pronghorn.compiled import copy, hot, load8
from pronghorn.net.addresses import input_interface, is_broadcast4, is_local4, may_be_own, source4
from pronghorn.net.rates import take_error_about
from pronghorn.net.resolve import packet_output, resolve4
from pronghorn.net.state import MAPPED, net_of
from pronghorn.state.packet import BROADCAST, MULTICAST, ORIGINATED, Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import icmp, ipv4
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.numbers import PROTOCOL_ICMP

LONGEST = 576
HOPS = 64
"""TTL of what we send."""


@hot
def send_error4(worker: Worker, packet: Packet, kind: int, code: int, rest: int) -> None:
    """Send an error about the packet (its header at packet.network is good) to its source, if it deserves one.

    `rest` is the second word of the ICMP header. The packet stays as it is, and its holder's.
    """
    ip = IPv4(packet.network)
    if not deserves_error4(worker, packet):
        return
    src = _speaker(worker, packet)
    if src == 0 or not take_error_about(worker, packet, 0, MAPPED | ip.src):
        return
    error = originate(worker)
    if error.address == 0:
        return
    net_of(worker).errors_sent += 1
    quoted = min(packet.data + packet.length - packet.network, ip.length)
    quoted = min(quoted, LONGEST - ipv4.HEADER - icmp.HEADER)
    octets = ipv4.HEADER + icmp.HEADER + quoted
    error.family, error.protocol = 4, PROTOCOL_ICMP
    error.network, error.transport, error.length = error.data, error.data + ipv4.HEADER, octets
    copy(error.transport + icmp.HEADER, packet.network, quoted)
    icmp.emit(error.transport, kind, code, rest, icmp.HEADER + quoted)
    tos = 0xC0  # internetwork control, RFC 1812 4.3.2.5
    ipv4.emit(error.network, tos, octets, random_number(worker) & 0xFFFF, 0, HOPS, PROTOCOL_ICMP, src, ip.src)
    finish(worker, error, packet_output(worker, error, resolve4(worker, ip.src)))


@hot
def deserves_error4(worker: Worker, packet: Packet) -> bool:
    """Whether the rules allow an error about the packet."""
    ip = IPv4(packet.network)
    if packet.flags & (BROADCAST | MULTICAST | ORIGINATED) != 0 or ipv4.is_later_fragment(ip):
        return False
    if not ipv4.is_sender(ip.src) or not ipv4.is_sender(ip.dst):
        return False
    if is_local4(worker, ip.src) and not may_be_own(worker, packet):
        return False
    interface = input_interface(worker, packet)
    if interface < 0 or is_broadcast4(worker, interface, ip.dst) or is_broadcast4(worker, interface, ip.src):
        return False
    if ip.protocol != PROTOCOL_ICMP:
        return True
    header = ipv4.header_octets(ip)
    return ip.length > header and not icmp.is_error(load8(packet.network + header))


@hot
def _speaker(worker: Worker, packet: Packet) -> int:
    """The address to speak from: the one that was spoken to, or the one of the interface it came in by; 0 for none."""
    ip = IPv4(packet.network)
    if is_local4(worker, ip.dst):
        return ip.dst
    if worker.programs != 0 and is_local4(worker, ip.src):
        return ip.src  # a program's: from itself, to itself
    return source4(worker, input_interface(worker, packet), ip.src)
