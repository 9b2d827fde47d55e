"""Neighbour discovery input (RFC 4861 section 7.2): what ARP input is for IPv4.

Solicitations for our addresses are answered in the same packet; probes for duplicates (source ::, RFC 4862 5.4.3)
too, to all nodes. Advertisements change the entries that exist. Router messages and redirects are held against their
rules and then ignored: addresses and routes are configured, and nobody on a link may change them.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.addresses import input_interface, owned_on
from pronghorn.net.claims import refuse_claim
from pronghorn.net.neighbours import OVERRIDE, SOLICITED, advertised, heard, is_asked, neighbour_find
from pronghorn.net.routes import is_on_link
from pronghorn.net.solicit import advertise
from pronghorn.net.state import Net, net_of
from pronghorn.state.dispatch import tell_others
from pronghorn.state.packet import BROADCAST, MULTICAST, REDIRECTED, Packet
from pronghorn.state.verdicts import CONSUMED, ICMP_IGNORED, ND_NOT_FOR_US, ND_OWN_ADDRESS, ND_UNSOLICITED
from pronghorn.state.worker import Worker
from pronghorn.wire import ethernet, ndp
from pronghorn.wire.ethernet import Ethernet
from pronghorn.wire.icmpv6 import NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, ICMPv6
from pronghorn.wire.ipv6 import ALL_NODES_HI, ALL_NODES_LO, IPv6, group_mac, is_link_local
from pronghorn.wire.ndp import Neighbour as Message
from pronghorn.wire.reasons import GOOD


@hot
def nd_input(worker: Worker, packet: Packet, octets: int) -> int:
    """A discovery message (type 133 to 137) of so many octets at packet.transport, its checksum verified."""
    net = net_of(worker)
    ip = IPv6(packet.network)
    reason = ndp.check(ip, packet.transport, octets, net.options)
    if reason != GOOD:
        return reason
    interface = input_interface(worker, packet)
    if interface < 0:
        return ND_NOT_FOR_US
    kind = ICMPv6(packet.transport).type
    if kind == NEIGHBOUR_SOLICITATION:
        return _solicited(worker, packet, net, interface)
    if kind == NEIGHBOUR_ADVERTISEMENT:
        return _advertised(worker, packet, net, interface)
    return ICMP_IGNORED


@hot
def _link_address(packet: Packet, present: int, option: int) -> int:
    """The sender's hardware address: from the option when it is there and a single station's, else from the frame."""
    if present != 0 and option != 0 and not ethernet.is_group(option):
        return option
    return ethernet.source(Ethernet(packet.data))


@hot
def _solicited(worker: Worker, packet: Packet, net: Net, interface: int) -> int:
    """RFC 4861 7.2.3 and 7.2.4."""
    ip, message = IPv6(packet.network), Message(packet.transport)
    hi, lo, target_hi, target_lo = ip.src_hi, ip.src_lo, message.target_hi, message.target_lo
    mac = _link_address(packet, net.options.present & ndp.HAS_SOURCE, net.options.source)
    claimed = owned_on(net, interface, hi, lo)
    if claimed >= 0:
        refuse_claim(worker, interface, claimed, mac)
        return ND_OWN_ADDRESS
    if owned_on(net, interface, target_hi, target_lo) < 0:
        return ND_NOT_FOR_US
    packet.flags &= ~(BROADCAST | MULTICAST)
    packet.data = packet.network - ethernet.HEADER
    if hi == 0:
        to = group_mac(ALL_NODES_LO)
        return advertise(
            worker, packet, interface, ndp.FLAG_OVERRIDE, target_hi, target_lo, ALL_NODES_HI, ALL_NODES_LO, to
        )
    if net.options.present & ndp.HAS_SOURCE != 0 and (is_link_local(hi) or is_on_link(worker, interface, hi, lo)):
        heard(worker, interface, hi, lo, mac)
    flags = ndp.FLAG_SOLICITED | ndp.FLAG_OVERRIDE
    return advertise(worker, packet, interface, flags, target_hi, target_lo, hi, lo, mac)


@hot
def _advertised(worker: Worker, packet: Packet, net: Net, interface: int) -> int:
    """RFC 4861 7.2.5. Another worker may have asked: all are told."""
    if worker.workers > 1 and packet.flags & REDIRECTED == 0:
        tell_others(worker, packet)
    message = Message(packet.transport)
    mac = 0
    if net.options.present & ndp.HAS_TARGET != 0 and not ethernet.is_group(net.options.target):
        mac = net.options.target
    claimed = owned_on(net, interface, message.target_hi, message.target_lo)
    if claimed >= 0:
        refuse_claim(worker, interface, claimed, mac)
        return ND_OWN_ADDRESS
    index = neighbour_find(net, interface, message.target_hi, message.target_lo)
    if index < 0:
        return ND_UNSOLICITED
    flags = OVERRIDE if message.flags & ndp.FLAG_OVERRIDE != 0 else 0
    if message.flags & ndp.FLAG_SOLICITED != 0 and is_asked(net.neighbours[index].state):
        flags |= SOLICITED
    advertised(worker, index, mac, flags)
    return CONSUMED
