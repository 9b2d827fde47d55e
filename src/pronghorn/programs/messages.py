"""ICMP for and from programs: whom does a message concern?

An error concerns the flow of the packet that it quotes; an echo reply the program in whose block its identifier is.
Echo requests are answered by the gateway (net/icmp.py). Whether an error can be true, the program's own stack decides
(RFC 5927): it knows its sequence numbers.

An error may arrive at a worker that does not have the flow. Where several programs share the port, the other workers
hear of it too, and one that has the flow passes it on; here it goes to whom the hash chooses.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, load8, load_be16
from pronghorn.net.state import MAPPED
from pronghorn.programs.claims import NOBODY, block_owner, claimant, may_send_from
from pronghorn.programs.flows import find_flow, is_alive, set_ports
from pronghorn.programs.output import give
from pronghorn.programs.tables import Programs
from pronghorn.state.dispatch import tell_others
from pronghorn.state.packet import REDIRECTED, Packet
from pronghorn.state.verdicts import CONTINUE, ICMP_IGNORED
from pronghorn.state.worker import Worker
from pronghorn.wire import icmp, icmpv6
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP
from pronghorn.wire.reasons import GOOD


@hot
def program_message(worker: Worker, packet: Packet) -> int:
    """An ICMP or ICMPv6 message for an address of ours. CONTINUE: it concerns no program; or the verdict."""
    root = Programs(worker.programs)
    octets = packet.data + packet.length - packet.transport
    if octets < icmp.HEADER:
        return CONTINUE
    kind = load8(packet.transport)
    if kind == (icmp.ECHO_REPLY if packet.family == 4 else icmpv6.ECHO_REPLY):
        hi, lo = _destination(packet)
        number = block_owner(root, load_be16(packet.transport + 4), hi, lo)
    elif icmp.is_error(kind) if packet.family == 4 else icmpv6.is_error(kind):
        if not _quoted(root, packet, octets, True):
            return CONTINUE
        number = _owner(root)
        if number == NOBODY:
            return CONTINUE
        if root.shared_ports != 0 and worker.workers > 1:
            if packet.flags & REDIRECTED != 0:
                return ICMP_IGNORED
            tell_others(worker, packet)
    else:
        return CONTINUE
    return give(worker, root.programs[number], packet) if number != NOBODY else CONTINUE


@hot
def _destination(packet: Packet) -> tuple[int, int]:
    if packet.family == 4:
        return 0, MAPPED | IPv4(packet.network).dst
    ip = IPv6(packet.network)
    return ip.dst_hi, ip.dst_lo


@hot
def _owner(root: Programs) -> int:
    """The program of the flow that root.key names. Sets root.shared_ports where only its claim says so."""
    root.shared_ports = 0
    found = find_flow(root)
    if found >= 0:
        flow = root.flows[found]
        return flow.program if is_alive(root, flow) else NOBODY
    key = root.key
    port, protocol = key.ports >> 16 & 0xFFFF, _protocol(key.ports)
    number = NOBODY
    if protocol == PROTOCOL_TCP or protocol == PROTOCOL_UDP:
        number = claimant(root, protocol, port, key.ports >> 40, key.own_hi, key.own_lo, key.hash)
    return number if number != NOBODY else block_owner(root, port, key.own_hi, key.own_lo)


@leaf
def _protocol(ports: int) -> int:
    return ports >> 32 & 0xFF


@hot
def _quoted(root: Programs, packet: Packet, octets: int, sent: bool) -> bool:
    """Read root.key from the packet that an error quotes: one that a program has sent (`sent`), or one that came."""
    if packet.family == 4:
        reason, protocol, at = icmp.quote(packet.transport, octets)
    else:
        reason, protocol, at = icmpv6.quote(packet.transport, octets)
    if reason != GOOD:
        return False
    key = root.key
    if packet.family == 4:
        ip4 = IPv4(packet.transport + icmp.HEADER)
        src_hi, src_lo, dst_hi, dst_lo = 0, MAPPED | ip4.src, 0, MAPPED | ip4.dst
    else:
        ip6 = IPv6(packet.transport + icmpv6.HEADER)
        src_hi, src_lo, dst_hi, dst_lo = ip6.src_hi, ip6.src_lo, ip6.dst_hi, ip6.dst_lo
    first, second = load_be16(packet.transport + at), load_be16(packet.transport + at + 2)
    if protocol == (PROTOCOL_ICMP if packet.family == 4 else PROTOCOL_ICMPV6):
        if not sent or first >> 8 != (icmp.ECHO_REQUEST if packet.family == 4 else icmpv6.ECHO_REQUEST):
            return False
        first, second = load_be16(packet.transport + at + 4), 0
    elif protocol != PROTOCOL_TCP and protocol != PROTOCOL_UDP:
        return False
    if sent:
        key.own_hi, key.own_lo, key.far_hi, key.far_lo = src_hi, src_lo, dst_hi, dst_lo
        set_ports(root, packet.family, protocol, first, second)
    else:
        key.own_hi, key.own_lo, key.far_hi, key.far_lo = dst_hi, dst_lo, src_hi, src_lo
        set_ports(root, packet.family, protocol, second, first)
    return True


@hot
def quotes_own(root: Programs, number: int, packet: Packet, octets: int) -> bool:
    """Whether an error from program `number` quotes a packet that came to it."""
    if not _quoted(root, packet, octets, False):
        return False
    found = find_flow(root)
    if found >= 0 and root.flows[found].program == number and is_alive(root, root.flows[found]):
        return True
    key = root.key
    port, protocol = key.ports >> 16 & 0xFFFF, _protocol(key.ports)
    return may_send_from(root, number, protocol, port, key.ports >> 40, key.own_hi, key.own_lo)
