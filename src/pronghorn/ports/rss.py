"""Software receive-side scaling: which queue a frame belongs to, by the Toeplitz hash that NICs compute.

Microsoft, "RSS hashing types" and "Verifying the RSS hash calculation" (Windows driver documentation). The input is
source address, destination address and, for TCP and UDP, source port and destination port, as they lie in the frame;
every set bit of it contributes the 32 bits of the key that start at that bit's position, exclusive-ored. The hash's low
seven bits choose from an indirection table of 128 queues.

One table lookup per octet of input (the contribution of its eight bits), 36 KB in all, of which IPv4 uses 12 KB.

Fragments hash their addresses only, all of them, so that the pieces of a packet stay together; so do other protocols
and IPv6 with extension headers. What is not IP, or is cut short, hashes to 0. The symmetric key (Woo & Park, "Scalable
TCP session monitoring with symmetric receive-side scaling", 2012) gives both directions of a connection one hash.
"""

from __future__ import annotations

import array
import ctypes

from pronghorn.compiled import Array, View, fixed, hot, leaf, load8, load_be16, u8, u32
from pronghorn.memory.arena import Arena
from pronghorn.state.packet import Packet
from pronghorn.wire.ipv4 import IPv4, header_octets, is_fragment
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_SERVICE_VLAN,
    ETHERTYPE_VLAN,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
)

MICROSOFT_KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
"""The key of the published examples; what most NICs start with."""

SYMMETRIC_KEY = bytes.fromhex("6d5a") * 20
"""Repeats after 16 bits, so exchanging source and destination changes nothing."""

KEY = 40  # octets
INPUT = 36  # octets at most: two IPv6 addresses and two ports
INDIRECTION = 128
_TAGS = 2
_PORTS = 4


class RssTable(View, align=64):
    """A key made into tables, and the queues. Written when it is made."""

    hashes: Array[u32] = fixed(INPUT * 256, align=64)  # contribution of an octet, by position and value
    queues: Array[u8] = fixed(INDIRECTION, align=64)


@leaf
def toeplitz(table: RssTable, position: int, address: int, octets: int) -> int:
    """Hash of `octets` octets at `address` that stand at `position` of the input; exclusive-or the parts."""
    total = 0
    for i in range(octets):
        total ^= table.hashes[(position + i) * 256 + load8(address + i)]
    return total


@hot
def rss_hash(table: RssTable, data: int, length: int) -> int:
    """The frame's hash, 32 bits; 0 when it is no IP."""
    at = 14
    for _ in range(_TAGS):
        if length < at + 4:
            return 0
        kind = load_be16(data + at - 2)
        if kind != ETHERTYPE_VLAN and kind != ETHERTYPE_SERVICE_VLAN:
            break
        at += 4
    kind = load_be16(data + at - 2)
    if kind == ETHERTYPE_IPV4 and length >= at + IPv4.SIZE:
        ip = IPv4(data + at)
        ports = 0 if is_fragment(ip) else _ports(data, at + header_octets(ip), ip.protocol, length)
        return toeplitz(table, 0, data + at + 12, 8) ^ (toeplitz(table, 8, ports, _PORTS) if ports != 0 else 0)
    if kind == ETHERTYPE_IPV6 and length >= at + IPv6.SIZE:
        ports = _ports(data, at + IPv6.SIZE, IPv6(data + at).next_header, length)
        return toeplitz(table, 0, data + at + 8, 32) ^ (toeplitz(table, 32, ports, _PORTS) if ports != 0 else 0)
    return 0


@leaf
def _ports(data: int, at: int, protocol: int, length: int) -> int:
    """Address of the layer-4 ports; 0 when there are none."""
    known = protocol == PROTOCOL_TCP or protocol == PROTOCOL_UDP
    return data + at if known and length >= at + _PORTS else 0


@hot
def rss_queue(table: RssTable, packet: Packet, queues: int) -> int:
    """The receive queue of the frame, of `queues` that the table was made for."""
    if queues < 2:
        return 0
    return table.queues[rss_hash(table, packet.data, packet.length) & INDIRECTION - 1]


@hot
def rss_symmetric(table: RssTable, queues: int) -> None:
    """Make the table for SYMMETRIC_KEY, in compiled code, spread evenly over `queues`."""
    period = 0x6D5A_6D5A_6D5A_6D5A
    for octet in range(INPUT):
        for value in range(256):
            total = 0
            for bit in range(8):  # the most significant one stands first
                if value >> 7 - bit & 1 != 0:
                    total ^= period >> 16 - (8 * octet + bit) % 16 & 0xFFFF_FFFF
            table.hashes[octet * 256 + value] = total
    for place in range(INDIRECTION):
        table.queues[place] = place % queues


def create_rss_table(arena: Arena, name: str, key: bytes, queues: int) -> RssTable:
    """The table `name`: hashes under `key` (40 octets), spread evenly over `queues`."""
    if len(key) != KEY:
        raise ValueError(f"an RSS key has {KEY} octets, not {len(key)}")
    table: RssTable = arena.table(name, RssTable, 1)[0]
    bits = int.from_bytes(key)
    hashes = array.array("I")
    for octet in range(INPUT):
        by_value = [0] * 256
        for value in range(1, 256):
            lowest = value & -value  # the window of the key that starts at this bit
            position = 8 * octet + 8 - lowest.bit_length()
            by_value[value] = by_value[value ^ lowest] ^ (bits >> (8 * KEY - 32 - position) & 0xFFFFFFFF)
        hashes.extend(by_value)
    ctypes.memmove(table.hashes.address, hashes.tobytes(), 4 * len(hashes))
    for place in range(INDIRECTION):
        table.queues[place] = place % queues
    return table
