"""The way out of a packet whose flow is known: next hop, size, counters, rewriting, in this order.

A next hop is looked up once, and again when the network has changed. That of requests is the server's, that of replies
lies in the connection, marked with Balancer.hop_tag: 12 bits that stand for the network's generation. When they are
used up, nothing is remembered until the sweep (timers.py) has forgotten every hop there is, and they begin anew.

A packet that cannot go on, because there is no way or because it is too long for it, has not been changed yet, so that
the ICMP error about it quotes what its sender sent. A long IPv4 packet that allows it goes in pieces, and so does
whatever came in pieces.
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.direct import hand_on
from pronghorn.balancer.forwarding.proxied import is_storm, translate_proxied
from pronghorn.balancer.forwarding.rewrite import rewrite4, rewrite6
from pronghorn.balancer.forwarding.sctp import rewrite_sctp
from pronghorn.balancer.forwarding.toa import add_address, proves_socket, wants_address
from pronghorn.balancer.forwarding.translate import goes_in_pieces, header_behind, translate
from pronghorn.balancer.forwarding.tunnel import NO_LIMIT, may_be_cut, set_source, tunnel_limit, tunnel_output
from pronghorn.balancer.tables import (
    ENCAPSULATE,
    HAND_ON,
    HOP_BITS,
    PROXIED,
    REQUEST,
    REWRITE,
    REWRITE_SCTP,
    TELL,
    TICK,
    TRANSLATE,
    WAYS,
    Balancer,
    server_of,
)
from pronghorn.compiled import array_at, hashing, hot, leaf, swap64, u64
from pronghorn.net.errors import report_no_route, report_too_big
from pronghorn.net.fragment_output import fragment4_output, fragment6_output
from pronghorn.net.path_mtu import FLOOR4, path_limit
from pronghorn.net.resolve import UNREACHABLE, neighbour_output, resolve4, resolve6, unresolved
from pronghorn.net.state import MAPPED, net_of
from pronghorn.state.packet import UNSEGMENTED, WHOLE, Packet
from pronghorn.state.verdicts import SYN_PROXY_ACK_STORM, TOO_BIG
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import HEADER, MINIMUM_MTU
from pronghorn.wire.numbers import PROTOCOL_UDP
from pronghorn.wire.tcp import TCP, header_octets
from pronghorn.wire.udp import UDP

_HOP = (1 << HOP_BITS) - 1
LAST_TAG = 0xFFF
NO_TAG = LAST_TAG + 1
"""Balancer.hop_tag while hops are forgotten: no Conn.hop carries it."""


@leaf
def forward(worker: Worker, balancer: Balancer, packet: Packet, flow: int) -> int:
    """Make the packet what its flow says and send it on. Returns its verdict."""
    hop = next_hop(worker, balancer, flow)
    if hop < 0:
        return no_way(worker, packet, hop)
    if packet.data + packet.length - packet.network > FLOOR4:
        return forward_long(worker, balancer, packet, flow, hop)
    count(worker, balancer, packet, flow)
    conn = balancer.conns[flow >> 1]
    if conn.flags & WAYS != REWRITE:
        return go_otherwise(worker, balancer, packet, flow, hop)
    rewrite(balancer, packet, flow)
    return neighbour_output(worker, packet, hop)


@hot
def go_otherwise(worker: Worker, balancer: Balancer, packet: Packet, flow: int, hop: int) -> int:
    """A packet that is counted, and not long, goes on by another way than REWRITE."""
    conn = balancer.conns[flow >> 1]
    if conn.flags & WAYS == HAND_ON or conn.flags & WAYS == REWRITE_SCTP or conn.flags & WAYS == TELL:
        change_otherwise(balancer, packet, flow, way_mtu(worker, balancer, flow, hop))
        return neighbour_output(worker, packet, hop)
    if conn.flags & WAYS == PROXIED:
        if flow & 1 == REQUEST and is_storm(worker, packet, balancer.proxied[flow >> 1]):
            balancer.proxies[balancer.servers[server_of(conn)].service].storms += 1
            return SYN_PROXY_ACK_STORM
        change_otherwise(balancer, packet, flow, 0)
        return neighbour_output(worker, packet, hop)
    if conn.flags & WAYS == TRANSLATE:
        translate(worker, packet, conn, balancer.wide[flow >> 1], flow & 1, False)
        return neighbour_output(worker, packet, hop)
    tunnel = balancer.tunnels[server_of(conn)]
    return tunnel_output(worker, packet, tunnel, hop, NO_LIMIT, array_at(u64, balancer.pieces))


@hot
def forward_long(worker: Worker, balancer: Balancer, packet: Packet, flow: int, hop: int) -> int:
    """The same for a packet that might be longer than some MTU."""
    mtu = way_mtu(worker, balancer, flow, hop)
    if balancer.conns[flow >> 1].flags & WAYS == ENCAPSULATE:
        return forward_into(worker, balancer, packet, flow, hop, mtu)
    if balancer.conns[flow >> 1].flags & WAYS == TRANSLATE:
        return forward_across(worker, balancer, packet, flow, hop, mtu)
    if longest_octets(packet) <= mtu:
        change(worker, balancer, packet, flow, mtu)
        return neighbour_output(worker, packet, hop)
    whole = packet.flags & WHOLE != 0  # it came in pieces and goes on in pieces
    if packet.family == 4 and (whole or IPv4(packet.network).fragment & DO_NOT_FRAGMENT == 0):
        change(worker, balancer, packet, flow, mtu)
        if packet.flags & UNSEGMENTED != 0:
            return neighbour_output(worker, packet, hop)  # segments cannot go in pieces; the port cuts as it was told
        return fragment4_output(worker, packet, hop, mtu)
    if packet.family == 6 and whole and packet.transport == packet.network + HEADER:
        change(worker, balancer, packet, flow, mtu)
        return fragment6_output(worker, packet, hop, mtu)
    report_too_big(worker, packet, mtu)
    return TOO_BIG


@leaf
def way_mtu(worker: Worker, balancer: Balancer, flow: int, hop: int) -> int:
    """Octets of layer 3 that the flow's way takes, as far as known."""
    mtu = net_of(worker).neighbours[hop].mtu
    family, hi, lo = towards(balancer, flow)
    return path_limit(worker, hi, lo if family == 6 else MAPPED | lo, mtu)


@hot
def forward_into(worker: Worker, balancer: Balancer, packet: Packet, flow: int, hop: int, mtu: int) -> int:
    """The same for a packet that goes through a tunnel."""
    tunnel = balancer.tunnels[server_of(balancer.conns[flow >> 1])]
    limit = tunnel_limit(tunnel, packet.family, mtu)
    if longest_octets(packet) > limit and not may_be_cut(packet):
        report_too_big(worker, packet, limit)
        return TOO_BIG
    count(worker, balancer, packet, flow)
    return tunnel_output(worker, packet, tunnel, hop, mtu, array_at(u64, balancer.pieces))


@hot
def forward_across(worker: Worker, balancer: Balancer, packet: Packet, flow: int, hop: int, mtu: int) -> int:
    """The same for a packet that goes on in the other family."""
    grows = header_behind(packet) - (packet.transport - packet.network)
    long = longest_octets(packet) + grows > mtu
    if long and not goes_in_pieces(packet):
        limit = mtu - grows
        report_too_big(worker, packet, limit if packet.family == 4 else max(limit, MINIMUM_MTU))
        return TOO_BIG
    count(worker, balancer, packet, flow)
    translate(worker, packet, balancer.conns[flow >> 1], balancer.wide[flow >> 1], flow & 1, long)
    if not long:
        return neighbour_output(worker, packet, hop)
    if packet.family == 4:
        return fragment4_output(worker, packet, hop, mtu)
    return fragment6_output(worker, packet, hop, mtu)


@leaf
def longest_octets(packet: Packet) -> int:
    """Octets of layer 3 of the TCP or UDP packet; of an UNSEGMENTED one's longest segment, which is what travels."""
    octets = packet.data + packet.length - packet.network
    if packet.flags & UNSEGMENTED == 0:
        return octets
    header = UDP.SIZE if packet.protocol == PROTOCOL_UDP else header_octets(TCP(packet.transport))
    return min(octets, packet.transport - packet.network + header + packet.gso_size)


@leaf
def change(worker: Worker, balancer: Balancer, packet: Packet, flow: int, mtu: int) -> None:
    """Count the packet for its connection and server, and make it what goes on; not through a tunnel. `mtu`: of its
    way."""
    count(worker, balancer, packet, flow)
    if balancer.conns[flow >> 1].flags & WAYS != REWRITE:
        change_otherwise(balancer, packet, flow, mtu)
    else:
        rewrite(balancer, packet, flow)


@leaf
def change_otherwise(balancer: Balancer, packet: Packet, flow: int, mtu: int) -> None:
    """Make the packet what goes on by the ways HAND_ON, PROXIED, REWRITE_SCTP and TELL."""
    conn = balancer.conns[flow >> 1]
    if conn.flags & WAYS == HAND_ON:
        hand_on(packet)
    elif conn.flags & WAYS == TELL:
        rewrite_and_tell(balancer, packet, flow, mtu)
    elif conn.flags & WAYS == PROXIED:
        rewrite(balancer, packet, flow)
        translate_proxied(packet, balancer.proxied[flow >> 1], flow & 1)
    else:
        rewrite_sctp(packet, conn, balancer.wide[flow >> 1], flow & 1)


@hot
def rewrite_and_tell(balancer: Balancer, packet: Packet, flow: int, mtu: int) -> None:
    """As `rewrite`, with the client's address for a server that need not know it yet."""
    conn, octets = balancer.conns[flow >> 1], longest_octets(packet)
    rewrite(balancer, packet, flow)
    if flow & 1 == REQUEST:
        if wants_address(packet):
            options = balancer.options[balancer.servers[server_of(conn)].service]
            add_address(packet, conn, balancer.wide[flow >> 1], options, octets, mtu)
    elif proves_socket(packet):
        conn.flags = conn.flags & ~WAYS | REWRITE


@leaf
def count(worker: Worker, balancer: Balancer, packet: Packet, flow: int) -> None:
    """Count the packet for its connection and server."""
    conn, direction = balancer.conns[flow >> 1], flow & 1
    server = balancer.servers[server_of(conn)]
    octets = packet.length
    server.packets[direction] += 1
    server.octets[direction] += octets
    packets, total = conn.packets[direction] + 1, conn.octets[direction] + octets
    conn.packets[direction] = packets
    conn.octets[direction] = total
    if (packets | total) >> 32 != 0:
        carry(balancer, flow, packets, total)
    conn.seen = worker.now >> TICK


@leaf
def rewrite(balancer: Balancer, packet: Packet, flow: int) -> None:
    """Make the packet what the other flow says."""
    conn, direction = balancer.conns[flow >> 1], flow & 1
    if packet.family == 4:
        rewrite4(packet, conn, direction)
    else:
        rewrite6(packet, conn, balancer.wide[flow >> 1], direction)


@hot
def carry(balancer: Balancer, flow: int, packets: int, octets: int) -> None:
    """Counters that have passed 32 bits."""
    record, direction = balancer.records[flow >> 1], flow & 1
    record.packets_high[direction] += packets >> 32
    record.octets_high[direction] += octets >> 32


@leaf
def next_hop(worker: Worker, balancer: Balancer, flow: int) -> int:
    """Index of the neighbour that the flow's packets go to, or what net/resolve.py says instead (below 0)."""
    conn, generation = balancer.conns[flow >> 1], net_of(worker).generation
    if flow & 1 == REQUEST:
        server = balancer.servers[server_of(conn)]
        if server.generation == generation & 0xFFFFFFFF:
            return server.hop
    elif balancer.generation == generation and conn.hop >> HOP_BITS == balancer.hop_tag:
        return conn.hop & _HOP
    return find_hop(worker, balancer, flow)


@hot
def find_hop(worker: Worker, balancer: Balancer, flow: int) -> int:
    """The same by look-up; remembered when there is one."""
    conn, generation = balancer.conns[flow >> 1], net_of(worker).generation
    family, hi, lo = towards(balancer, flow)
    found = resolve4(worker, lo) if family == 4 else resolve6(worker, hi, lo)
    if found < 0:
        return found
    if flow & 1 == REQUEST:
        number = server_of(conn)
        server, tunnel = balancer.servers[number], balancer.tunnels[number]
        interface = net_of(worker).neighbours[found].interface
        if tunnel.octets != 0 and not set_source(worker, tunnel, interface, hi, lo):
            return UNREACHABLE
        server.hop, server.generation = found, generation
        return found
    if balancer.generation != generation:
        balancer.generation = generation
        balancer.hop_tag = min(balancer.hop_tag + 1, NO_TAG)
        if balancer.hop_tag == NO_TAG:
            balancer.sweep, balancer.sweep_left = 0, balancer.conn_limit
    if balancer.hop_tag != NO_TAG:
        conn.hop = balancer.hop_tag << HOP_BITS | found
    return found


@hot
def towards(balancer: Balancer, flow: int) -> tuple[int, int, int]:
    """Family and address that the flow's packets go to, in network order; IPv4: 0 and 32 bits."""
    conn, direction = balancer.conns[flow >> 1], flow & 1
    if direction == REQUEST:
        server = balancer.servers[server_of(conn)]
        hi, lo, family = server.hi, server.lo, server.family
    elif conn.keys[REQUEST] >> 40 == 4:
        hi, lo, family = 0, conn.addresses[REQUEST] & 0xFFFFFFFF, 4
    else:
        words = balancer.wide[flow >> 1].words
        hi, lo, family = words[0], words[1], 6
    if family == 4:
        return 4, 0, hashing.shift_right(swap64(lo), 32)
    return 6, swap64(hi), swap64(lo)


@hot
def no_way(worker: Worker, packet: Packet, hop: int) -> int:
    """There is no neighbour to send the packet to."""
    if hop == UNREACHABLE:
        report_no_route(worker, packet)
    return unresolved(hop)
