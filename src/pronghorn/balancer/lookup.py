"""Finding the flow of a packet, in two stages that look ahead over a burst.

    for each packet: flow_prepare     hashes the five-tuple, asks for the index's line
    for each packet: flow_prefetch    reads that line, asks for the flow's
    for each packet: balancer_input   finds the flow there

`flow_prepare` is required, `flow_prefetch` only saves time: between the two and `balancer_input` the candidate's
number rests in `packet.next`, and it is compared with the packet before it is believed, for flows may come and go
within a burst.

The hash is keyed with the index's secret, so that nobody can choose addresses that collide; the five-tuples of
requests and of replies are alike and lie in one index.
"""

from __future__ import annotations

from pronghorn.balancer.tables import Balancer, Wide
from pronghorn.compiled import hashing, hot, leaf, load32, load64, prefetch, same
from pronghorn.memory.hashtable import HashIndex, hash_first, hash_next, hash_prefetch
from pronghorn.state.packet import NO_PACKET, Packet
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6

SRC4 = IPv4.offset("src")
SRC6_HI, SRC6_LO = IPv6.offset("src_hi"), IPv6.offset("src_lo")
DST6_HI, DST6_LO = IPv6.offset("dst_hi"), IPv6.offset("dst_lo")
_MASK = 0xFFFFFFFF


@leaf
def packet_ports(packet: Packet) -> int:
    """The packet's ports, protocol and family as Conn.keys holds them.

    Read octet by octet: they were just written so, and a wider load would wait for the stores (a quarter of the time).
    """
    return load32(packet.transport) | packet.protocol << 32 | packet.family << 40


@leaf
def hash4(addresses: int, ports: int, secret: int) -> int:
    """32 bits for an IPv4 flow."""
    return hashing.mix(addresses, ports, secret) & _MASK


@leaf
def hash6(src_hi: int, src_lo: int, dst_hi: int, dst_lo: int, ports: int, secret: int) -> int:
    """32 bits for an IPv6 flow."""
    return hashing.mix(hashing.mix4(src_hi, src_lo, dst_hi, dst_lo, secret), ports, secret) & _MASK


@leaf
def flow_hash(balancer: Balancer, flow: int, secret: int) -> int:
    """The hash that packets of this flow get."""
    conn = balancer.conns[flow >> 1]
    key = conn.keys[flow & 1]
    if key >> 40 == 4:
        return hash4(conn.addresses[flow & 1], key, secret)
    wide, first = balancer.wide[flow >> 1], 4 * (flow & 1)
    return hash6(wide.words[first], wide.words[first + 1], wide.words[first + 2], wide.words[first + 3], key, secret)


@leaf
def flow_prepare(worker: Worker, packet: Packet) -> None:
    """First stage. network, transport, family and protocol (TCP or UDP) of the packet are set; sets hash and next."""
    index = HashIndex(Balancer(worker.balancer).index)
    secret = index.secret
    network = packet.network
    if packet.family == 4:
        hash = hash4(load64(network + SRC4), packet_ports(packet), secret)
    else:
        hash = hash6(
            load64(network + SRC6_HI), load64(network + SRC6_LO), load64(network + DST6_HI), load64(network + DST6_LO),
            packet_ports(packet), secret,
        )  # fmt: skip
    packet.hash = hash
    packet.next = NO_PACKET
    hash_prefetch(index, hash)


@leaf
def flow_prefetch(worker: Worker, packet: Packet) -> None:
    """Second stage: notes the first candidate in packet.next and asks for its line."""
    balancer = Balancer(worker.balancer)
    candidate = hash_first(HashIndex(balancer.index), packet.hash)
    packet.next = candidate
    if candidate >= 0:
        prefetch(balancer.conns[candidate >> 1].address)
        if packet.family != 4:
            prefetch(balancer.wide[candidate >> 1].address)


@leaf
def is_flow(balancer: Balancer, flow: int, packet: Packet) -> bool:
    """Whether the packet belongs to this flow."""
    conn, direction = balancer.conns[flow >> 1], flow & 1
    if conn.keys[direction] != packet_ports(packet):
        return False
    network = packet.network
    if packet.family == 4:
        return conn.addresses[direction] == load64(network + SRC4)
    return is_wide_flow(balancer.wide[flow >> 1], direction, network)


@leaf
def is_wide_flow(wide: Wide, direction: int, network: int) -> bool:
    """Whether the IPv6 header's addresses are those of this direction."""
    first = 4 * direction
    return (
        wide.words[first + 1] == load64(network + SRC6_LO)
        and wide.words[first + 3] == load64(network + DST6_LO)
        and wide.words[first] == load64(network + SRC6_HI)
        and wide.words[first + 2] == load64(network + DST6_HI)
    )


@leaf
def find_flow(balancer: Balancer, packet: Packet) -> int:
    """Index of the flow of a prepared packet, or -1."""
    candidate = packet.next
    if candidate < balancer.flow_limit and is_flow(balancer, candidate, packet):
        return candidate
    return search_flow(balancer, packet)


@hot
def search_flow(balancer: Balancer, packet: Packet) -> int:
    """The same from the index, candidate by candidate."""
    index = HashIndex(balancer.index)
    hash = packet.hash
    found = hash_first(index, hash)
    while found >= 0 and not is_flow(balancer, found, packet):
        found = hash_next(index, hash, found)
    return found


@hot
def has_flow(balancer: Balancer, wanted: int, hash: int) -> bool:
    """Whether the index holds a flow with the addresses and ports of the flow `wanted`, whose hash this is."""
    index = HashIndex(balancer.index)
    conn, direction = balancer.conns[wanted >> 1], wanted & 1
    key, addresses, wide = conn.keys[direction], conn.addresses[direction], balancer.wide[wanted >> 1]
    found = hash_first(index, hash)
    while found >= 0:
        other = balancer.conns[found >> 1]
        if other.keys[found & 1] == key:
            if key >> 40 == 4:
                if other.addresses[found & 1] == addresses:
                    return True
            elif same(balancer.wide[found >> 1].address + 32 * (found & 1), wide.address + 32 * direction, 32):
                return True
        found = hash_next(index, hash, found)
    return False
