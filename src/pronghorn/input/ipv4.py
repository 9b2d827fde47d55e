"""IPv4 in (RFC 791, RFC 1122 3.2): a good header, possible addresses, trailing padding cut off, fragments put
together."""

from __future__ import annotations

from pronghorn.compiled import cold, hot
from pronghorn.input.transport import transport_input
from pronghorn.net.addresses import may_be_own
from pronghorn.net.fragments import reassemble4
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish
from pronghorn.state.worker import Worker
from pronghorn.wire import ipv4
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.reasons import GOOD, IPV4_LAND


@hot
def ipv4_input(worker: Worker, packet: Packet) -> int:
    """packet.network is set. Sets family, protocol, transport and cuts length. Returns the verdict."""
    network = packet.network
    before = network - packet.data
    reason = ipv4.check(network, packet.length - before)
    if reason != GOOD:
        return reason
    ip = IPv4(network)
    reason = ipv4.check_addresses(ip)
    if reason != GOOD and not (reason == IPV4_LAND and may_be_own(worker, packet)):
        return reason
    packet.length = before + ip.length
    packet.family = 4
    packet.protocol = ip.protocol
    if ipv4.is_fragment(ip):
        return _fragment_input(worker, packet)
    packet.transport = network + ipv4.header_octets(ip)
    return transport_input(worker, packet)


@cold
def _fragment_input(worker: Worker, packet: Packet) -> int:
    """A part of a datagram. When it is the last one missing, the whole goes on in its place to a verdict of its own."""
    reason = ipv4.check_fragment(IPv4(packet.network))
    if reason != GOOD:
        return reason
    verdict, whole = reassemble4(worker, packet)
    if whole.address != 0:
        whole.protocol = IPv4(whole.network).protocol
        whole.transport = whole.network + ipv4.header_octets(IPv4(whole.network))
        finish(worker, whole, transport_input(worker, whole))
    return verdict
