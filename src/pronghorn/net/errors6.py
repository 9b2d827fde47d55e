"""ICMPv6 errors: what we tell a sender about its IPv6 packet (RFC 4443 2.4).

Never about an ICMPv6 error or redirect, a fragment but the first unless it is itself impossible, a packet of our own,
or one whose source is no single other station; about a group packet only when it was too big or has an option that
asks for it. The whole is at
most 1280 octets, and within the rate limits.
"""

from __future__ import annotations

from pronghorn.compiled import copy, hot, load8
from pronghorn.net.addresses import input_interface, is_local6, may_be_own, source6
from pronghorn.net.errors4 import HOPS
from pronghorn.net.rates import take_error_about
from pronghorn.net.resolve import packet_output, resolve_back6
from pronghorn.net.state import net_of
from pronghorn.state.packet import BROADCAST, MULTICAST, ORIGINATED, Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.worker import Worker
from pronghorn.wire import icmpv6, ipv6
from pronghorn.wire.extension import FRAGMENT_OFFSET, Fragment, walk
from pronghorn.wire.ipv6 import IPv6, is_multicast
from pronghorn.wire.numbers import PROTOCOL_ICMPV6
from pronghorn.wire.reasons import GOOD

LONGEST = ipv6.MINIMUM_MTU


@hot
def send_error6(worker: Worker, packet: Packet, kind: int, code: int, rest: int, always: int) -> None:
    """Send an error about the packet (its header at packet.network is good) to its source, if it deserves one.

    `rest` is the second word of the ICMPv6 header; `always` is 1 for errors that packets to groups cause too. The
    packet stays as it is, and its holder's.
    """
    ip = IPv6(packet.network)
    interface = input_interface(worker, packet)
    if interface < 0 or not deserves_error6(worker, packet, kind, always):
        return
    src_hi, src_lo = source6(worker, interface, ip.src_hi, ip.src_lo)
    if is_local6(worker, ip.dst_hi, ip.dst_lo):
        src_hi, src_lo = ip.dst_hi, ip.dst_lo
    elif worker.programs != 0 and is_local6(worker, ip.src_hi, ip.src_lo):
        src_hi, src_lo = ip.src_hi, ip.src_lo  # a program's: from itself, to itself
    if not take_error_about(worker, packet, ip.src_hi, ip.src_lo):
        return
    error = originate(worker)
    if error.address == 0:
        return
    net_of(worker).errors_sent += 1
    quoted = min(packet.data + packet.length - packet.network, ipv6.HEADER + ip.length)
    quoted = min(quoted, LONGEST - ipv6.HEADER - icmpv6.HEADER)
    octets = icmpv6.HEADER + quoted
    error.family, error.protocol = 6, PROTOCOL_ICMPV6
    error.network, error.transport, error.length = error.data, error.data + ipv6.HEADER, ipv6.HEADER + octets
    ipv6.emit(error.network, 0, octets, PROTOCOL_ICMPV6, HOPS, src_hi, src_lo, ip.src_hi, ip.src_lo)
    copy(error.transport + icmpv6.HEADER, packet.network, quoted)
    icmpv6.emit(IPv6(error.network), error.transport, kind, code, rest, octets)
    finish(worker, error, packet_output(worker, error, resolve_back6(worker, interface, ip.src_hi, ip.src_lo)))


@hot
def deserves_error6(worker: Worker, packet: Packet, kind: int, always: int) -> bool:
    """Whether the rules allow an error of this kind about the packet."""
    ip = IPv6(packet.network)
    if packet.flags & ORIGINATED != 0 or ip.src_hi == 0 or is_multicast(ip.src_hi):
        return False
    if always == 0 and (packet.flags & (BROADCAST | MULTICAST) != 0 or is_multicast(ip.dst_hi)):
        return False
    if is_local6(worker, ip.src_hi, ip.src_lo) and not may_be_own(worker, packet):
        return False
    octets = packet.data + packet.length - packet.network
    reason, protocol, at, fragment = walk(ip, octets)
    if reason != GOOD:
        return True
    if fragment != 0 and Fragment(ip.address + fragment).offset_flags & FRAGMENT_OFFSET != 0:
        return kind == icmpv6.PARAMETER_PROBLEM  # RFC 8200 4.5
    if protocol != PROTOCOL_ICMPV6:
        return True
    if at >= octets:
        return False
    about = load8(packet.network + at)
    return not icmpv6.is_error(about) and about != icmpv6.REDIRECT
