"""IPv6 extension headers (RFC 8200 4; routing type 0: RFC 5095; limits: RFC 8504 5.3; fragments: RFC 7112, RFC 8021).

`walk` goes from the fixed header to the layer-4 header and stops with a reason at the first thing that is not in
order. Work is bounded: LIMIT headers, OPTIONS options in each. Hop-by-hop options stand first or not at all. No
routing header is obeyed: one that asks for further hops is refused, one that has none left is passed over. Options
that are not known are treated as their two high bits ask. The fragment header is located; what follows a first
fragment is walked on, for RFC 7112 wants all headers in it; what follows a later one is data. A fragment header in a
fragment is refused, and so is one around a whole packet, which nobody should send since RFC 8021.
"""

from pronghorn.compiled import View, be16, be32, hot, leaf, load8, u8
from pronghorn.wire.ipv6 import HEADER, IPv6
from pronghorn.wire.numbers import (
    PROTOCOL_AUTHENTICATION,
    PROTOCOL_DESTINATION_OPTIONS,
    PROTOCOL_FRAGMENT,
    PROTOCOL_HOP_BY_HOP,
    PROTOCOL_ROUTING,
)
from pronghorn.wire.reasons import (
    EXTENSION_BAD_OPTION,
    EXTENSION_FRAGMENT_ATOMIC,
    EXTENSION_FRAGMENT_NESTED,
    EXTENSION_HOP_BY_HOP,
    EXTENSION_JUMBO,
    EXTENSION_OPTION_DISCARD,
    EXTENSION_OPTION_REPORT,
    EXTENSION_OPTION_REPORT_UNICAST,
    EXTENSION_ROUTING,
    EXTENSION_TOO_MANY,
    EXTENSION_TOO_MANY_OPTIONS,
    EXTENSION_TRUNCATED,
    GOOD,
    IPV6_FRAGMENT_BEYOND,
    IPV6_FRAGMENT_EMPTY,
    IPV6_FRAGMENT_UNALIGNED,
)

LIMIT = 8  # headers
OPTIONS = 16  # options in a header, padding included
NEXT_HEADER = 6  # offset of the next-header field in the fixed header
OPTION_PAD1 = 0
OPTION_PADN = 1
OPTION_JUMBO = 0xC2
MORE_FRAGMENTS = 1
FRAGMENT_OFFSET = 0xFFF8  # mask; the value is in octets as it stands

KINDS = (  # a bit for each protocol number that is an extension header
    1 << PROTOCOL_HOP_BY_HOP
    | 1 << PROTOCOL_ROUTING
    | 1 << PROTOCOL_FRAGMENT
    | 1 << PROTOCOL_AUTHENTICATION
    | 1 << PROTOCOL_DESTINATION_OPTIONS
)


class Extension(View, size=2):
    """What every extension header begins with."""

    next_header: u8
    length: u8  # in units of 8 octets, the first 8 not counted


class Routing(View, size=4):
    """Start of a routing header."""

    next_header: u8
    length: u8
    kind: u8
    segments_left: u8


class Fragment(View, size=8):
    """The fragment header."""

    next_header: u8
    reserved: u8
    offset_flags: be16  # offset in octets (13 bits in place), MORE_FRAGMENTS
    ident: be32  # of the packet that the fragment belongs to


@leaf
def is_extension(protocol: int) -> bool:
    """Whether a protocol number is an extension header that `walk` passes."""
    return protocol < 64 and KINDS >> (protocol & 63) & 1 != 0


@hot
def walk(ip: IPv6, octets: int) -> tuple[int, int, int, int]:
    """From a checked IPv6 header, with octets from its start to the end of its payload, to layer 4.

    Returns (GOOD, protocol, offset, fragment): offset of the layer-4 header from the IPv6 header, and offset of the
    fragment header or 0. In a later fragment (offset field above 0) protocol is the first fragment's word for what
    follows, and there is no header at offset. Otherwise (reason, header, offset, fragment): the protocol number of the
    header in question and the offset of the octet that a Parameter Problem points at.
    """
    protocol = ip.next_header
    named_at = NEXT_HEADER
    at = HEADER
    fragment = 0
    count = 0
    while is_extension(protocol):
        if count == LIMIT:
            return EXTENSION_TOO_MANY, protocol, named_at, fragment
        if at + 8 > octets:
            return EXTENSION_TRUNCATED, protocol, at, fragment
        header = ip.address + at
        size = header_octets(header, protocol)
        if at + size > octets:
            return EXTENSION_TRUNCATED, protocol, at + 1, fragment
        if protocol == PROTOCOL_FRAGMENT:
            reason = check_fragment_header(Fragment(header), fragment)
            if reason != GOOD:
                return reason, protocol, named_at, fragment
            fragment = at
            if Fragment(header).offset_flags & FRAGMENT_OFFSET != 0:
                return GOOD, Fragment(header).next_header, at + 8, fragment
        elif protocol == PROTOCOL_ROUTING:
            if Routing(header).segments_left != 0:
                return EXTENSION_ROUTING, protocol, at + 2, fragment
        elif protocol != PROTOCOL_AUTHENTICATION:
            if protocol == PROTOCOL_HOP_BY_HOP and at != HEADER:
                return EXTENSION_HOP_BY_HOP, protocol, named_at, fragment
            reason, place = check_options(header, size)
            if reason != GOOD:
                return reason, protocol, at + place, fragment
        protocol = Extension(header).next_header
        named_at = at
        at += size
        count += 1
    return GOOD, protocol, at, fragment


@leaf
def header_octets(address: int, protocol: int) -> int:
    """Size of the extension header at address, as it states it."""
    if protocol == PROTOCOL_FRAGMENT:
        return 8
    if protocol == PROTOCOL_AUTHENTICATION:  # RFC 4302 2.2: units of 4, the first 8 octets not counted
        return (Extension(address).length + 2) << 2
    return (Extension(address).length + 1) << 3


@leaf
def check_fragment_header(header: Fragment, fragment: int) -> int:
    """A fragment header, with the offset of an earlier one or 0."""
    if fragment != 0 or header.next_header == PROTOCOL_FRAGMENT:
        return EXTENSION_FRAGMENT_NESTED
    if header.offset_flags & (FRAGMENT_OFFSET | MORE_FRAGMENTS) == 0:
        return EXTENSION_FRAGMENT_ATOMIC
    return GOOD


@hot
def check_options(address: int, octets: int) -> tuple[int, int]:
    """The options of the hop-by-hop or destination options header at address: a reason and the offset it is about."""
    i = 2
    count = 0
    while i < octets:
        if count == OPTIONS:
            return EXTENSION_TOO_MANY_OPTIONS, i
        count += 1
        kind = load8(address + i)
        if kind == OPTION_PAD1:
            i += 1
            continue
        if i + 2 > octets or i + 2 + load8(address + i + 1) > octets:
            return EXTENSION_BAD_OPTION, i
        if kind == OPTION_JUMBO:
            return EXTENSION_JUMBO, i
        if kind >> 6 != 0:  # RFC 8200 4.2: what to do with an option that is not known; 0 is to pass over it
            return refuse_option(kind >> 6), i
        i += 2 + load8(address + i + 1)
    return GOOD, 0


@leaf
def refuse_option(action: int) -> int:
    """The reason that the two high bits of an unknown option's number ask for."""
    if action == 1:
        return EXTENSION_OPTION_DISCARD
    return EXTENSION_OPTION_REPORT if action == 2 else EXTENSION_OPTION_REPORT_UNICAST


@leaf
def problem_code(reason: int) -> int:
    """Code of the ICMPv6 Parameter Problem that a reason of `walk` is reported with, or -1 for none (RFC 4443 3.4).

    EXTENSION_OPTION_REPORT is reported to the source of a multicast packet too, all others are not.
    """
    if reason == EXTENSION_ROUTING:
        return 0
    if reason == EXTENSION_HOP_BY_HOP:
        return 1
    if reason == EXTENSION_OPTION_REPORT or reason == EXTENSION_OPTION_REPORT_UNICAST:
        return 2
    return -1


@leaf
def check_fragment(header: Fragment, octets: int) -> int:
    """A fragment with this header and so many octets behind it: GOOD, or why it cannot be part of a packet."""
    if octets == 0:
        return IPV6_FRAGMENT_EMPTY
    if header.offset_flags & MORE_FRAGMENTS != 0 and octets & 7 != 0:
        return IPV6_FRAGMENT_UNALIGNED
    return IPV6_FRAGMENT_BEYOND if (header.offset_flags & FRAGMENT_OFFSET) + octets > 0xFFFF else GOOD


@leaf
def emit_fragment(address: int, next_header: int, offset: int, more: int, ident: int) -> None:
    """Write a fragment header; offset in octets, a multiple of 8; more is MORE_FRAGMENTS or 0."""
    header = Fragment(address)
    header.next_header = next_header
    header.reserved = 0
    header.offset_flags = offset | more
    header.ident = ident
