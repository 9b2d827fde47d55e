"""The way out of a packet whose flow is known: next hop, size, counters, rewriting, in this order.

A flow's next hop is looked up once, and again when the network has changed. A packet that cannot go on, because there
is no way or because it is too long for it, has not been changed yet, so that the ICMP error about it quotes what its
sender sent. A long IPv4 packet that allows it goes in pieces, and so does whatever came in pieces.
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.full_nat import rewrite4, rewrite6
from pronghorn.balancer.tables import REPLY, TICK, Balancer, Flow
from pronghorn.compiled import hot, leaf, load_be32, load_be64
from pronghorn.net.errors import report_no_route, report_too_big
from pronghorn.net.fragment_output import fragment4_output, fragment6_output
from pronghorn.net.path_mtu import FLOOR4, path_limit
from pronghorn.net.resolve import UNREACHABLE, neighbour_output, resolve4, resolve6, unresolved
from pronghorn.net.state import MAPPED, net_of
from pronghorn.state.packet import UNSEGMENTED, WHOLE, Packet
from pronghorn.state.verdicts import TOO_BIG
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import HEADER
from pronghorn.wire.numbers import PROTOCOL_UDP
from pronghorn.wire.tcp import TCP, header_octets
from pronghorn.wire.udp import UDP

_DST4 = Flow.offset("new_addresses") + 4
_DST6_HI, _DST6_LO = Flow.offset("new_dst_hi"), Flow.offset("new_dst_lo")


@leaf
def forward(worker: Worker, balancer: Balancer, packet: Packet, flow: Flow) -> int:
    """Make the packet what its flow says and send it on. Returns its verdict."""
    hop = next_hop(worker, flow)
    if hop < 0:
        return no_way(worker, packet, hop)
    if packet.data + packet.length - packet.network > FLOOR4:
        return forward_long(worker, balancer, packet, flow, hop)
    rewrite(worker, balancer, packet, flow)
    return neighbour_output(worker, packet, hop)


@hot
def forward_long(worker: Worker, balancer: Balancer, packet: Packet, flow: Flow, hop: int) -> int:
    """The same for a packet that might be longer than some MTU."""
    mtu = net_of(worker).neighbours[hop].mtu
    if packet.family == 4:
        mtu = path_limit(worker, 0, MAPPED | load_be32(flow.address + _DST4), mtu)
    else:
        mtu = path_limit(worker, load_be64(flow.address + _DST6_HI), load_be64(flow.address + _DST6_LO), mtu)
    if longest_octets(packet) <= mtu:
        rewrite(worker, balancer, packet, flow)
        return neighbour_output(worker, packet, hop)
    whole = packet.flags & WHOLE != 0  # it came in pieces and goes on in pieces
    if packet.family == 4 and (whole or IPv4(packet.network).fragment & DO_NOT_FRAGMENT == 0):
        rewrite(worker, balancer, packet, flow)
        if packet.flags & UNSEGMENTED != 0:
            return neighbour_output(worker, packet, hop)  # segments cannot go in pieces; the port cuts as it was told
        return fragment4_output(worker, packet, hop, mtu)
    if packet.family == 6 and whole and packet.transport == packet.network + HEADER:
        rewrite(worker, balancer, packet, flow)
        return fragment6_output(worker, packet, hop, mtu)
    report_too_big(worker, packet, mtu)
    return TOO_BIG


@leaf
def longest_octets(packet: Packet) -> int:
    """Octets of layer 3 of the TCP or UDP packet; of an UNSEGMENTED one's longest segment, which is what travels."""
    octets = packet.data + packet.length - packet.network
    if packet.flags & UNSEGMENTED == 0:
        return octets
    header = UDP.SIZE if packet.protocol == PROTOCOL_UDP else header_octets(TCP(packet.transport))
    return min(octets, packet.transport - packet.network + header + packet.gso_size)


@leaf
def rewrite(worker: Worker, balancer: Balancer, packet: Packet, flow: Flow) -> None:
    """Count the packet for its flow and server, and rewrite it."""
    direction = flow.flags & REPLY
    server = balancer.servers[flow.server]
    octets = packet.length
    server.packets[direction] += 1
    server.octets[direction] += octets
    flow.packets += 1
    flow.octets += octets
    flow.seen = worker.now >> TICK
    if packet.family == 4:
        rewrite4(packet, flow)
    else:
        rewrite6(packet, flow)


@leaf
def next_hop(worker: Worker, flow: Flow) -> int:
    """Index of the neighbour that the flow's packets go to, or what net/resolve.py says instead (below 0)."""
    if flow.generation == net_of(worker).generation & 0xFFFFFFFF:
        return flow.neighbour
    return find_hop(worker, flow)


@hot
def find_hop(worker: Worker, flow: Flow) -> int:
    """The same by look-up; remembered in the flow when there is one."""
    if flow.ports >> 40 == 4:
        found = resolve4(worker, load_be32(flow.address + _DST4))
    else:
        found = resolve6(worker, load_be64(flow.address + _DST6_HI), load_be64(flow.address + _DST6_LO))
    if found >= 0:
        flow.neighbour, flow.generation = found, net_of(worker).generation
    return found


@hot
def no_way(worker: Worker, packet: Packet, hop: int) -> int:
    """There is no neighbour to send the packet to."""
    if hop == UNREACHABLE:
        report_no_route(worker, packet)
    return unresolved(hop)
