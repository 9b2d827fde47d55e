"""From a program: may it send this? Its frames are a stranger's, whatever it says.

In this order, after the shape of all headers was checked where everybody's is (input/):

    marks      what it says about an unfinished checksum or an unsegmented frame can be true
    source     one of the addresses that it was given
    port       one that it has claimed, or of its block, or of a connection that it has; echo requests: an identifier of
               its block; ICMP errors: about packets that came to it; nothing else
    rate       not more packets and octets than it may send, if that is limited

Each failure is a verdict of its own. Then the packet goes where its destination says: to one of our own addresses as if
it had been received (CONTINUE), otherwise by the routes. It loses no hop: the program is this host.
"""

from __future__ import annotations

from pronghorn.compiled import compare_exchange64, hot, load8, load_be16
from pronghorn.net.addresses import is_local4, is_local6
from pronghorn.net.errors import report_no_route, report_too_big
from pronghorn.net.output import output_mtu, output_to
from pronghorn.net.resolve import UNREACHABLE, resolve4, resolve6, unresolved
from pronghorn.net.state import MAPPED, SECOND
from pronghorn.programs.claims import has_address, may_send_from
from pronghorn.programs.flows import add_flow, end_flow, find_flow, follow, is_alive, key_of
from pronghorn.programs.messages import quotes_own
from pronghorn.programs.tables import Bucket, Programs
from pronghorn.state.packet import CHECKSUM_PARTIAL, FROM_PROGRAM, UNSEGMENTED, Packet
from pronghorn.state.port import Port
from pronghorn.state.verdicts import (
    CONTINUE,
    PROGRAM_ICMP,
    PROGRAM_MARKS,
    PROGRAM_PORT,
    PROGRAM_PROTOCOL,
    PROGRAM_RATE,
    PROGRAM_SOURCE,
    TOO_BIG,
)
from pronghorn.state.worker import Worker
from pronghorn.wire import icmp, icmpv6, tcp
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP
from pronghorn.wire.tcp import TCP

SEGMENTS = 128
"""Segments of an unsegmented frame, at most: what ports can cut (ports/veth_rings.py)."""

_UDP_HEADER = 8
_PACKETS, _OCTETS = Bucket.offset("packets"), Bucket.offset("octets")


@hot
def program_input(worker: Worker, packet: Packet) -> int:
    """A packet from a program's link, its headers of good shape. CONTINUE: for one of our addresses, as if received."""
    root = Programs(worker.programs)
    packet.flags &= ~FROM_PROGRAM
    number = worker.ports[packet.port].peer
    program = root.programs[number]
    if not _marks_good(packet):
        return PROGRAM_MARKS
    source_hi, source_lo = _source(packet)
    if not has_address(program, source_hi, source_lo):
        return PROGRAM_SOURCE
    verdict = _from_port(worker, root, number, packet, source_hi, source_lo)
    if verdict != CONTINUE:
        return verdict
    octets = packet.data + packet.length - packet.network
    if program.bucket != 0 and not _take(worker, Bucket(program.bucket), octets, _segments(packet)):
        return PROGRAM_RATE
    program.packets_in += 1
    program.octets_in += octets
    if packet.family == 4:
        if is_local4(worker, IPv4(packet.network).dst):
            return CONTINUE
    elif is_local6(worker, IPv6(packet.network).dst_hi, IPv6(packet.network).dst_lo):
        return CONTINUE
    return _leave(worker, packet)


@hot
def _source(packet: Packet) -> tuple[int, int]:
    if packet.family == 4:
        return 0, MAPPED | IPv4(packet.network).src
    ip = IPv6(packet.network)
    return ip.src_hi, ip.src_lo


# --- marks --------------------------------------------------------------------------------------------------------


@hot
def _header_octets(packet: Packet) -> int:
    """Octets from packet.network to the payload of TCP or UDP."""
    before = packet.transport - packet.network
    return before + (tcp.header_octets(TCP(packet.transport)) if packet.protocol == PROTOCOL_TCP else _UDP_HEADER)


@hot
def _segments(packet: Packet) -> int:
    """Packets that the frame will be."""
    if packet.flags & UNSEGMENTED == 0:
        return 1
    payload = packet.data + packet.length - packet.network - _header_octets(packet)
    return max(1, (payload + packet.gso_size - 1) // packet.gso_size)


@hot
def _marks_good(packet: Packet) -> bool:
    """Whether the marks of the frame's descriptor can be true."""
    if packet.flags & (CHECKSUM_PARTIAL | UNSEGMENTED) == 0:
        return True
    if packet.protocol != PROTOCOL_TCP and packet.protocol != PROTOCOL_UDP:
        return False
    if packet.flags & UNSEGMENTED == 0:
        return True
    return packet.flags & CHECKSUM_PARTIAL != 0 and packet.gso_size != 0 and _segments(packet) <= SEGMENTS


# --- ports --------------------------------------------------------------------------------------------------------


@hot
def _from_port(worker: Worker, root: Programs, number: int, packet: Packet, hi: int, lo: int) -> int:
    """CONTINUE when the program may send from this port."""
    protocol = packet.protocol
    if protocol == PROTOCOL_TCP:
        return _from_tcp(worker, root, number, packet, hi, lo)
    if protocol == PROTOCOL_UDP:
        return _from_udp(worker, root, number, packet, hi, lo)
    if protocol == (PROTOCOL_ICMP if packet.family == 4 else PROTOCOL_ICMPV6):
        return _from_icmp(root, number, packet)
    return PROGRAM_PROTOCOL


@hot
def _from_tcp(worker: Worker, root: Programs, number: int, packet: Packet, hi: int, lo: int) -> int:
    """A connection's segments may go on when its port is claimed no more."""
    key_of(root, packet, True)
    found = find_flow(root)
    if found >= 0 and is_alive(root, root.flows[found]) and root.flows[found].program == number:
        follow(worker, root.flows[found], packet, True)
        return CONTINUE
    if not may_send_from(root, number, PROTOCOL_TCP, load_be16(packet.transport), packet.family, hi, lo):
        return PROGRAM_PORT
    if found >= 0 and not is_alive(root, root.flows[found]):  # of one that had the port before
        end_flow(root, found)
        found = -1
    if found < 0:
        found = add_flow(worker, root, number)
        if found >= 0:
            follow(worker, root.flows[found], packet, True)
    return CONTINUE


@hot
def _from_udp(worker: Worker, root: Programs, number: int, packet: Packet, hi: int, lo: int) -> int:
    """A flow of a port that several programs have claimed is the one's that sends first."""
    if not may_send_from(root, number, PROTOCOL_UDP, load_be16(packet.transport), packet.family, hi, lo):
        return PROGRAM_PORT
    if root.shared_ports != 0:
        key_of(root, packet, True)
        found = find_flow(root)
        if found < 0:
            found = add_flow(worker, root, number)
        if found >= 0 and root.flows[found].program == number:
            follow(worker, root.flows[found], packet, True)
    return CONTINUE


@hot
def _from_icmp(root: Programs, number: int, packet: Packet) -> int:
    """Echo requests, and errors about what came to the program."""
    octets = packet.data + packet.length - packet.transport
    if octets < icmp.HEADER:
        return PROGRAM_ICMP
    kind = load8(packet.transport)
    if kind == (icmp.ECHO_REQUEST if packet.family == 4 else icmpv6.ECHO_REQUEST):
        return CONTINUE if root.blocks[load_be16(packet.transport + 4)] == number + 1 else PROGRAM_ICMP
    is_error = icmp.is_error(kind) if packet.family == 4 else icmpv6.is_error(kind)
    return CONTINUE if is_error and quotes_own(root, number, packet, octets) else PROGRAM_ICMP


# --- rate ---------------------------------------------------------------------------------------------------------


@hot
def _take(worker: Worker, bucket: Bucket, octets: int, packets: int) -> bool:
    """Whether so much may be sent now. Other workers take from the same bucket."""
    cost, rate = bucket.packet_cost, bucket.octet_rate
    if cost != 0 and not _draw(worker, bucket, bucket.address + _PACKETS, cost * packets):
        return False
    return rate == 0 or _draw(worker, bucket, bucket.address + _OCTETS, octets * SECOND // rate)


@hot
def _draw(worker: Worker, bucket: Bucket, address: int, cost: int) -> bool:
    """Set the word at `address` forward by `cost` ns, unless it lies too far ahead."""
    for _ in range(64):
        full = bucket.packets if address == bucket.address + _PACKETS else bucket.octets
        start = max(full, worker.now)
        if start - worker.now > bucket.depth:
            return False
        if compare_exchange64(address, full, start + cost):
            return True
    return False  # so many workers at once: the program is fast enough


# --- on its way ---------------------------------------------------------------------------------------------------


@hot
def _leave(worker: Worker, packet: Packet) -> int:
    """By the routes. Segments that the way does not take are reported to the program, as a router would."""
    if packet.family == 4:
        index = resolve4(worker, IPv4(packet.network).dst)
    else:
        index = resolve6(worker, IPv6(packet.network).dst_hi, IPv6(packet.network).dst_lo)
    if index < 0:
        if index == UNREACHABLE:
            report_no_route(worker, packet)
        return unresolved(index)
    if packet.flags & UNSEGMENTED != 0:
        mtu = output_mtu(worker, packet, index)
        if _header_octets(packet) + packet.gso_size > mtu:
            report_too_big(worker, packet, mtu)
            return TOO_BIG
    return output_to(worker, packet, index)


@hot
def count_drop(worker: Worker, port: Port, verdict: int) -> None:
    """A frame from the program behind the port has ended here."""
    program = Programs(worker.programs).programs[port.peer]
    program.drops[verdict] += 1
