"""IGMP: who wants which IPv4 groups (version 3: RFC 3376; 2: RFC 2236; 1: RFC 1112).

A router's query names a group, or none; version 3's may name sources. Its version is told by its length, and 1 from 2
by the time for the answer (RFC 3376 7.1). A host's report of version 3 is a list of group records, and goes to
224.0.0.22; those of older versions name one group, and go to it.
"""

from pronghorn.compiled import View, be16, be32, hot, leaf, store_be16, store_be32, u8
from pronghorn.wire.checksum import add
from pronghorn.wire.reasons import GOOD, IGMP_BAD_CHECKSUM, IGMP_TRUNCATED

HEADER = 8  # octets; all of a message of version 1 or 2
QUERY3 = 12  # octets of a query of version 3 before its sources
RECORD = 8  # octets of a group record before its sources
SOURCE = 4
QUERY = 0x11
REPORT1 = 0x12
REPORT2 = 0x16
LEAVE = 0x17
REPORT3 = 0x22
ALL_ROUTERS = 0xE000_0002  # 224.0.0.2: where a leave goes
REPORTS = 0xE000_0016  # 224.0.0.22: where reports of version 3 go

# kinds of group records; MLD has the same
IS_INCLUDE, IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE, ALLOW, BLOCK = range(1, 7)

ROUTER_ALERT = 0x9404_0000
"""The IPv4 option that all messages carry (RFC 2113)."""


class Query(View, size=12):
    """A query; the second line is version 3's alone."""

    type: u8
    time: u8  # for the answer, tenths of a second; from 128 on a floating-point number. 0: version 1
    checksum: be16
    group: be32  # 0: all groups
    flags: u8  # suppress (8), the querier's robustness
    interval: u8
    sources: be16  # number of source addresses that follow


@hot
def check(address: int, octets: int) -> int:
    """The message at address, of so many octets: GOOD, or what is wrong. The sources of a query are there."""
    if octets < HEADER:
        return IGMP_TRUNCATED
    query = Query(address)
    if query.type == QUERY and octets >= QUERY3 and QUERY3 + SOURCE * query.sources > octets:
        return IGMP_TRUNCATED
    return GOOD if add(address, octets) == 0xFFFF else IGMP_BAD_CHECKSUM


@leaf
def version(query: Query, octets: int) -> int:
    """Version of a checked query: 1, 2 or 3; 0 for one of a length that no version has."""
    if octets >= QUERY3:
        return 3
    if octets != HEADER:
        return 0
    return 2 if query.time != 0 else 1


@leaf
def response_time(query: Query) -> int:
    """The most that an answer may take, in tenths of a second (RFC 3376 4.1.1); version 1 means ten seconds."""
    code = query.time
    if code == 0:
        return 100
    return code if code < 128 else ((code & 15) | 16) << ((code >> 4 & 7) + 3)


@leaf
def emit_short(address: int, kind: int, group: int) -> None:
    """Write a report or leave of version 1 or 2."""
    store_be32(address, kind << 24)
    store_be32(address + 4, group)
    store_be16(address + 2, add(address, HEADER) ^ 0xFFFF)


@leaf
def emit_record(address: int, kind: int, sources: int, group: int) -> None:
    """Write a group record, whose sources stand behind it already."""
    store_be32(address, kind << 24 | sources)
    store_be32(address + 4, group)


@leaf
def emit_report(address: int, records: int, octets: int) -> None:
    """Write the header of a report of version 3, of so many octets in all, before its records."""
    store_be32(address, REPORT3 << 24)
    store_be32(address + 4, records)
    store_be16(address + 2, add(address, octets) ^ 0xFFFF)
