"""IPv4 headers (RFC 791, RFC 1122 3.2.1; options: RFC 7126; martians: RFC 1812 5.3.7).

`check` holds a header against the octets that are there; a frame may be longer than the total length (padding), never
shorter. The header without options, which is nearly all there is, is a straight line; options take a second function:
each must fit its header, source routes are refused, and nothing else in them is obeyed.

Fragments and addresses are judged apart (`check_fragment`, `check_addresses`): a bridge or a translator does not ask.
"""

from pronghorn.compiled import View, be16, be32, hot, leaf, load8, u8
from pronghorn.wire.checksum import add, apply, change32, finish, is_good20
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.reasons import (
    GOOD,
    IPV4_BAD_CHECKSUM,
    IPV4_BAD_IHL,
    IPV4_BAD_LENGTH,
    IPV4_BAD_OPTION,
    IPV4_BAD_VERSION,
    IPV4_FRAGMENT_BEYOND,
    IPV4_FRAGMENT_EMPTY,
    IPV4_FRAGMENT_TINY,
    IPV4_FRAGMENT_UNALIGNED,
    IPV4_LAND,
    IPV4_MARTIAN_DESTINATION,
    IPV4_MARTIAN_SOURCE,
    IPV4_SOURCE_ROUTE,
    IPV4_TRUNCATED,
)

HEADER = 20  # octets without options
PLAIN = 0x45  # version 4, no options
BROADCAST = 0xFFFF_FFFF
DO_NOT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
FRAGMENT_OFFSET = 0x1FFF  # mask; unit 8 octets
OPTION_END = 0
OPTION_NOTHING = 1
OPTION_RECORD_ROUTE = 7
OPTION_TIMESTAMP = 68
OPTION_LOOSE_ROUTE = 131
OPTION_STRICT_ROUTE = 137


class IPv4(View, size=20):
    """The header, options left out."""

    version_ihl: u8  # version 4 and header length in units of 4 octets
    tos: u8  # DSCP and ECN
    length: be16  # octets, header included
    ident: be16  # of the datagram that a fragment belongs to
    fragment: be16  # DO_NOT_FRAGMENT, MORE_FRAGMENTS, offset
    ttl: u8
    protocol: u8  # of the payload
    checksum: be16  # of the header
    src: be32
    dst: be32


@leaf
def header_octets(ip: IPv4) -> int:
    """Octets of the header, options included."""
    return (ip.version_ihl & 15) << 2


@leaf
def is_fragment(ip: IPv4) -> bool:
    """Whether this is a part of a datagram, the first included."""
    return ip.fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0


@leaf
def is_later_fragment(ip: IPv4) -> bool:
    """Whether this is a part other than the first: there is no layer-4 header in it."""
    return ip.fragment & FRAGMENT_OFFSET != 0


# --- check --------------------------------------------------------------------------------------------------------


@leaf
def check(address: int, octets: int) -> int:
    """The IPv4 header at address: GOOD, or what is wrong with it."""
    if octets < HEADER:
        return IPV4_TRUNCATED
    ip = IPv4(address)
    if ip.version_ihl != PLAIN:
        return check_unusual(address, octets)
    length = ip.length
    if length < HEADER or length > octets:
        return IPV4_BAD_LENGTH
    return GOOD if is_good20(address) else IPV4_BAD_CHECKSUM


@hot
def check_unusual(address: int, octets: int) -> int:
    """The same for a header that has options, or is not IPv4, of which 20 octets are there."""
    ip = IPv4(address)
    if ip.version_ihl >> 4 != 4:
        return IPV4_BAD_VERSION
    header = header_octets(ip)
    if header < HEADER or header > octets:
        return IPV4_BAD_IHL
    if ip.length < header or ip.length > octets:
        return IPV4_BAD_LENGTH
    if add(address, header) != 0xFFFF:
        return IPV4_BAD_CHECKSUM
    return check_options(address + HEADER, header - HEADER)


@hot
def check_options(address: int, octets: int) -> int:
    """The options at address: GOOD, a source route, or one that does not fit."""
    i = 0
    while i < octets:
        kind = load8(address + i)
        if kind == OPTION_END:
            return GOOD
        if kind == OPTION_NOTHING:
            i += 1
            continue
        if i + 2 > octets:
            return IPV4_BAD_OPTION
        size = load8(address + i + 1)
        if size < 2 or i + size > octets:
            return IPV4_BAD_OPTION
        if kind == OPTION_LOOSE_ROUTE or kind == OPTION_STRICT_ROUTE:
            return IPV4_SOURCE_ROUTE
        if is_bad_record(address + i, kind, size):
            return IPV4_BAD_OPTION
        i += size
    return GOOD


@leaf
def is_bad_record(address: int, kind: int, size: int) -> bool:
    """Whether the option of this kind and size at address records into places that it does not have.

    A pointer beyond the option says that it is full (RFC 791 3.1); one that leaves less than an entry is an error.
    """
    if kind != OPTION_RECORD_ROUTE and kind != OPTION_TIMESTAMP:
        return False
    first = 4 if kind == OPTION_RECORD_ROUTE else 5  # where the first entry is, counted from 1
    if size < first - 1:
        return True
    pointer = load8(address + 2)
    return pointer < first or (pointer <= size and pointer + 3 > size)


@hot
def check_fragment(ip: IPv4) -> int:
    """A fragment with a good header: GOOD, or why it cannot be part of a datagram."""
    octets = ip.length - header_octets(ip)
    start = (ip.fragment & FRAGMENT_OFFSET) << 3
    if octets == 0:
        return IPV4_FRAGMENT_EMPTY
    if ip.fragment & MORE_FRAGMENTS != 0 and octets & 7 != 0:
        return IPV4_FRAGMENT_UNALIGNED
    if header_octets(ip) + start + octets > 0xFFFF:
        return IPV4_FRAGMENT_BEYOND
    # RFC 1858, RFC 3128: a TCP header is in one piece, or it escapes filters
    if ip.protocol == PROTOCOL_TCP and (start == 8 or (start == 0 and octets < 20)):
        return IPV4_FRAGMENT_TINY
    return GOOD


# --- addresses ----------------------------------------------------------------------------------------------------


@leaf
def is_multicast(ip: int) -> bool:
    """Whether an address is a group, 224/4."""
    return ip >> 28 == 14


@leaf
def is_sender(ip: int) -> bool:
    """Whether an address can be a source on a network: not 0/8, 127/8, a group, reserved or broadcast."""
    first = ip >> 24
    return first != 0 and first != 127 and first < 224


@leaf
def is_receiver(ip: int) -> bool:
    """Whether an address can be a destination on a network: not 0/8, 127/8 or reserved; broadcast and groups can."""
    first = ip >> 24
    return first != 0 and first != 127 and (first < 240 or ip == BROADCAST)


@leaf
def check_addresses(ip: IPv4) -> int:
    """Source and destination of a header: GOOD, LAND, or which one is a martian."""
    src, dst = ip.src, ip.dst
    if not is_sender(src):
        return IPV4_MARTIAN_SOURCE
    if not is_receiver(dst):
        return IPV4_MARTIAN_DESTINATION
    return IPV4_LAND if src == dst else GOOD


@leaf
def group_mac(ip: int) -> int:
    """Ethernet address of a group (RFC 1112 6.4)."""
    return 0x0100_5E00_0000 | ip & 0x007F_FFFF


# --- emit ---------------------------------------------------------------------------------------------------------


@leaf
def emit(
    address: int, tos: int, length: int, ident: int, fragment: int, ttl: int, protocol: int, src: int, dst: int
) -> None:
    """Write a header without options, its checksum included; length counts the header."""
    ip = IPv4(address)
    ip.version_ihl = PLAIN
    ip.tos = tos
    ip.length = length
    ip.ident = ident
    ip.fragment = fragment
    ip.ttl = ttl
    ip.protocol = protocol
    ip.checksum = finish((PLAIN << 8 | tos) + length + ident + fragment + (ttl << 8 | protocol) + src + dst)
    ip.src = src
    ip.dst = dst


@hot
def fill_checksum(ip: IPv4) -> None:
    """Compute the header checksum anew, options included."""
    ip.checksum = 0
    ip.checksum = add(ip.address, header_octets(ip)) ^ 0xFFFF


# --- incremental --------------------------------------------------------------------------------------------------


@leaf
def decrement_ttl(ip: IPv4) -> None:
    """One hop less, checksum included; the TTL is above 0."""
    ip.ttl -= 1
    ip.checksum = apply(ip.checksum, 0xFEFF)  # the word of TTL and protocol lost 0x0100


@leaf
def rewrite_addresses(ip: IPv4, src: int, dst: int) -> int:
    """Set both addresses, header checksum included. Returns the change, which layer 4's checksum needs too."""
    change = change32(ip.src, src) + change32(ip.dst, dst)
    ip.checksum = apply(ip.checksum, change)
    ip.src = src
    ip.dst = dst
    return change


@leaf
def rewrite_source(ip: IPv4, src: int) -> int:
    """Set the source alone; as rewrite_addresses."""
    change = change32(ip.src, src)
    ip.checksum = apply(ip.checksum, change)
    ip.src = src
    return change


@leaf
def rewrite_destination(ip: IPv4, dst: int) -> int:
    """Set the destination alone; as rewrite_addresses."""
    change = change32(ip.dst, dst)
    ip.checksum = apply(ip.checksum, change)
    ip.dst = dst
    return change


@leaf
def rewrite_hop(ip: IPv4, src: int, dst: int) -> int:
    """Set both addresses and take one hop, all in one checksum update. Returns the change of the addresses."""
    change = change32(ip.src, src) + change32(ip.dst, dst)
    ip.checksum = apply(ip.checksum, change + 0xFEFF)
    ip.ttl -= 1
    ip.src = src
    ip.dst = dst
    return change
