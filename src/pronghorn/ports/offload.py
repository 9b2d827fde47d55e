"""Layer-4 checksums that are not finished: where they are, whether one is, and finishing it.

Linux leaves a checksum to whoever puts the frame on a wire: the field then holds the folded sum of the pseudo header,
not complemented (CHECKSUM_PARTIAL, Documentation/networking/checksum-offloads.rst). Between the ends of a veth pair
nobody does, and AF_XDP hands such frames over without a word. They are recognised by the field itself: `is_partial`
compares it with the pseudo header's sum.

One in 65,535 frames with a finished checksum looks the same by chance. That does no harm: finishing it starts from the
pseudo header's sum, and so arrives at the checksum that was there. Only its verification is lost, which nobody needs on
a link within one machine.

TCP and UDP over IPv4 and IPv6, behind up to two VLAN tags; other layer-4 checksums Linux finishes itself. Extension
headers that carry no fragment are skipped (RFC 8200 4); a fragment never has an unfinished checksum.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, load8, load_be16, store_be16
from pronghorn.wire import checksum
from pronghorn.wire.ipv4 import IPv4, header_octets, is_fragment
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_SERVICE_VLAN,
    ETHERTYPE_VLAN,
    PROTOCOL_DESTINATION_OPTIONS,
    PROTOCOL_HOP_BY_HOP,
    PROTOCOL_ROUTING,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
)

_TAGS = 2
_IPV4, _IPV6, _UDP = 20, 40, 8  # octets of the shortest headers
_EXTENSIONS = 4
_TCP_FIELD = 16  # offsets of the checksum in the headers
UDP_FIELD = 6


@hot
def is_partial(data: int, length: int) -> bool:
    """Whether the frame's TCP or UDP checksum is the pseudo header's sum: unfinished (or, by chance, equal to it)."""
    start, field, pseudo, _, _ = _layer4(data, length)
    if start == 0:
        return False
    held = load_be16(data + start + field)
    return held != 0 and (held - checksum.fold(pseudo)) % 0xFFFF == 0


@hot
def checksum_place(data: int, length: int) -> tuple[int, int, int]:
    """Octets from the frame to its layer-4 header, from there to the checksum; family. All 0 for frames without."""
    start, field, _, _, family = _layer4(data, length)
    return start, field, family


@hot
def complete_checksum(data: int, length: int) -> None:
    """Finish an unfinished checksum; a frame that has none is left alone."""
    start, field, pseudo, octets, _ = _layer4(data, length)
    if start == 0:
        return
    store_be16(data + start + field, 0)
    finished = checksum.compute(pseudo, data + start, octets)
    store_be16(data + start + field, checksum.not_zero(finished) if field == UDP_FIELD else finished)


@hot
def unfinish_checksum(data: int, length: int) -> None:
    """Put the pseudo header's sum where the checksum is: whoever cuts the frame into segments finishes theirs."""
    start, field, pseudo, _, _ = _layer4(data, length)
    if start != 0:
        store_be16(data + start + field, checksum.fold(pseudo))


@hot
def _layer4(data: int, length: int) -> tuple[int, int, int, int, int]:
    """Offset of the TCP or UDP header, of its checksum in it; the pseudo header's total; octets it covers; family.

    All zero for other frames, and for those that are shorter than they say.
    """
    at = network_place(data, length)
    if at == 0:
        return 0, 0, 0, 0, 0
    kind = load_be16(data + at - 2)
    if kind == ETHERTYPE_IPV4:
        return _behind4(data, at, length)
    if kind == ETHERTYPE_IPV6:
        return _behind6(data, at, length)
    return 0, 0, 0, 0, 0


@leaf
def network_place(data: int, length: int) -> int:
    """Octets from the frame to its layer-3 header, right behind the EtherType; 0 when the frame is too short."""
    at = 14
    for _ in range(_TAGS):
        if length < at + 4:
            return 0
        kind = load_be16(data + at - 2)
        if kind != ETHERTYPE_VLAN and kind != ETHERTYPE_SERVICE_VLAN:
            break
        at += 4
    return at


@leaf
def _behind4(data: int, at: int, length: int) -> tuple[int, int, int, int, int]:
    """`_layer4` of the IPv4 header at offset `at`."""
    if length < at + _IPV4 + _UDP:
        return 0, 0, 0, 0, 0
    ip = IPv4(data + at)
    header = header_octets(ip)
    field, octets = _field(ip.protocol), ip.length - header
    if field == 0 or is_fragment(ip) or header < _IPV4 or octets < field + 2 or at + header + octets > length:
        return 0, 0, 0, 0, 0
    return at + header, field, checksum.pseudo4(ip.src, ip.dst, ip.protocol, octets), octets, 4


@hot
def _behind6(data: int, at: int, length: int) -> tuple[int, int, int, int, int]:
    """`_layer4` of the IPv6 header at offset `at`."""
    if length < at + _IPV6 + _UDP:
        return 0, 0, 0, 0, 0
    ip = IPv6(data + at)
    kind, start, end = ip.next_header, at + _IPV6, at + _IPV6 + ip.length
    for _ in range(_EXTENSIONS):
        if kind != PROTOCOL_HOP_BY_HOP and kind != PROTOCOL_ROUTING and kind != PROTOCOL_DESTINATION_OPTIONS:
            break
        if start + 8 > length:
            return 0, 0, 0, 0, 0
        kind, start = load8(data + start), start + 8 + 8 * load8(data + start + 1)
    field, octets = _field(kind), end - start
    if field == 0 or octets < field + 2 or end > length:
        return 0, 0, 0, 0, 0
    return start, field, checksum.pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, kind, octets), octets, 6


@leaf
def _field(protocol: int) -> int:
    """Offset of the checksum in the protocol's header; 0 for protocols other than TCP and UDP."""
    return _TCP_FIELD if protocol == PROTOCOL_TCP else UDP_FIELD if protocol == PROTOCOL_UDP else 0
