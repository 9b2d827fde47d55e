"""UDP headers (RFC 768; over IPv6: RFC 8200 8.1).

The length must be what the IP header leaves for it: a shorter one would hide octets from whoever looks at one length
and not at the other. A checksum of 0 means 'none' over IPv4 and is refused over IPv6; a computed 0 is sent as 0xffff.
"""

from pronghorn.compiled import View, be16, hot, leaf
from pronghorn.wire.checksum import (
    agrees,
    apply,
    apply_udp,
    change16,
    compute,
    fold,
    not_zero,
    pseudo4,
    pseudo6,
)
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_UDP
from pronghorn.wire.reasons import GOOD, UDP_BAD_CHECKSUM, UDP_BAD_LENGTH, UDP_NO_CHECKSUM, UDP_TRUNCATED

HEADER = 8  # octets


class UDP(View, size=8):
    """The header."""

    sport: be16
    dport: be16
    length: be16  # octets, header included
    checksum: be16  # of pseudo header, header and payload; 0 for none


@leaf
def check(address: int, octets: int) -> int:
    """The UDP header at address; octets is what the IP header states for it. GOOD, or what is wrong."""
    if octets < HEADER:
        return UDP_TRUNCATED
    return GOOD if UDP(address).length == octets else UDP_BAD_LENGTH


@hot
def verify4(ip: IPv4, udp: UDP) -> int:
    """The checksum of a checked datagram over IPv4: GOOD or UDP_BAD_CHECKSUM."""
    if udp.checksum == 0:
        return GOOD
    octets = udp.length
    good = agrees(pseudo4(ip.src, ip.dst, PROTOCOL_UDP, octets), udp.address, octets)
    return GOOD if good else UDP_BAD_CHECKSUM


@hot
def verify6(ip: IPv6, udp: UDP) -> int:
    """The checksum of a checked datagram over IPv6: GOOD, UDP_NO_CHECKSUM or UDP_BAD_CHECKSUM."""
    if udp.checksum == 0:
        return UDP_NO_CHECKSUM
    octets = udp.length
    pseudo = pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, PROTOCOL_UDP, octets)
    return GOOD if agrees(pseudo, udp.address, octets) else UDP_BAD_CHECKSUM


@leaf
def emit(address: int, sport: int, dport: int, length: int) -> None:
    """Write a header without a checksum; length counts the header."""
    udp = UDP(address)
    udp.sport = sport
    udp.dport = dport
    udp.length = length
    udp.checksum = 0


@hot
def fill_checksum4(ip: IPv4, udp: UDP) -> None:
    """Compute the checksum of a datagram over IPv4."""
    octets = udp.length
    udp.checksum = 0
    pseudo = pseudo4(ip.src, ip.dst, PROTOCOL_UDP, octets)
    udp.checksum = not_zero(compute(pseudo, udp.address, octets))


@hot
def fill_checksum6(ip: IPv6, udp: UDP) -> None:
    """Compute the checksum of a datagram over IPv6."""
    octets = udp.length
    udp.checksum = 0
    pseudo = pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, PROTOCOL_UDP, octets)
    udp.checksum = not_zero(compute(pseudo, udp.address, octets))


@leaf
def fill_partial4(ip: IPv4, udp: UDP) -> None:
    """Leave the rest to a port that sums: the field holds the pseudo header's sum, not complemented."""
    udp.checksum = fold(pseudo4(ip.src, ip.dst, PROTOCOL_UDP, udp.length))


@leaf
def fill_partial6(ip: IPv6, udp: UDP) -> None:
    """The same over IPv6."""
    udp.checksum = fold(pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, PROTOCOL_UDP, udp.length))


@leaf
def rewrite_ports(udp: UDP, sport: int, dport: int, change: int) -> None:
    """Set both ports, checksum included; change is what the addresses' rewrite returned. Over IPv4 and IPv6."""
    change += change16(udp.sport, sport) + change16(udp.dport, dport)
    udp.checksum = apply_udp(udp.checksum, change)
    udp.sport = sport
    udp.dport = dport


@leaf
def rewrite_ports_partial(udp: UDP, sport: int, dport: int, change: int) -> None:
    """The same where the checksum field holds the pseudo header's sum alone: ports are not in it yet."""
    udp.checksum = apply(udp.checksum ^ 0xFFFF, change) ^ 0xFFFF
    udp.sport = sport
    udp.dport = dport
