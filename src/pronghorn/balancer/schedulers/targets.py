"""What the schedulers that hash share: what they hash of a packet, and who comes in the place of who takes nothing."""

from __future__ import annotations

from pronghorn.balancer.tables import NOBODY, SERVER_UP, TARGET_ADDRESS_PORT, TARGET_QUIC_ID, Balancer, Service
from pronghorn.balancer.thresholds import is_full
from pronghorn.compiled import hashing, hot, leaf, load8, load32, load64, load_be16, load_be32
from pronghorn.state.packet import Packet
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_UDP
from pronghorn.wire.udp import HEADER, UDP

_SRC4, _DST4 = IPv4.offset("src"), IPv4.offset("dst")
_SRC6, _DST6 = IPv6.offset("src_hi"), IPv6.offset("dst_hi")
_MASK = 0xFFFFFFFF
_GOLDEN = 0x61C88647

LONG_HEADER = 0x80  # of QUIC: the first octet's highest bit (RFC 8999 5.1)
ID_OCTETS = 8
"""Of a QUIC connection id that are hashed."""


@leaf
def hash_32(value: int, bits: int) -> int:
    """Linux's hash of 32 bits to fewer."""
    return (value * _GOLDEN & _MASK) >> (32 - bits)


@leaf
def folded(address: int) -> int:
    """The four words of an IPv6 address in one, as IPVS folds them."""
    return load_be32(address) ^ load_be32(address + 4) ^ load_be32(address + 8) ^ load_be32(address + 12)


@leaf
def folded_source(packet: Packet) -> int:
    """32 bits of the source address, in the machine's order."""
    return load_be32(packet.network + _SRC4) if packet.family == 4 else folded(packet.network + _SRC6)


@leaf
def folded_destination(packet: Packet) -> int:
    """32 bits of the destination address, in the machine's order."""
    return load_be32(packet.network + _DST4) if packet.family == 4 else folded(packet.network + _DST6)


@leaf
def source_port(packet: Packet) -> int:
    """In the machine's order."""
    return load_be16(packet.transport)


@hot
def hash_source(packet: Packet, port: int, key: int) -> int:
    """64 bits of the source address and `port`, which is 0 where ports do not count."""
    if packet.family == 4:
        return hashing.mix(load32(packet.network + _SRC4), port, key)
    hash = hashing.mix(load64(packet.network + _SRC6), load64(packet.network + _SRC6 + 8), key)
    return hash if port == 0 else hashing.mix(hash, port, key)


@hot
def hash_target(service: Service, packet: Packet, key: int) -> int:
    """64 bits of what the service's `hash_target` says. A packet without a QUIC connection id is hashed by address."""
    target = service.hash_target
    if target == TARGET_ADDRESS_PORT:
        return hash_source(packet, source_port(packet), key)
    if target == TARGET_QUIC_ID and packet.protocol == PROTOCOL_UDP:
        octets = UDP(packet.transport).length - HEADER
        start = packet.transport + HEADER
        if octets >= 1 and load8(start) & LONG_HEADER != 0:  # flags, version, length of the id, the id
            length = load8(start + 5) if octets >= 6 else 0
            start += 6
            octets -= 6
        else:  # flags, the id, whose length only the server knows
            length = ID_OCTETS
            start += 1
            octets -= 1
        length = min(length, ID_OCTETS)
        if 0 < length <= octets:
            return hash_octets(start, length, key)
    return hash_source(packet, 0, key)


@hot
def hash_octets(start: int, count: int, key: int) -> int:
    """64 bits of at most 8 octets."""
    word = 0
    for place in range(count):
        word |= load8(start + place) << 8 * place
    return hashing.mix(hashing.wrap(word), count, key)


@leaf
def takes(balancer: Balancer, service: Service, number: int) -> bool:
    """Whether a server, as a table that may be out of date has it, is one of the service's that gets connections."""
    server = balancer.servers[number]
    return server.state == SERVER_UP and server.weight > 0 and server.service == service.index


@leaf
def is_usable(balancer: Balancer, service: Service, place: int) -> bool:
    """Whether the member at that place gets connections."""
    return service.weights[place] > 0 and not is_full(balancer.servers[service.members[place]])


@hot
def usable_from(balancer: Balancer, service: Service, place: int) -> int:
    """The first server from that place on, round about, that gets connections, or NOBODY."""
    count = service.member_count
    for _ in range(count):
        if is_usable(balancer, service, place):
            return service.members[place]
        place = place + 1 if place + 1 < count else 0
    return NOBODY
