"""Frames in: whose are they, and what do they carry (IEEE 802.3, RFC 894, RFC 2464).

A port's frames are ours when they go to the port's own address or to a group; promiscuous devices deliver others too.
A priority tag (VLAN 0) is looked through; other VLANs have no interface yet.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.input.ipv4 import ipv4_input
from pronghorn.input.ipv6 import ipv6_input
from pronghorn.net.arp import arp_input
from pronghorn.state.packet import BROADCAST, MULTICAST, UNSEGMENTED, WHOLE, Packet
from pronghorn.state.port import Port
from pronghorn.state.verdicts import OTHER_HOST, UNKNOWN_ETHERTYPE, UNKNOWN_VLAN
from pronghorn.state.worker import Worker
from pronghorn.wire import ethernet, vlan
from pronghorn.wire.ethernet import Ethernet
from pronghorn.wire.numbers import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6
from pronghorn.wire.reasons import GOOD


@hot
def frame_input(worker: Worker, port: Port, packet: Packet) -> int:
    """A received frame: reads data, length and flags; sets network. Returns the verdict."""
    address, octets = packet.data, packet.length
    reason = ethernet.check(address, octets)
    if reason != GOOD:
        return reason
    eth = Ethernet(address)
    if ethernet.destination(eth) != port.mac:
        if not ethernet.is_group_frame(eth):
            return OTHER_HOST
        packet.flags |= BROADCAST if ethernet.is_broadcast_frame(eth) else MULTICAST
    if packet.flags & (UNSEGMENTED | WHOLE) == 0:
        reason = ethernet.check_size(octets, port.mtu)
        if reason != GOOD:
            return reason
    ethertype, offset = eth.ethertype, ethernet.HEADER
    if vlan.is_tag(ethertype):
        reason = vlan.check(address, octets)
        if reason != GOOD:
            return reason
        if vlan.outer(address) & vlan.IDENTIFIER != 0:
            return UNKNOWN_VLAN
        ethertype, offset = vlan.payload(address)
    packet.network = address + offset
    if ethertype == ETHERTYPE_IPV4:
        return ipv4_input(worker, packet)
    if ethertype == ETHERTYPE_IPV6:
        return ipv6_input(worker, packet)
    if ethertype == ETHERTYPE_ARP:
        return arp_input(worker, packet)
    return UNKNOWN_ETHERTYPE
