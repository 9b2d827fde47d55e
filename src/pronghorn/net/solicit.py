"""Questions and announcements about addresses: ARP requests (RFC 826, RFC 5227) and neighbour discovery (RFC 4861).

All are frames that this engine originates and sends straight out of an interface's port. A question goes to everybody
(ARP) or to the target's solicited-node group; to the neighbour alone when we only want to know whether it is still
there.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.net.addresses import source4
from pronghorn.net.state import FORWARDING, LINK_LOCAL_HI, PROBE, Neighbour, Net, net_of
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.transmit import transmit
from pronghorn.state.worker import Worker
from pronghorn.wire import arp, ethernet, ipv6, ndp
from pronghorn.wire.icmpv6 import NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION
from pronghorn.wire.ipv6 import ALL_NODES_HI, ALL_NODES_LO, IPv6
from pronghorn.wire.numbers import ETHERTYPE_ARP, ETHERTYPE_IPV6, PROTOCOL_ICMPV6

NEIGHBOUR_OCTETS = 32
"""Octets of a solicitation or advertisement with one link-layer address."""


@hot
def ask(worker: Worker, index: int) -> None:
    """Send one question about the neighbour."""
    neighbour = net_of(worker).neighbours[index]
    neighbour.probes += 1
    packet = originate(worker)
    if packet.address == 0:
        return
    if neighbour.hi == 0:
        finish(worker, packet, _ask4(worker, packet, neighbour))
    else:
        finish(worker, packet, _ask6(worker, packet, neighbour))


@hot
def _ask4(worker: Worker, packet: Packet, neighbour: Neighbour) -> int:
    own = net_of(worker).interfaces[neighbour.interface]
    target = neighbour.lo & 0xFFFF_FFFF
    to = neighbour.mac if neighbour.state == PROBE else ethernet.BROADCAST
    source = source4(worker, neighbour.interface, target)
    return arp_output(worker, packet, neighbour.port, to, arp.REQUEST, own.mac, source, 0, target)


@hot
def arp_output(
    worker: Worker, packet: Packet, port: int, to: int, operation: int, mac: int, ip: int, target_mac: int, target: int
) -> int:
    """Make the packet an ARP message of ours and queue it. Returns the verdict."""
    ethernet.emit(packet.data, to, mac, ETHERTYPE_ARP)
    packet.network = packet.data + ethernet.HEADER
    arp.emit(packet.network, operation, mac, ip, target_mac, target)
    packet.length = ethernet.HEADER + arp.OCTETS
    packet.family, packet.protocol, packet.out_port = 0, 0, port
    return transmit(worker, packet, port)


@hot
def _ask6(worker: Worker, packet: Packet, neighbour: Neighbour) -> int:
    own = net_of(worker).interfaces[neighbour.interface]
    hi, lo, to = neighbour.hi, neighbour.lo, neighbour.mac
    if neighbour.state != PROBE:
        hi, lo = ALL_NODES_HI, ipv6.solicited_node_lo(neighbour.lo)
        to = ipv6.group_mac(lo)
    _discovery_headers(packet, to, own.mac, LINK_LOCAL_HI, own.link_local, hi, lo)
    ndp.emit_neighbour(
        IPv6(packet.network), packet.transport, NEIGHBOUR_SOLICITATION, 0, neighbour.hi, neighbour.lo, own.mac
    )
    packet.out_port = neighbour.port
    return transmit(worker, packet, neighbour.port)


@leaf
def _discovery_headers(packet: Packet, to: int, mac: int, src_hi: int, src_lo: int, hi: int, lo: int) -> None:
    """Ethernet and IPv6 headers of a solicitation or advertisement."""
    ethernet.emit(packet.data, to, mac, ETHERTYPE_IPV6)
    packet.network = packet.data + ethernet.HEADER
    packet.transport = packet.network + ipv6.HEADER
    ipv6.emit(packet.network, 0, NEIGHBOUR_OCTETS, PROTOCOL_ICMPV6, ndp.HOP_LIMIT, src_hi, src_lo, hi, lo)
    packet.length = ethernet.HEADER + ipv6.HEADER + NEIGHBOUR_OCTETS
    packet.family, packet.protocol = 6, PROTOCOL_ICMPV6


@hot
def advertise(
    worker: Worker, packet: Packet, interface: int, flags: int, hi: int, lo: int, to_hi: int, to_lo: int, to: int
) -> int:
    """Make the packet an advertisement of our address hi, lo for the station at to_hi, to_lo and `to`; queue it."""
    own = net_of(worker).interfaces[interface]
    if own.flags & FORWARDING != 0:
        flags |= ndp.FLAG_ROUTER
    _discovery_headers(packet, to, own.mac, hi, lo, to_hi, to_lo)
    ndp.emit_neighbour(IPv6(packet.network), packet.transport, NEIGHBOUR_ADVERTISEMENT, flags, hi, lo, own.mac)
    packet.out_port = own.port
    return transmit(worker, packet, own.port)


@hot
def announce(worker: Worker, net: Net, index: int) -> None:
    """Tell everybody on the interface that the address `index` is ours: RFC 5227 2.3, RFC 4861 7.2.6."""
    owned = net.owned[index]
    own = net.interfaces[owned.interface]
    packet = originate(worker)
    if packet.address == 0:
        return
    if owned.hi == 0:
        ip = owned.lo & 0xFFFF_FFFF
        verdict = arp_output(worker, packet, own.port, ethernet.BROADCAST, arp.REQUEST, own.mac, ip, 0, ip)
    else:
        to = ipv6.group_mac(ALL_NODES_LO)
        verdict = advertise(
            worker, packet, owned.interface, ndp.FLAG_OVERRIDE, owned.hi, owned.lo, ALL_NODES_HI, ALL_NODES_LO, to
        )
    finish(worker, packet, verdict)
