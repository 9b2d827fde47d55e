"""ARP input: answers for our addresses, and what others say about theirs (RFC 826, RFC 5227).

Rules:
* Whoever asks for an address of ours gets the answer in the same packet, turned round. It becomes a neighbour if it
  is on the link as the routes have it and a record is free.
* Nobody else may have an address of ours: the claim is refused, counted, and answered at most once in ten seconds.
* What nobody asked for makes no entry. It may correct one (gratuitous ARP, as after a failover), which is then STALE.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.addresses import input_interface, owned_on
from pronghorn.net.claims import refuse_claim
from pronghorn.net.neighbours import OVERRIDE, SOLICITED, advertised, heard, is_asked, neighbour_find
from pronghorn.net.routes import is_on_link
from pronghorn.net.solicit import arp_output
from pronghorn.net.state import MAPPED, net_of
from pronghorn.state.dispatch import tell_others
from pronghorn.state.packet import BROADCAST, MULTICAST, REDIRECTED, Packet
from pronghorn.state.verdicts import ARP_NOT_FOR_US, ARP_OWN_ADDRESS, ARP_UNSOLICITED, CONSUMED
from pronghorn.state.worker import Worker
from pronghorn.wire import arp, ethernet
from pronghorn.wire.arp import ARP
from pronghorn.wire.reasons import GOOD


@hot
def arp_input(worker: Worker, packet: Packet) -> int:
    """An ARP message at packet.network. Returns its verdict."""
    reason = arp.check(packet.network, packet.data + packet.length - packet.network)
    if reason != GOOD:
        return reason
    interface = input_interface(worker, packet)
    if interface < 0:
        return ARP_NOT_FOR_US
    message = ARP(packet.network)
    claimed = owned_on(net_of(worker), interface, 0, MAPPED | message.sender_ip)
    if claimed >= 0:
        refuse_claim(worker, interface, claimed, arp.sender(message))
        return ARP_OWN_ADDRESS
    if message.sender_ip == message.target_ip:
        return _correct(worker, packet, interface, OVERRIDE)
    if owned_on(net_of(worker), interface, 0, MAPPED | message.target_ip) < 0:
        return ARP_NOT_FOR_US
    if message.operation == arp.REPLY:
        return _correct(worker, packet, interface, OVERRIDE | SOLICITED)
    return _answer(worker, packet, interface)


@hot
def _answer(worker: Worker, packet: Packet, interface: int) -> int:
    """Turn a request for an address of ours, or a probe of it (sender 0.0.0.0), into its reply."""
    message = ARP(packet.network)
    asker, mac, asked = message.sender_ip, arp.sender(message), message.target_ip
    if asker != 0 and is_on_link(worker, interface, 0, MAPPED | asker):
        heard(worker, interface, 0, MAPPED | asker, mac)
    own = net_of(worker).interfaces[interface]
    packet.flags &= ~(BROADCAST | MULTICAST)
    packet.data = packet.network - ethernet.HEADER
    return arp_output(worker, packet, own.port, mac, arp.REPLY, own.mac, asked, mac, asker)


@hot
def _correct(worker: Worker, packet: Packet, interface: int, flags: int) -> int:
    """A reply, or a station that announces itself. It confirms the neighbour only if we asked.

    Another worker may have asked: all are told.
    """
    net, message = net_of(worker), ARP(packet.network)
    if worker.workers > 1 and packet.flags & REDIRECTED == 0:
        tell_others(worker, packet)
    index = neighbour_find(net, interface, 0, MAPPED | message.sender_ip)
    if index < 0:
        return ARP_UNSOLICITED
    if not is_asked(net.neighbours[index].state):
        flags &= ~SOLICITED
    advertised(worker, index, arp.sender(message), flags)
    return CONSUMED
