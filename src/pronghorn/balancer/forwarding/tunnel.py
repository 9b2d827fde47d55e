"""Tunnels: a packet goes to its server as it came, behind another header. The server takes that off, has the service's
address itself (as with direct routing) and answers the client without coming through here; IPVS's `tunneling`.

    IPIP    IP in IP: RFC 2003 (4 in 4), RFC 4213 (6 in 4), RFC 2473 (4 and 6 in 6)
    GRE     RFC 2784, 2890
    GUE     draft-ietf-intarea-gue

Rules kept: the inner packet loses a hop, as one that is forwarded (RFC 2003 3.1). The outer header has its own hops
(HOPS), the inner one's traffic class, congestion marks included (RFC 2983; RFC 6040 4.1, normal mode), over IPv6 a flow
label for each flow (RFC 6438), over IPv4 DF, so that what is too long is noticed. Then the client hears of the MTU that
it has inside the tunnel; IPv6 packets of up to 1280 octets and IPv4 packets without DF go in pieces of the outer packet
instead (RFC 2473 7.1, 7.2, RFC 4213 3.2).

Checksums of GRE and UDP cover the inner packet, and those of TCP and UDP in it are known to be good: so what it sums to
is told by its pseudo header (Linux calls this local checksum offload). One that is not good makes the outer one wrong
too. Other packets are summed.

Unsegmented frames are cut here, for no port cuts inside a tunnel. Left out: RFC 2473's encapsulation limit, GUE's
remote checksums; IPv4 packets of up to FLOOR4 octets are not held against the MTU (networks of less than 604).
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.direct import hand_on
from pronghorn.balancer.tunnels import OVER_UDP, ROOM, SUMMED, Tunnel
from pronghorn.compiled import Array, hot, leaf, move, store64, u64
from pronghorn.net.addresses import source4, source6
from pronghorn.net.fragment_output import fill_checksum, fragment4_output, fragment6_output
from pronghorn.net.resolve import neighbour_output
from pronghorn.ports.segment import segment
from pronghorn.state.packet import CHECKSUM_PARTIAL, HEADROOM, ORIGINATED, UNSEGMENTED, WHOLE, Packet
from pronghorn.state.packets import finish
from pronghorn.state.verdicts import NO_PACKETS, TOO_BIG, TRANSMITTED
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import checksum, gue, ipv4, ipv6
from pronghorn.wire.gre import GRE
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import MINIMUM_MTU, IPv6, is_link_local
from pronghorn.wire.numbers import PROTOCOL_TCP, PROTOCOL_UDP
from pronghorn.wire.udp import UDP

HOPS = 64
"""TTL and hop limit of outer headers."""

PIECES = 128
"""Segments of an unsegmented frame at most: 64 KB of 536 octets each."""

NO_LIMIT = 1 << 20
"""An MTU for packets that are short enough for every one."""

_FRONT = ROOM + 24
"""Octets before a packet that are needed: the header and the frame's."""


# --- how long a packet may be -------------------------------------------------------------------------------------


@hot
def tunnel_limit(tunnel: Tunnel, family: int, mtu: int) -> int:
    """Octets of an inner packet of this family that go in one outer packet of `mtu`, or that must go in any case."""
    limit = mtu - tunnel.octets
    return max(limit, MINIMUM_MTU) if family == 6 else limit


@hot
def may_be_cut(packet: Packet) -> bool:
    """Whether the packet may travel in pieces."""
    if packet.flags & UNSEGMENTED != 0:
        return False
    if packet.flags & WHOLE != 0:
        return True
    return packet.family == 4 and IPv4(packet.network).fragment & DO_NOT_FRAGMENT == 0


# --- the way in ---------------------------------------------------------------------------------------------------


@hot
def tunnel_output(worker: Worker, packet: Packet, tunnel: Tunnel, hop: int, mtu: int, pieces: Array[u64]) -> int:
    """Send the packet through the tunnel to the neighbour `hop`. `pieces`: scratch, PIECES. Returns the verdict."""
    if packet.flags & UNSEGMENTED == 0:
        return _wrapped_output(worker, packet, tunnel, hop, mtu)
    count = segment(worker, packet, pieces, PIECES)
    if count == 0:
        return NO_PACKETS
    for number in range(count):
        piece = Packet(pieces[number])
        piece.network = piece.data + packet.network - packet.data
        piece.transport = piece.data + packet.transport - packet.data
        piece.family, piece.protocol, piece.hash = packet.family, packet.protocol, packet.hash
        piece.port, piece.flags = packet.port, piece.flags | ORIGINATED
        worker.originated += 1
        finish(worker, piece, _wrapped_output(worker, piece, tunnel, hop, mtu))
    return TRANSMITTED


@hot
def _wrapped_output(worker: Worker, packet: Packet, tunnel: Tunnel, hop: int, mtu: int) -> int:
    """The same for a single packet."""
    if packet.flags & CHECKSUM_PARTIAL != 0:
        fill_checksum(packet, packet.protocol, packet.data + packet.length - packet.transport)
    hand_on(packet)
    if packet.network - packet.chunk < _FRONT and not _make_room(packet):
        return TOO_BIG
    octets = wrap(packet, tunnel)
    if octets <= mtu:
        return neighbour_output(worker, packet, hop)
    if packet.family == 6:
        return fragment6_output(worker, packet, hop, mtu)
    ip = IPv4(packet.network)
    ip.fragment, ip.ident = 0, random_number(worker) & 0xFFFF
    return fragment4_output(worker, packet, hop, mtu)


@hot
def _make_room(packet: Packet) -> bool:
    """Move the packet back in its chunk, which must hold it behind the headroom."""
    octets = packet.data + packet.length - packet.network
    if octets > packet.room - HEADROOM:
        return False
    start = packet.chunk + HEADROOM
    move(start, packet.network, octets)
    packet.transport += start - packet.network
    packet.data = packet.network = start
    packet.length = octets
    return True


@hot
def wrap(packet: Packet, tunnel: Tunnel) -> int:
    """Write the outer header in front of the packet, which is the outer one from then on. Returns its octets."""
    inner = packet.network
    octets = packet.data + packet.length - inner + tunnel.octets
    summed = 0
    if tunnel.marks & SUMMED != 0:
        summed = inner_sum(packet)
    if packet.family == 4:
        traffic_class = IPv4(inner).tos
    else:
        traffic_class = IPv6(inner).version_class_flow >> 20 & 0xFF
    for place in range(ROOM // 8):
        store64(inner - ROOM + 8 * place, tunnel.header[place])
    outer = inner - tunnel.octets
    if tunnel.family == 4:
        ip4 = IPv4(outer)
        ip4.tos, ip4.length = traffic_class, octets & 0xFFFF
        ip4.checksum = checksum.finish(tunnel.total + traffic_class + (octets & 0xFFFF))
        start = outer + ipv4.HEADER
    else:
        ip6 = IPv6(outer)
        ip6.version_class_flow = 6 << 28 | traffic_class << 20 | packet.hash & 0xF_FFFF
        ip6.length = octets - ipv6.HEADER & 0xFFFF
        start = outer + ipv6.HEADER
    if tunnel.marks & OVER_UDP != 0:
        _finish_gue(packet, tunnel, outer, start, inner, summed)
    elif tunnel.marks & SUMMED != 0:
        GRE(start).checksum = checksum.finish(checksum.add(start, inner - start) + summed)
    packet.network, packet.transport = outer, start
    packet.family, packet.protocol = tunnel.family, tunnel.protocol
    return octets


@leaf
def _finish_gue(packet: Packet, tunnel: Tunnel, outer: int, start: int, inner: int, summed: int) -> None:
    """What is this packet's own in the UDP header at `start`; the packet is the inner one still."""
    udp, octets = UDP(start), packet.data + packet.length - start
    udp.sport, udp.length = gue.source_port(packet.hash), octets & 0xFFFF
    if tunnel.marks & SUMMED != 0:
        if tunnel.family == 4:
            ip4 = IPv4(outer)
            pseudo = checksum.pseudo4(ip4.src, ip4.dst, PROTOCOL_UDP, octets)
        else:
            ip6 = IPv6(outer)
            pseudo = checksum.pseudo6(ip6.src_hi, ip6.src_lo, ip6.dst_hi, ip6.dst_lo, PROTOCOL_UDP, octets)
        udp.checksum = checksum.not_zero(checksum.finish(pseudo + checksum.add(start, inner - start) + summed))


@hot
def inner_sum(packet: Packet) -> int:
    """What the packet's octets sum to, 16 bits. Its checksums are complete; those of layer 4 are believed."""
    network, transport = packet.network, packet.transport
    octets = packet.data + packet.length - transport
    summed = packet.protocol == PROTOCOL_TCP or (packet.protocol == PROTOCOL_UDP and UDP(transport).checksum != 0)
    if not summed:
        return checksum.add(network, packet.data + packet.length - network)
    if packet.family == 4:
        ip4 = IPv4(network)  # the header sums to 0xffff, which is nothing
        return checksum.fold(checksum.pseudo4(ip4.src, ip4.dst, packet.protocol, octets)) ^ checksum.ONES
    ip6 = IPv6(network)
    pseudo = checksum.pseudo6(ip6.src_hi, ip6.src_lo, ip6.dst_hi, ip6.dst_lo, packet.protocol, octets)
    return checksum.fold((checksum.fold(pseudo) ^ checksum.ONES) + checksum.add(network, transport - network))


# --- the way there ------------------------------------------------------------------------------------------------


@hot
def set_source(worker: Worker, tunnel: Tunnel, interface: int, hi: int, lo: int) -> bool:
    """Let outer packets come from our address on the interface that leads to the server (its address in network order;
    IPv4: 0 and 32 bits). False: there is none."""
    outer = tunnel.header.address + ROOM - tunnel.octets
    if tunnel.family == 4:
        src = source4(worker, interface, lo)
        if src == 0:
            return False
        ip4 = IPv4(outer)
        ip4.src = src
        tunnel.total = checksum.add(outer, ipv4.HEADER)  # length, class and checksum are 0 in it
        return True
    src_hi, src_lo = source6(worker, interface, hi, lo)
    ip6 = IPv6(outer)
    ip6.src_hi, ip6.src_lo = src_hi, src_lo
    return not is_link_local(src_hi) or is_link_local(hi)
