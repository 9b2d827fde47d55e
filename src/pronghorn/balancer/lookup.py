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

from pronghorn.balancer.tables import Balancer, Flow
from pronghorn.compiled import hashing, hot, leaf, load32, load64, prefetch
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
    """The packet's ports, protocol and family as Flow.ports holds them.

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
def flow_hash(flow: Flow, secret: int) -> int:
    """The hash that packets of this flow get."""
    if flow.ports >> 40 == 4:
        return hash4(flow.addresses, flow.ports, secret)
    return hash6(flow.src_hi, flow.src_lo, flow.dst_hi, flow.dst_lo, flow.ports, secret)


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
        address = balancer.flows[candidate].address
        prefetch(address)
        if packet.family != 4:
            prefetch(address + 64)


@leaf
def is_flow(flow: Flow, packet: Packet) -> bool:
    """Whether the packet belongs to this flow."""
    if flow.ports != packet_ports(packet):
        return False
    network = packet.network
    if packet.family == 4:
        return flow.addresses == load64(network + SRC4)
    return (
        flow.src_lo == load64(network + SRC6_LO)
        and flow.dst_lo == load64(network + DST6_LO)
        and flow.src_hi == load64(network + SRC6_HI)
        and flow.dst_hi == load64(network + DST6_HI)
    )


@leaf
def find_flow(balancer: Balancer, packet: Packet) -> int:
    """Index of the flow of a prepared packet, or -1."""
    candidate = packet.next
    if candidate < balancer.flow_limit and is_flow(balancer.flows[candidate], packet):
        return candidate
    return search_flow(balancer, packet)


@hot
def search_flow(balancer: Balancer, packet: Packet) -> int:
    """The same from the index, candidate by candidate."""
    index = HashIndex(balancer.index)
    hash = packet.hash
    found = hash_first(index, hash)
    while found >= 0 and not is_flow(balancer.flows[found], packet):
        found = hash_next(index, hash, found)
    return found


@hot
def has_flow(balancer: Balancer, wanted: Flow, hash: int) -> bool:
    """Whether the index holds a flow with the addresses and ports of `wanted`, whose hash this is."""
    index = HashIndex(balancer.index)
    found = hash_first(index, hash)
    while found >= 0:
        flow = balancer.flows[found]
        if flow.ports == wanted.ports:
            if wanted.ports >> 40 == 4:
                if flow.addresses == wanted.addresses:
                    return True
            elif (
                flow.src_hi == wanted.src_hi
                and flow.src_lo == wanted.src_lo
                and flow.dst_hi == wanted.dst_hi
                and flow.dst_lo == wanted.dst_lo
            ):
                return True
        found = hash_next(index, hash, found)
    return False
