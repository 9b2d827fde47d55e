"""IPv6 headers (RFC 8200; addresses: RFC 4291; extension headers are in extension.py).

An address is two halves of 64 bits, read as signed numbers: `hi` names the network, `lo` the interface. Equality does
not care about the sign; prefixes are compared after a shift and a mask. There is no header checksum, so what a
middlebox rewrites changes only the checksum of layer 4.

A payload length of 0 (a jumbogram, RFC 2675) ends as a header whose payload is missing; jumbograms are not supported.
"""

from pronghorn.compiled import View, be16, be32, be64, leaf, u8
from pronghorn.wire.checksum import change_address6
from pronghorn.wire.reasons import (
    GOOD,
    IPV6_BAD_LENGTH,
    IPV6_BAD_VERSION,
    IPV6_LAND,
    IPV6_MARTIAN_DESTINATION,
    IPV6_MARTIAN_SOURCE,
    IPV6_TRUNCATED,
    IPV6_UNSPECIFIED_SOURCE,
)

HEADER = 40  # octets
MINIMUM_MTU = 1280
ALL_NODES_HI = (0xFF02 - 0x10000) << 48  # ff02::1, and the first half of every link-local group
ALL_NODES_LO = 1
ALL_ROUTERS_LO = 2
SOLICITED_NODE_LO = 0x1_FF00_0000  # ff02::1:ff00:0/104, RFC 4291 2.7.1


class IPv6(View, size=40):
    """The fixed header."""

    version_class_flow: be32  # version 6 (4 bits), traffic class (8), flow label (20)
    length: be16  # octets after this header
    next_header: u8  # protocol of what follows
    hop_limit: u8
    src_hi: be64
    src_lo: be64
    dst_hi: be64
    dst_lo: be64


@leaf
def traffic_class(ip: IPv6) -> int:
    """DSCP and ECN."""
    return ip.version_class_flow >> 20 & 0xFF


@leaf
def flow_label(ip: IPv6) -> int:
    """The flow label, 20 bits."""
    return ip.version_class_flow & 0xF_FFFF


# --- check --------------------------------------------------------------------------------------------------------


@leaf
def check(address: int, octets: int) -> int:
    """The IPv6 header at address: GOOD, or what is wrong with it."""
    if octets < HEADER:
        return IPV6_TRUNCATED
    ip = IPv6(address)
    if ip.version_class_flow >> 28 != 6:
        return IPV6_BAD_VERSION
    return IPV6_BAD_LENGTH if ip.length + HEADER > octets else GOOD


@leaf
def is_multicast(hi: int) -> bool:
    """Whether an address with this first half is a group, ff00::/8."""
    return hi >> 56 & 0xFF == 0xFF


@leaf
def is_link_local(hi: int) -> bool:
    """Whether an address with this first half is on its link only, fe80::/10."""
    return hi >> 54 & 0x3FF == 0x3FA


@leaf
def is_receiver(hi: int) -> bool:
    """Whether an address with this first half can be a destination on a network.

    Not ::/64 (unspecified, loopback, IPv4-mapped and -compatible), not groups of scope 0 and 1 (RFC 4291 2.7).
    """
    return hi != 0 and (hi >> 56 & 0xFF != 0xFF or hi >> 48 & 0xF > 1)


@leaf
def check_addresses(ip: IPv6) -> int:
    """Source and destination of a header: GOOD, LAND, an unspecified source, or which one is a martian."""
    hi, lo = ip.src_hi, ip.src_lo
    if hi == 0:
        return IPV6_UNSPECIFIED_SOURCE if lo == 0 else IPV6_MARTIAN_SOURCE
    if is_multicast(hi):
        return IPV6_MARTIAN_SOURCE
    if not is_receiver(ip.dst_hi):
        return IPV6_MARTIAN_DESTINATION
    return IPV6_LAND if hi == ip.dst_hi and lo == ip.dst_lo else GOOD


@leaf
def group_mac(lo: int) -> int:
    """Ethernet address of a group with this second half (RFC 2464 7)."""
    return 0x3333_0000_0000 | lo & 0xFFFF_FFFF


@leaf
def solicited_node_lo(lo: int) -> int:
    """Second half of the solicited-node group of an address; the first is ALL_NODES_HI (RFC 4291 2.7.1)."""
    return SOLICITED_NODE_LO | lo & 0xFF_FFFF


# --- emit ---------------------------------------------------------------------------------------------------------


@leaf
def emit(
    address: int, class_flow: int, length: int, next_header: int, hop_limit: int,
    src_hi: int, src_lo: int, dst_hi: int, dst_lo: int,
) -> None:  # fmt: skip
    """Write a header; class_flow is traffic class and flow label (28 bits), length counts what follows the header."""
    ip = IPv6(address)
    ip.version_class_flow = 6 << 28 | class_flow
    ip.length = length
    ip.next_header = next_header
    ip.hop_limit = hop_limit
    ip.src_hi = src_hi
    ip.src_lo = src_lo
    ip.dst_hi = dst_hi
    ip.dst_lo = dst_lo


# --- incremental --------------------------------------------------------------------------------------------------


@leaf
def decrement_hop_limit(ip: IPv6) -> None:
    """One hop less; the hop limit is above 0."""
    ip.hop_limit -= 1


@leaf
def rewrite_addresses(ip: IPv6, src_hi: int, src_lo: int, dst_hi: int, dst_lo: int) -> int:
    """Set both addresses. Returns the change for layer 4's checksum."""
    change = change_address6(ip.src_hi, ip.src_lo, src_hi, src_lo)
    change += change_address6(ip.dst_hi, ip.dst_lo, dst_hi, dst_lo)
    ip.src_hi = src_hi
    ip.src_lo = src_lo
    ip.dst_hi = dst_hi
    ip.dst_lo = dst_lo
    return change


@leaf
def rewrite_source(ip: IPv6, hi: int, lo: int) -> int:
    """Set the source alone; as rewrite_addresses."""
    change = change_address6(ip.src_hi, ip.src_lo, hi, lo)
    ip.src_hi = hi
    ip.src_lo = lo
    return change


@leaf
def rewrite_destination(ip: IPv6, hi: int, lo: int) -> int:
    """Set the destination alone; as rewrite_addresses."""
    change = change_address6(ip.dst_hi, ip.dst_lo, hi, lo)
    ip.dst_hi = hi
    ip.dst_lo = lo
    return change
