"""Sending in pieces: an IPv4 packet that allows it (RFC 791 section 3.2), an IPv6 packet of our own (RFC 8200 4.5).

The packet itself becomes the first piece; the others are packets that we originate. All but the last carry a multiple
of 8 octets. Options without the copy bit stand in the first piece only; in the others no-operations stand for them. A
piece for which no packet is left is not sent: the receiver lacks it, and the sender's transport notices.
"""

from __future__ import annotations

from pronghorn.compiled import copy, hot, leaf, load8, move, store8, store_be16
from pronghorn.net.resolve import packet_output
from pronghorn.net.state import REACHABLE, net_of
from pronghorn.state.packet import CHECKSUM_PARTIAL, Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.verdicts import TOO_BIG
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import checksum, ethernet, extension, ipv4, ipv6
from pronghorn.wire.ipv4 import FRAGMENT_OFFSET, MORE_FRAGMENTS, OPTION_END, OPTION_NOTHING, IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_FRAGMENT, PROTOCOL_TCP, PROTOCOL_UDP

LONGEST = 1500
"""Octets of a piece at most: it is to fit into an ordinary packet."""
FRAGMENT6 = ipv6.HEADER + 8
"""Octets before the data of an IPv6 piece."""
COPIED = 0x80
"""In an option's kind: it goes into every piece."""


@hot
def fragment4_output(worker: Worker, packet: Packet, index: int, mtu: int) -> int:
    """Send the packet to the neighbour `index` in pieces of at most `mtu` octets. Returns the verdict of the first.

    To a neighbour whose address is not known yet the first piece goes last: it holds the octets of the others, and
    one that waits may be dropped for another.
    """
    ip = IPv4(packet.network)
    header, length, fragment = ipv4.header_octets(ip), ip.length, ip.fragment
    part = (min(mtu, LONGEST) - header) & ~7
    if part < 8:
        return TOO_BIG
    if packet.flags & CHECKSUM_PARTIAL != 0:
        fill_checksum(packet, ip.protocol, length - header)
    known = net_of(worker).neighbours[index].state >= REACHABLE
    verdict = _first(worker, packet, index, header, part) if known else TOO_BIG
    at = part
    while at < length - header:
        octets = min(part, length - header - at)
        more = fragment & MORE_FRAGMENTS if at + octets == length - header else MORE_FRAGMENTS
        _piece(worker, packet, index, header, at, octets, (fragment & FRAGMENT_OFFSET) + (at >> 3) | more)
        at += octets
    return verdict if known else _first(worker, packet, index, header, part)


@hot
def _first(worker: Worker, packet: Packet, index: int, header: int, part: int) -> int:
    ip = IPv4(packet.network)
    ip.length = header + part
    ip.fragment |= MORE_FRAGMENTS
    ipv4.fill_checksum(ip)
    packet.length = packet.network - packet.data + header + part
    return packet_output(worker, packet, index)


@hot
def _piece(worker: Worker, packet: Packet, index: int, header: int, at: int, octets: int, fragment: int) -> None:
    """Send `octets` octets that begin `at` octets behind the header."""
    piece = originate(worker)
    if piece.address == 0:
        return
    piece.network, piece.length = piece.data, header + octets
    piece.transport = piece.network + header
    piece.family, piece.protocol = 4, packet.protocol
    copy(piece.network, packet.network, header)
    copy(piece.transport, packet.network + header + at, octets)
    ip = IPv4(piece.network)
    ip.length = header + octets
    ip.fragment = fragment
    _strip_options(piece.network + ipv4.HEADER, header - ipv4.HEADER)
    ipv4.fill_checksum(ip)
    finish(worker, piece, packet_output(worker, piece, index))


@hot
def _strip_options(address: int, octets: int) -> None:
    """Overwrite the options that do not go into every piece; they have been checked (ipv4.check_options)."""
    i = 0
    while i < octets:
        kind = load8(address + i)
        if kind == OPTION_END:
            return
        size = 1 if kind == OPTION_NOTHING else load8(address + i + 1)
        if kind & COPIED == 0:
            for k in range(size):
                store8(address + i + k, OPTION_NOTHING)
        i += size


@hot
def fragment6_output(worker: Worker, packet: Packet, index: int, mtu: int) -> int:
    """The same for an IPv6 packet of ours without extension headers. The identification is random (RFC 7739)."""
    ip = IPv6(packet.network)
    length, protocol = ip.length, ip.next_header
    part = (min(mtu, LONGEST) - FRAGMENT6) & ~7
    if part < 8 or packet.network - packet.chunk < 8 + ethernet.HEADER or extension.is_extension(protocol):
        return TOO_BIG
    move(packet.network - 8, packet.network, ipv6.HEADER)
    packet.network -= 8
    packet.data -= 8
    packet.length += 8
    IPv6(packet.network).next_header = PROTOCOL_FRAGMENT
    ident = random_number(worker)
    known = net_of(worker).neighbours[index].state >= REACHABLE
    verdict = _first6(worker, packet, index, part, protocol, ident) if known else TOO_BIG
    at = part
    while at < length:
        octets = min(part, length - at)
        _piece6(worker, packet, index, at, octets, ident, 0 if at + octets == length else extension.MORE_FRAGMENTS)
        at += octets
    return verdict if known else _first6(worker, packet, index, part, protocol, ident)


@hot
def _first6(worker: Worker, packet: Packet, index: int, part: int, protocol: int, ident: int) -> int:
    IPv6(packet.network).length = 8 + part
    extension.emit_fragment(packet.network + ipv6.HEADER, protocol, 0, extension.MORE_FRAGMENTS, ident)
    packet.length = packet.network - packet.data + FRAGMENT6 + part
    return packet_output(worker, packet, index)


@hot
def _piece6(worker: Worker, packet: Packet, index: int, at: int, octets: int, ident: int, more: int) -> None:
    """Send `octets` octets that begin `at` octets into the payload."""
    piece = originate(worker)
    if piece.address == 0:
        return
    piece.network, piece.length = piece.data, FRAGMENT6 + octets
    piece.transport = piece.network + FRAGMENT6
    piece.family, piece.protocol = 6, packet.protocol
    copy(piece.network, packet.network, ipv6.HEADER)
    copy(piece.transport, packet.network + FRAGMENT6 + at, octets)
    IPv6(piece.network).length = 8 + octets
    extension.emit_fragment(piece.network + ipv6.HEADER, packet.protocol, at, more, ident)
    finish(worker, piece, packet_output(worker, piece, index))


@leaf
def fill_checksum(packet: Packet, protocol: int, octets: int) -> None:
    """Complete the layer-4 checksum of a CHECKSUM_PARTIAL packet of so many octets at packet.transport."""
    packet.flags &= ~CHECKSUM_PARTIAL
    place = 16 if protocol == PROTOCOL_TCP else 6
    if protocol == PROTOCOL_TCP or protocol == PROTOCOL_UDP:
        value = checksum.add(packet.transport, octets) ^ 0xFFFF
        store_be16(packet.transport + place, checksum.not_zero(value) if protocol == PROTOCOL_UDP else value)
