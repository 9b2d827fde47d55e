"""SCTP headers (RFC 9260 3.1 to 3.3): what who passes packets on must know of them.

A packet is a common header and chunks, each a multiple of 4 octets with its padding. `check` wants a whole first chunk,
ports, and the verification tag that the first chunk allows: INIT has none and comes alone (8.5.1, 6.10). `kinds` says
which chunks a packet has. Both look at LIMIT chunks at most, which is more than matter: what opens and closes an
association stands in front.

The checksum is a CRC32c over everything with the checksum field as zeros. Ports are changed by difference, so that a
wrong one stays wrong.

Left out: what is in chunks. Addresses that INIT lists (5.1.2 A) are left alone: an association through a balancer uses
those of the IP headers.
"""

from pronghorn.compiled import View, be16, be32, hot, leaf, load32, store32, u8, u32
from pronghorn.wire.crc32c import ONES, change32, extend, shift
from pronghorn.wire.reasons import (
    GOOD,
    SCTP_BAD_CHUNK,
    SCTP_BAD_INIT,
    SCTP_BAD_PORT,
    SCTP_BAD_TAG,
    SCTP_TRUNCATED,
)

HEADER = 12  # octets
CHUNK = 4  # octets of a chunk's header
INIT_LEAST = 20  # octets of an INIT chunk without parameters
LIMIT = 32  # chunks that are looked at

# types of chunks
DATA = 0
INIT = 1
INIT_ACK = 2
ABORT = 6
SHUTDOWN = 7
SHUTDOWN_ACK = 8
COOKIE_ECHO = 10
COOKIE_ACK = 11
SHUTDOWN_COMPLETE = 14


class SCTP(View, size=12):
    """The common header."""

    sport: be16
    dport: be16
    tag: be32  # the receiver's; 0 before it has told one
    checksum: u32  # least significant octet first


class Chunk(View, size=4):
    """The start of a chunk."""

    kind: u8
    flags: u8
    length: be16  # octets, header included, padding not


@hot
def check(address: int, octets: int) -> int:
    """The SCTP packet at address: GOOD, or what is wrong with its header and first chunk."""
    if octets < HEADER + CHUNK:
        return SCTP_TRUNCATED
    header, chunk = SCTP(address), Chunk(address + HEADER)
    if header.sport == 0 or header.dport == 0:
        return SCTP_BAD_PORT
    length = chunk.length
    if length < CHUNK or HEADER + length > octets:
        return SCTP_BAD_CHUNK
    if chunk.kind == INIT:
        if length < INIT_LEAST or HEADER + (length + 3 & ~3) < octets:
            return SCTP_BAD_INIT
        return GOOD if header.tag == 0 else SCTP_BAD_TAG
    return GOOD if header.tag != 0 else SCTP_BAD_TAG


@hot
def kinds(address: int, octets: int) -> int:
    """A bit for each type of chunk below 16 that a checked packet has, up to a chunk that is not whole."""
    found, at = 0, HEADER
    for _ in range(LIMIT):
        if at + CHUNK > octets:
            break
        chunk = Chunk(address + at)
        length = chunk.length
        if length < CHUNK or at + length > octets:
            break
        if chunk.kind < 16:
            found |= 1 << (chunk.kind & 15)
        at += length + 3 & ~3
    return found


@hot
def sum_of(address: int, octets: int) -> int:
    """The checksum that a checked packet should have. Who passes packets on does not verify."""
    crc = shift(extend(ONES, address, HEADER - 4), 4)  # the checksum field, as zeros
    return extend(crc, address + HEADER, octets - HEADER) ^ ONES


@leaf
def rewrite_ports(address: int, octets: int, ports: int) -> None:
    """Set both ports (as load32 reads them) of a packet of so many octets, checksum included."""
    header = SCTP(address)
    header.checksum ^= change32(load32(address), ports, octets)
    store32(address, ports)
