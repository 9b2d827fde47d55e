"""ICMPv6 (RFC 4443); neighbour discovery is in ndp.py.

As ICMP for IPv4, with other numbers, and with IPv6's pseudo header in the checksum. Types below 128 are errors.
"""

from pronghorn.compiled import View, be16, hot, leaf, load_be32, store_be32, u8
from pronghorn.wire.checksum import agrees, apply, change16, compute, pseudo6
from pronghorn.wire.extension import FRAGMENT_OFFSET, Fragment, walk
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_ICMPV6
from pronghorn.wire.reasons import (
    EXTENSION_TRUNCATED,
    GOOD,
    ICMPV6_BAD_CHECKSUM,
    ICMPV6_QUOTE_BAD,
    ICMPV6_QUOTE_FRAGMENT,
    ICMPV6_QUOTE_TRUNCATED,
    ICMPV6_TRUNCATED,
)

HEADER = 8  # octets; the shortest messages end here
QUOTED = 8  # octets of the quoted packet's layer 4 that are asked for
UNREACHABLE = 1
TOO_BIG = 2
TIME_EXCEEDED = 3
PARAMETER_PROBLEM = 4
ECHO_REQUEST = 128
ECHO_REPLY = 129
ROUTER_SOLICITATION = 133
ROUTER_ADVERTISEMENT = 134
NEIGHBOUR_SOLICITATION = 135
NEIGHBOUR_ADVERTISEMENT = 136
REDIRECT = 137
# codes of UNREACHABLE
NO_ROUTE = 0
ADMINISTRATIVELY_PROHIBITED = 1
ADDRESS_UNREACHABLE = 3
PORT_UNREACHABLE = 4
# codes of TIME_EXCEEDED
HOP_LIMIT_EXCEEDED = 0
REASSEMBLY_EXCEEDED = 1
# codes of PARAMETER_PROBLEM
BAD_FIELD = 0
UNKNOWN_NEXT_HEADER = 1
UNKNOWN_OPTION = 2


class ICMPv6(View, size=8):
    """The header, with the last four octets as an echo has them."""

    type: u8
    code: u8
    checksum: be16  # of pseudo header and the whole message
    identifier: be16
    sequence: be16


@leaf
def is_error(kind: int) -> bool:
    """Whether a message of this type is an error and quotes a packet."""
    return kind < 128


@leaf
def is_discovery(kind: int) -> bool:
    """Whether a message of this type is neighbour discovery."""
    return ROUTER_SOLICITATION <= kind <= REDIRECT


@leaf
def next_hop_mtu(message: ICMPv6) -> int:
    """MTU that a TOO_BIG reports."""
    return load_be32(message.address + 4)


@leaf
def pointer(message: ICMPv6) -> int:
    """Offset that a parameter problem points at."""
    return load_be32(message.address + 4)


@leaf
def check(address: int, octets: int) -> int:
    """The ICMPv6 message at address: GOOD, or truncated. The checksum is `verify`'s, a quoted packet `quote`'s."""
    return ICMPV6_TRUNCATED if octets < HEADER else GOOD


@hot
def verify(ip: IPv6, address: int, octets: int) -> int:
    """The checksum of the message: GOOD or ICMPV6_BAD_CHECKSUM."""
    pseudo = pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, PROTOCOL_ICMPV6, octets)
    return GOOD if agrees(pseudo, address, octets) else ICMPV6_BAD_CHECKSUM


@hot
def quote(address: int, octets: int) -> tuple[int, int, int]:
    """The packet quoted by the error at address: (GOOD, protocol, offset of its layer-4 header from address).

    Its IPv6 header is at address + HEADER. Eight octets are there from the offset on. Otherwise (reason, 0, 0).
    """
    left = octets - HEADER
    if left < 40:
        return ICMPV6_QUOTE_TRUNCATED, 0, 0
    ip = IPv6(address + HEADER)
    if ip.version_class_flow >> 28 != 6:
        return ICMPV6_QUOTE_BAD, 0, 0
    reason, protocol, at, fragment = walk(ip, left)
    if reason == EXTENSION_TRUNCATED:
        return ICMPV6_QUOTE_TRUNCATED, 0, 0
    if reason != GOOD:
        return ICMPV6_QUOTE_BAD, 0, 0
    if fragment != 0 and Fragment(ip.address + fragment).offset_flags & FRAGMENT_OFFSET != 0:
        return ICMPV6_QUOTE_FRAGMENT, 0, 0
    if at + QUOTED > left:
        return ICMPV6_QUOTE_TRUNCATED, 0, 0
    return GOOD, protocol, HEADER + at


@hot
def emit(ip: IPv6, address: int, kind: int, code: int, rest: int, octets: int) -> None:
    """Write a header before a payload that is already there; octets is the whole message. Checksum included."""
    store_be32(address, kind << 24 | code << 16)
    store_be32(address + 4, rest)
    fill_checksum(ip, address, octets)


@hot
def fill_checksum(ip: IPv6, address: int, octets: int) -> None:
    """Compute the checksum of the message at address."""
    message = ICMPv6(address)
    message.checksum = 0
    pseudo = pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, PROTOCOL_ICMPV6, octets)
    message.checksum = compute(pseudo, address, octets)


@leaf
def emit_echo_reply(message: ICMPv6) -> None:
    """Turn an echo request into its reply in place, checksum included: swapped addresses sum to the same."""
    message.type = ECHO_REPLY
    message.checksum = apply(message.checksum, change16(ECHO_REQUEST << 8, ECHO_REPLY << 8))


@leaf
def rewrite_identifier(message: ICMPv6, identifier: int, change: int) -> None:
    """Set the identifier of an echo, checksum included; change is what the addresses' rewrite returned."""
    message.checksum = apply(message.checksum, change + change16(message.identifier, identifier))
    message.identifier = identifier
