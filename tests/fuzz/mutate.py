"""Mutation of good frames, in compiled code: a frame is a seed with up to four changes, its checksums mended or not.

A mended checksum lets a change through to what lies behind the check; one left wrong tests the check itself. All
randomness comes from one generator (`hand.random`), so a seed gives the same frames again.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, hot, leaf, load8, move, store8, store_be16, u8, u16, u32, u64
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import checksum, extension, ipv4
from pronghorn.wire.ethernet import Ethernet
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP
from pronghorn.wire.numbers import PROTOCOL_UDP as UDP
from pronghorn.wire.reasons import GOOD

LONGEST = 1600
"""Octets of a frame: it fits a small chunk, and exceeds the MTU."""
CHANGES = 4


class Seed(View, size=16):
    """A good frame."""

    octets: u64  # address of its octets
    length: u32
    port: u32  # where it arrives


class Fuzz(View, align=64):
    """What a run knows."""

    seeds: Array[Seed]
    values: Array[u16]  # interesting numbers
    protocols: Array[u8]  # layer-4 protocols and extension headers
    seed_count: u32
    value_count: u32
    protocol_count: u32
    large: u32  # 1: there are large chunks
    now: u64  # ns
    frames: u64  # made
    bad: u64  # frames that were sent and are malformed
    first_bad: Array[u8]  # the first of them
    first_bad_length: u32


@leaf
def number(hand: Worker, below: int) -> int:
    """A random number from 0 to below - 1."""
    return random_number(hand) % below


@hot
def mutate(hand: Worker, fuzz: Fuzz, packet: Packet) -> None:
    """Make the packet a mutated frame: octets, length and port."""
    seed = fuzz.seeds[number(hand, fuzz.seed_count)]
    copy(packet.data, seed.octets, seed.length)
    packet.length = seed.length
    packet.port = seed.port if number(hand, 64) != 0 else number(hand, 2)
    for _ in range(number(hand, CHANGES + 1)):
        change(hand, fuzz, packet)
    if number(hand, 2) == 0:
        mend_lengths(packet)
    if number(hand, 16) != 0:
        mend_checksums(packet)


@hot
def change(hand: Worker, fuzz: Fuzz, packet: Packet) -> None:
    """One change at a place that is more often among the headers than behind them."""
    length = packet.length
    if length < 16:
        return
    at = 12 + number(hand, length - 12)
    if number(hand, 2) == 0:
        at = min(at, 12 + number(hand, 60))
    if number(hand, 16) == 0:
        at = number(hand, 14)
    kind = number(hand, 12)
    address = packet.data + at
    if kind < 3:
        store8(address, number(hand, 256))
    elif kind == 3:
        store8(address, load8(address) ^ 1 << number(hand, 8))
    elif kind < 6:
        store_be16(address, fuzz.values[number(hand, fuzz.value_count)])
    elif kind == 6:
        store8(address, fuzz.protocols[number(hand, fuzz.protocol_count)])
    else:
        change_shape(hand, fuzz, packet, kind, at)


@hot
def change_shape(hand: Worker, fuzz: Fuzz, packet: Packet, kind: int, at: int) -> None:
    """Truncate, extend, splice, repeat or leave out a part, change a length or a place that means much."""
    length, address = packet.length, packet.data + at
    if kind == 7:
        packet.length = length - number(hand, length if number(hand, 2) == 0 else 12)
    elif kind == 8:
        more = number(hand, LONGEST - min(length, LONGEST - 1)) if number(hand, 4) == 0 else number(hand, 32)
        for place in range(min(more, LONGEST - length)):
            store8(packet.data + length + place, number(hand, 256))
        packet.length = max(length, min(length + more, LONGEST))
    elif kind == 9:
        other = fuzz.seeds[number(hand, fuzz.seed_count)]
        if other.length > at:
            copy(address, other.octets + at, other.length - at)
            packet.length = other.length
    elif kind == 10:
        part = 8 * (1 + number(hand, 4))
        if length + part <= LONGEST:
            move(address + part, address, length - at)
            packet.length = length + part
        elif length - at > part:
            move(address, address + part, length - at - part)
            packet.length = length - part
    else:
        change_field(hand, fuzz, packet)


@hot
def change_field(hand: Worker, fuzz: Fuzz, packet: Packet) -> None:
    """A length, offset, kind or port where the commonest headers have it."""
    value = fuzz.values[number(hand, fuzz.value_count)]
    network = packet.data + 14
    if packet.length < 80:
        return
    place = number(hand, 6)
    four = Ethernet(packet.data).ethertype == ETHERTYPE_IPV4
    if place == 0:
        store_be16(network + (2 if four else 4), value)
    elif place == 1:
        store_be16(network + (6 if four else 42), value)
    elif place == 2:
        store8(network + (0 if four else 41), number(hand, 256))
    elif place == 3:
        store8(network + (9 if four else 6), fuzz.protocols[number(hand, fuzz.protocol_count)])
    elif place == 4:
        store_be16(network + (22 if four else 42), value)
    else:
        store8(network + (32 if four else 52), number(hand, 256))


# --- mending ------------------------------------------------------------------------------------------------------


@hot
def mend_lengths(packet: Packet) -> None:
    """Let the lengths in the IP header and in a UDP header right behind it agree with the frame's."""
    octets, network = packet.length - 14, packet.data + 14
    if octets >= 20 and Ethernet(packet.data).ethertype == ETHERTYPE_IPV4:
        ip = IPv4(network)
        ip.length = octets
        if ip.version_ihl == ipv4.PLAIN and ip.protocol == UDP and octets >= 28 and not ipv4.is_fragment(ip):
            store_be16(network + 24, octets - 20)
    elif octets >= 40 and Ethernet(packet.data).ethertype == ETHERTYPE_IPV6:
        IPv6(network).length = octets - 40
        if IPv6(network).next_header == UDP and octets >= 48:
            store_be16(network + 44, octets - 40)


@hot
def mend_checksums(packet: Packet) -> None:
    """Make the checksums right that can be."""
    if packet.length < 34:
        return
    ethertype = Ethernet(packet.data).ethertype
    if ethertype == ETHERTYPE_IPV4:
        _mend4(packet, packet.data + 14)
    elif ethertype == ETHERTYPE_IPV6 and packet.length >= 54:
        _mend6(packet, packet.data + 14)


@hot
def _mend4(packet: Packet, network: int) -> None:
    ip = IPv4(network)
    header = ipv4.header_octets(ip)
    if header < 20 or header > packet.length - 14:
        return
    octets = min(ip.length, packet.length - 14) - header
    if octets > 0 and not ipv4.is_fragment(ip):
        pseudo = 0 if ip.protocol == PROTOCOL_ICMP else checksum.pseudo4(ip.src, ip.dst, ip.protocol, octets)
        _mend_layer4(ip.protocol, pseudo, network + header, octets)
    ipv4.fill_checksum(ip)


@hot
def _mend6(packet: Packet, network: int) -> None:
    ip = IPv6(network)
    whole = min(ip.length + 40, packet.length - 14)
    reason, protocol, at, fragment = extension.walk(ip, whole)
    if reason == GOOD and fragment == 0 and whole > at and protocol != PROTOCOL_ICMP:
        pseudo = checksum.pseudo6(ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo, protocol, whole - at)
        _mend_layer4(protocol, pseudo, network + at, whole - at)


@hot
def _mend_layer4(protocol: int, pseudo: int, address: int, octets: int) -> None:
    place = 2
    if protocol == PROTOCOL_TCP:
        place = 16
    elif protocol == UDP:
        place = 6
    elif protocol != PROTOCOL_ICMP and protocol != PROTOCOL_ICMPV6:
        return
    if place + 2 <= octets:
        store_be16(address + place, 0)
        store_be16(address + place, checksum.not_zero(checksum.compute(pseudo, address, octets)))
