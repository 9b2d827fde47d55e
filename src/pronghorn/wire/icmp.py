"""ICMP for IPv4 (RFC 792, RFC 1122 3.2.2; next-hop MTU: RFC 1191; what may be believed: RFC 5927).

A message is type, code, checksum and four octets whose meaning is the type's: identifier and sequence of an echo, the
next-hop MTU of 'fragmentation needed', the pointer of a parameter problem. An error quotes the packet it is about:
`quote` finds the quoted layer-4 header, of which eight octets (the ports) are certain and no more.
"""

from pronghorn.compiled import View, be16, hot, leaf, store_be32, u8
from pronghorn.wire.checksum import add, apply, change16, not_zero
from pronghorn.wire.ipv4 import IPv4, header_octets, is_later_fragment
from pronghorn.wire.reasons import (
    GOOD,
    ICMP_BAD_CHECKSUM,
    ICMP_QUOTE_BAD,
    ICMP_QUOTE_FRAGMENT,
    ICMP_QUOTE_TRUNCATED,
    ICMP_TRUNCATED,
)

HEADER = 8  # octets
QUOTED = 8  # octets of the quoted packet's layer 4 that every error carries
ECHO_REPLY = 0
UNREACHABLE = 3
SOURCE_QUENCH = 4
REDIRECT = 5
ECHO_REQUEST = 8
TIME_EXCEEDED = 11
PARAMETER_PROBLEM = 12
# codes of UNREACHABLE
NETWORK_UNREACHABLE = 0
HOST_UNREACHABLE = 1
PROTOCOL_UNREACHABLE = 2
PORT_UNREACHABLE = 3
FRAGMENTATION_NEEDED = 4
ADMINISTRATIVELY_PROHIBITED = 13
# codes of TIME_EXCEEDED
TTL_EXCEEDED = 0
REASSEMBLY_EXCEEDED = 1

ERRORS = 1 << UNREACHABLE | 1 << SOURCE_QUENCH | 1 << REDIRECT | 1 << TIME_EXCEEDED | 1 << PARAMETER_PROBLEM


class ICMP(View, size=8):
    """The header, with the last four octets as an echo has them."""

    type: u8
    code: u8
    checksum: be16  # of the whole message
    identifier: be16
    sequence: be16  # in 'fragmentation needed': the next-hop MTU


@leaf
def is_error(kind: int) -> bool:
    """Whether a message of this type is an error and quotes a packet."""
    return kind < 16 and ERRORS >> (kind & 15) & 1 != 0


@leaf
def next_hop_mtu(message: ICMP) -> int:
    """MTU that a 'fragmentation needed' reports; 0 from routers older than RFC 1191."""
    return message.sequence


@leaf
def pointer(message: ICMP) -> int:
    """Offset that a parameter problem points at."""
    return message.identifier >> 8


@leaf
def check(address: int, octets: int) -> int:
    """The ICMP message at address: GOOD, or truncated. The checksum is `verify`'s, a quoted packet `quote`'s."""
    return ICMP_TRUNCATED if octets < HEADER else GOOD


@hot
def verify(address: int, octets: int) -> int:
    """The checksum of the message: GOOD or ICMP_BAD_CHECKSUM."""
    return GOOD if add(address, octets) == 0xFFFF else ICMP_BAD_CHECKSUM


@hot
def quote(address: int, octets: int) -> tuple[int, int, int]:
    """The packet quoted by the error at address: (GOOD, protocol, offset of its layer-4 header from address).

    Its IPv4 header is at address + HEADER. Eight octets are there from the offset on. Otherwise (reason, 0, 0).
    Options are passed over, a header checksum is not asked for: routers change the header before they quote it.
    """
    left = octets - HEADER
    if left < 20:
        return ICMP_QUOTE_TRUNCATED, 0, 0
    ip = IPv4(address + HEADER)
    header = header_octets(ip)
    if ip.version_ihl >> 4 != 4 or header < 20 or ip.length < header:
        return ICMP_QUOTE_BAD, 0, 0
    if header + QUOTED > left:
        return ICMP_QUOTE_TRUNCATED, 0, 0
    if is_later_fragment(ip):
        return ICMP_QUOTE_FRAGMENT, 0, 0
    return GOOD, ip.protocol, HEADER + header


@hot
def emit(address: int, kind: int, code: int, rest: int, octets: int) -> None:
    """Write a header before a payload that is already there; octets is the whole message. Checksum included."""
    store_be32(address, kind << 24 | code << 16)
    store_be32(address + 4, rest)
    ICMP(address).checksum = add(address, octets) ^ 0xFFFF


@leaf
def change_checksum(message: ICMP, change: int) -> int:
    """The checksum after a change. 0xffff stands for 0: it is right, too, and alone right for a message of zeros."""
    return not_zero(apply(message.checksum, change))


@leaf
def emit_echo_reply(message: ICMP) -> None:
    """Turn an echo request into its reply in place, checksum included; addresses are the IP header's matter."""
    message.type = ECHO_REPLY
    message.checksum = change_checksum(message, change16(ECHO_REQUEST << 8, ECHO_REPLY << 8))


@leaf
def rewrite_identifier(message: ICMP, identifier: int) -> None:
    """Set the identifier of an echo, checksum included."""
    message.checksum = change_checksum(message, change16(message.identifier, identifier))
    message.identifier = identifier
