"""Datagrams out: a packet made of an application's octets, and sent whole, in pieces or as one frame of many datagrams.

Checksums are computed, or left to a port that sums (CHECKSUM_PARTIAL) when the packet leaves in one piece. DF and what
happens to a datagram that is too long follow IP_MTU_DISCOVER, by default as in Linux (WANT): DF where it fits, pieces
where it does not. A send longer than UDP_SEGMENT leaves as one UNSEGMENTED frame by ports that take such, else one
datagram after the other. What goes to a group or to everybody is delivered here too; what goes to one of our own
addresses, only here.

Left out: a datagram to one of our own addresses finds the sockets of its own worker alone.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, hot, leaf, store_be16
from pronghorn.net.errors4 import HOPS
from pronghorn.net.fragment_output import fragment4_output, fragment6_output
from pronghorn.net.output import output_mtu
from pronghorn.net.resolve import neighbour_output
from pronghorn.net.state import net_of
from pronghorn.state import linux
from pronghorn.state.endpoints import count
from pronghorn.state.mib import UDP_OUT_DATAGRAMS, UDP_SNDBUF_ERRORS
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, Packet
from pronghorn.state.packets import finish, originate, originate_large
from pronghorn.state.parts import Part, gather
from pronghorn.state.port import CHECKSUM_TX, SEGMENTATION
from pronghorn.state.verdicts import CONSUMED, NEIGHBOUR_TABLE_FULL, PORT_DOWN, TOO_BIG, TRANSMIT_FULL
from pronghorn.state.worker import Worker, random_number
from pronghorn.udp.endpoint import MULTICAST_LOOP, NO_CHECK, NO_CHECK6_TX, SELF, UNICAST, Endpoint, Way, is_four
from pronghorn.udp.loop import loop_back, loop_group
from pronghorn.udp.way import lead_out, way_neighbour
from pronghorn.wire import icmp, icmpv6, ipv4, ipv6, udp
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP
from pronghorn.wire.udp import HEADER, UDP

EMSGSIZE, ENOBUFS, EAGAIN, EINVAL = errno.EMSGSIZE, errno.ENOBUFS, errno.EAGAIN, errno.EINVAL
ENETDOWN = errno.ENETDOWN

SMALL = 1700
"""Octets of a packet that a 2 KB chunk holds behind its headroom, with room for what is put in front."""
LONGEST = 0xFFFF


@hot
def send_way(worker: Worker, endpoint: Endpoint, way: Way, port: int, parts: Array[Part], octets: int) -> int:
    """Send the parts' octets on the way, to `port`: one datagram, or several of `segment`. Octets sent, or -errno."""
    if way.kind == SELF and net_of(worker).shared != 0:
        lead_out(worker, endpoint, way, port)
    segment = endpoint.segment
    if endpoint.protocol != PROTOCOL_UDP or segment == 0 or octets <= segment:
        sent = _send(worker, endpoint, way, port, parts, 0, octets, 0)
        return octets if sent == 0 else sent
    headers = HEADER + (ipv4.HEADER if is_four(way.hi, way.lo) else ipv6.HEADER)
    if way.kind != SELF and segment + headers > net_of(worker).interfaces[way.interface].mtu:
        return -EINVAL
    if octets > segment * linux.UDP_MAX_SEGMENTS:
        return -EINVAL
    if octets + headers > LONGEST:
        return -EMSGSIZE
    if _takes_long(worker, endpoint, way):
        sent = _send(worker, endpoint, way, port, parts, 0, octets, segment)
        if sent != -ENOBUFS:
            return octets if sent == 0 else sent
    done = 0
    while done < octets:
        sent = _send(worker, endpoint, way, port, parts, done, min(segment, octets - done), 0)
        if sent != 0:
            return done if done > 0 else sent
        done += min(segment, octets - done)
    return octets


@leaf
def _takes_long(worker: Worker, endpoint: Endpoint, way: Way) -> bool:
    """Whether the way's port takes UNSEGMENTED frames: those are summed by it."""
    if way.kind != UNICAST or endpoint.flags & (NO_CHECK | NO_CHECK6_TX) != 0 or worker.large_pool == 0:
        return False
    return worker.ports[way.interface].offloads & (SEGMENTATION | CHECKSUM_TX) == SEGMENTATION | CHECKSUM_TX


@hot
def _send(
    worker: Worker, endpoint: Endpoint, way: Way, port: int, parts: Array[Part], skip: int, octets: int, segment: int
) -> int:
    """One packet. 0, or -errno."""
    four = is_four(way.hi, way.lo)
    header = ipv4.HEADER if four else ipv6.HEADER
    above = HEADER if endpoint.protocol == PROTOCOL_UDP else 0
    if above + octets > LONGEST - (ipv4.HEADER if four else 0):
        return -EMSGSIZE
    packet = _take(worker, header + above + octets)
    if packet.address == 0:
        count(worker, UDP_SNDBUF_ERRORS, 1)
        return -ENOBUFS
    packet.network, packet.transport = packet.data, packet.data + header
    packet.length, packet.protocol, packet.port = header + above + octets, endpoint.protocol, way.interface
    gather(packet.transport + above, parts, skip, octets)
    if above != 0:
        udp.emit(packet.transport, endpoint.local_port, port, HEADER + octets)
    else:
        store_be16(packet.transport + 4, endpoint.local_port)  # the identifier
    if segment != 0:
        packet.flags |= UNSEGMENTED
        packet.gso_size = segment
    verdict = _output4(worker, endpoint, way, packet) if four else _output6(worker, endpoint, way, packet)
    finish(worker, packet, verdict)
    return _outcome(worker, endpoint, verdict)


@hot
def _take(worker: Worker, octets: int) -> Packet:
    """A packet of our own for so many octets of layer 3; address 0: none is left."""
    return originate(worker) if octets <= SMALL else originate_large(worker)


@hot
def _outcome(worker: Worker, endpoint: Endpoint, verdict: int) -> int:
    """What the application hears of the packet's verdict. One that waits, or that a neighbour lost, was sent."""
    if verdict == TRANSMIT_FULL:
        count(worker, UDP_SNDBUF_ERRORS, 1)
        return -EAGAIN
    if verdict == TOO_BIG:
        return -EMSGSIZE
    if verdict == PORT_DOWN:
        return -ENETDOWN
    if verdict == NEIGHBOUR_TABLE_FULL:
        return -ENOBUFS
    if endpoint.protocol == PROTOCOL_UDP:
        count(worker, UDP_OUT_DATAGRAMS, 1)
    return 0


# --- IPv4 ---------------------------------------------------------------------------------------------------------


@hot
def _output4(worker: Worker, endpoint: Endpoint, way: Way, packet: Packet) -> int:
    """IP header, checksum, and out. Returns the verdict."""
    packet.family = 4
    ttl = endpoint.ttl if way.kind == UNICAST or way.kind == SELF else endpoint.multicast_ttl
    src, dst, discover = way.source_lo & 0xFFFF_FFFF, way.lo & 0xFFFF_FFFF, endpoint.discover
    ttl = HOPS if ttl == 0 and (way.kind == UNICAST or way.kind == SELF) else ttl
    index = way_neighbour(worker, way) if way.kind != SELF else 0
    if index < 0:
        return NEIGHBOUR_TABLE_FULL
    ident = random_number(worker) & 0xFFFF
    ipv4.emit(packet.network, endpoint.tos, packet.length, ident, 0, ttl, packet.protocol, src, dst)
    mtu = LONGEST if way.kind == SELF else _mtu(worker, packet, index, discover)
    whole = packet.length <= mtu or packet.flags & UNSEGMENTED != 0
    if not whole and (discover == linux.IP_PMTUDISC_DO or discover == linux.IP_PMTUDISC_PROBE):
        return TOO_BIG
    if whole and 0 < discover < linux.IP_PMTUDISC_INTERFACE:
        IPv4(packet.network).fragment = DO_NOT_FRAGMENT
        ipv4.fill_checksum(IPv4(packet.network))
    _sum4(worker, endpoint, way, packet, whole)
    if way.kind == SELF:
        return loop_back(worker, endpoint, packet)
    if way.kind != UNICAST and endpoint.flags & MULTICAST_LOOP != 0:
        loop_group(worker, packet)
        if ttl == 0:
            return CONSUMED
    return neighbour_output(worker, packet, index) if whole else fragment4_output(worker, packet, index, mtu)


@leaf
def _mtu(worker: Worker, packet: Packet, index: int, discover: int) -> int:
    """Octets of layer 3 that may go in one piece: reports of routers count, unless the socket does not want them to."""
    if discover >= linux.IP_PMTUDISC_PROBE:
        return net_of(worker).neighbours[index].mtu
    return output_mtu(worker, packet, index)


@hot
def _sum4(worker: Worker, endpoint: Endpoint, way: Way, packet: Packet, whole: bool) -> None:
    """The checksum of layer 4."""
    if packet.protocol == PROTOCOL_ICMP:
        _sum_echo4(packet)
    elif endpoint.flags & NO_CHECK == 0:
        if whole and way.kind == UNICAST and worker.ports[way.interface].offloads & CHECKSUM_TX != 0:
            packet.flags |= CHECKSUM_PARTIAL
            udp.fill_partial4(IPv4(packet.network), UDP(packet.transport))
        else:
            udp.fill_checksum4(IPv4(packet.network), UDP(packet.transport))


@leaf
def _sum_echo4(packet: Packet) -> None:
    message = icmp.ICMP(packet.transport)
    rest = message.identifier << 16 | message.sequence
    icmp.emit(packet.transport, message.type, message.code, rest, packet.data + packet.length - packet.transport)


# --- IPv6 ---------------------------------------------------------------------------------------------------------


@hot
def _output6(worker: Worker, endpoint: Endpoint, way: Way, packet: Packet) -> int:
    """The same over IPv6."""
    packet.family = 6
    hops = endpoint.hops if way.kind == UNICAST or way.kind == SELF else endpoint.multicast_hops
    hops = HOPS if hops == 0 and (way.kind == UNICAST or way.kind == SELF) else hops
    index = way_neighbour(worker, way) if way.kind != SELF else 0
    if index < 0:
        return NEIGHBOUR_TABLE_FULL
    ipv6.emit(
        packet.network, endpoint.traffic_class << 20, packet.length - ipv6.HEADER, packet.protocol, hops,
        way.source_hi, way.source_lo, way.hi, way.lo,
    )  # fmt: skip
    discover = endpoint.discover6
    mtu = LONGEST + ipv6.HEADER if way.kind == SELF else _mtu(worker, packet, index, discover)
    whole = packet.length <= mtu or packet.flags & UNSEGMENTED != 0
    if not whole and (discover == linux.IP_PMTUDISC_DO or discover == linux.IP_PMTUDISC_PROBE):
        return TOO_BIG
    _sum6(worker, endpoint, way, packet, whole)
    if way.kind == SELF:
        return loop_back(worker, endpoint, packet)
    if way.kind != UNICAST and endpoint.flags & MULTICAST_LOOP != 0:
        loop_group(worker, packet)
        if hops == 0:
            return CONSUMED
    return neighbour_output(worker, packet, index) if whole else fragment6_output(worker, packet, index, mtu)


@hot
def _sum6(worker: Worker, endpoint: Endpoint, way: Way, packet: Packet, whole: bool) -> None:
    ip = IPv6(packet.network)
    if packet.protocol == PROTOCOL_ICMPV6:
        icmpv6.fill_checksum(ip, ICMPv6(packet.transport).address, ip.length)
    elif endpoint.flags & NO_CHECK6_TX == 0:
        if whole and way.kind == UNICAST and worker.ports[way.interface].offloads & CHECKSUM_TX != 0:
            packet.flags |= CHECKSUM_PARTIAL
            udp.fill_partial6(ip, UDP(packet.transport))
        else:
            udp.fill_checksum6(ip, UDP(packet.transport))
