"""The way out: an IP packet to its next hop, whole, in pieces or not at all.

    verdict = ip_output(worker, packet)                    # looks the neighbour up
    verdict = output_to(worker, packet, index)             # the neighbour is known: a connection keeps its index

packet.network and packet.family are set, the headers are complete, and packet.data and packet.length say where the
packet ends. The MTU is the interface's, or less when a router on the way said so (path_mtu.py). A packet that is too
long goes in pieces (IPv4 without DF, and what came in pieces), or its sender hears of it. UNSEGMENTED frames are cut
by the port that takes them.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.net.errors import report_no_route, report_too_big
from pronghorn.net.fragment_output import fragment4_output, fragment6_output
from pronghorn.net.path_mtu import FLOOR4, path_limit
from pronghorn.net.resolve import UNREACHABLE, neighbour_output, resolve4, resolve6, unresolved
from pronghorn.net.state import MAPPED, net_of
from pronghorn.state.packet import UNSEGMENTED, WHOLE, Packet
from pronghorn.state.verdicts import TOO_BIG
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import IPv6


@hot
def ip_output(worker: Worker, packet: Packet) -> int:
    """Route the packet and send it. Returns its verdict."""
    if packet.family == 4:
        index = resolve4(worker, IPv4(packet.network).dst)
    else:
        ip = IPv6(packet.network)
        index = resolve6(worker, ip.dst_hi, ip.dst_lo)
    if index >= 0:
        return output_to(worker, packet, index)
    if index == UNREACHABLE:
        report_no_route(worker, packet)
    return unresolved(index)


@leaf
def output_to(worker: Worker, packet: Packet, index: int) -> int:
    """Send the packet to the neighbour `index`. Returns its verdict."""
    octets = packet.data + packet.length - packet.network
    if octets > FLOOR4 and packet.flags & UNSEGMENTED == 0:
        return _long_output(worker, packet, index)
    return neighbour_output(worker, packet, index)


@hot
def _long_output(worker: Worker, packet: Packet, index: int) -> int:
    """The same for a packet that might be longer than some MTU."""
    mtu = output_mtu(worker, packet, index)
    if packet.data + packet.length - packet.network <= mtu:
        return neighbour_output(worker, packet, index)
    return cut_output(worker, packet, index, mtu)


@hot
def cut_output(worker: Worker, packet: Packet, index: int, mtu: int) -> int:
    """A packet longer than `mtu`: in pieces to the neighbour `index` if that is allowed. Returns the verdict.

    A packet that was put together here (WHOLE) came in pieces and goes on in pieces.
    """
    whole = packet.flags & WHOLE != 0
    if packet.family == 4 and (whole or IPv4(packet.network).fragment & DO_NOT_FRAGMENT == 0):
        return fragment4_output(worker, packet, index, mtu)
    if packet.family == 6 and whole:
        return fragment6_output(worker, packet, index, mtu)
    report_too_big(worker, packet, mtu)
    return TOO_BIG


@leaf
def output_mtu(worker: Worker, packet: Packet, index: int) -> int:
    """Octets of layer 3 that a packet to packet's destination through the neighbour may have."""
    mtu = net_of(worker).neighbours[index].mtu
    if packet.family == 4:
        return path_limit(worker, 0, MAPPED | IPv4(packet.network).dst, mtu)
    ip = IPv6(packet.network)
    return path_limit(worker, ip.dst_hi, ip.dst_lo, mtu)


@hot
def own_output6(worker: Worker, packet: Packet, index: int) -> int:
    """Send an IPv6 packet of our own to the neighbour `index`, in pieces if it is too long. Returns its verdict.

    `index` may be below 0 (resolve.py). Packets of others are not cut in IPv6: `output_to`.
    """
    if index < 0:
        return unresolved(index)
    mtu = output_mtu(worker, packet, index)
    if packet.data + packet.length - packet.network <= mtu or packet.flags & UNSEGMENTED != 0:
        return neighbour_output(worker, packet, index)
    return fragment6_output(worker, packet, index, mtu)
