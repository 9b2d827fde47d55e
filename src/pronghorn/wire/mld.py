"""Multicast listener discovery: IGMP for IPv6, in ICMPv6 (version 2: RFC 3810; 1: RFC 2710).

Kinds of group records are IGMP's. A report of version 2 goes to ff02::16; one of version 1 to the group.
"""

from pronghorn.compiled import View, be16, be64, hot, leaf, store_be32, store_be64, u8
from pronghorn.wire.ipv6 import IPv6, is_link_local
from pronghorn.wire.reasons import GOOD, MLD_BAD_SENDER, MLD_TRUNCATED

HEADER = 24  # octets; all of a message of version 1
QUERY2 = 28  # octets of a query of version 2 before its sources
REPORT_HEADER = 8
RECORD = 20  # octets of a group record before its sources
SOURCE = 16
QUERY = 130
REPORT1 = 131
DONE = 132
REPORT2 = 143
REPORTS_LO = 0x16  # second half of ff02::16

ROUTER_ALERT = 0x0502_0000
ALERT_OCTETS = 8
"""A hop-by-hop header with the router alert option (RFC 2711), which all messages carry, and its octets."""


class Query(View, size=28):
    """A query, with the ICMPv6 header; the last line is version 2's alone."""

    type: u8
    code: u8
    checksum: be16
    time: be16  # for the answer, ms; from 32768 on a floating-point number
    reserved: be16
    group_hi: be64  # zero: all groups
    group_lo: be64
    flags: u8  # suppress (8), the querier's robustness
    interval: u8
    sources: be16  # number of source addresses that follow


@hot
def check(ip: IPv6, address: int, octets: int) -> int:
    """The query at address (RFC 3810 5.1.14, 6.2): GOOD, or what is wrong. Its checksum is ICMPv6's matter."""
    if octets < HEADER or (octets >= QUERY2 and QUERY2 + SOURCE * Query(address).sources > octets):
        return MLD_TRUNCATED
    if ip.hop_limit != 1 or not is_link_local(ip.src_hi):
        return MLD_BAD_SENDER
    return GOOD


@leaf
def version(octets: int) -> int:
    """Version of a checked query: 1 or 2; 0 for one of a length that no version has."""
    if octets >= QUERY2:
        return 2
    return 1 if octets == HEADER else 0


@leaf
def response_time(query: Query, version: int) -> int:
    """The most that an answer may take, in ms (RFC 3810 5.1.3)."""
    code = query.time
    if version == 1 or code < 32768:
        return code
    return ((code & 0xFFF) | 0x1000) << ((code >> 12 & 7) + 3)


@leaf
def emit_record(address: int, kind: int, sources: int, hi: int, lo: int) -> None:
    """Write a group record, whose sources stand behind it already."""
    store_be32(address, kind << 24 | sources)
    store_be64(address + 4, hi)
    store_be64(address + 12, lo)


@leaf
def emit_alert(address: int, following: int) -> None:
    """Write the hop-by-hop header before a header of kind `following`."""
    store_be32(address, following << 24 | ROUTER_ALERT >> 16)
    store_be32(address + 4, 0x0000_0100)
