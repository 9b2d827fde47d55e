"""IPv6 in (RFC 8200): a good header, possible addresses, extension headers walked, fragments put together."""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.input.transport import transport_input
from pronghorn.net.addresses import may_be_own
from pronghorn.net.fragments import reassemble6
from pronghorn.net.icmpv6 import parameter_problem
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish
from pronghorn.state.worker import Worker
from pronghorn.wire import extension, ipv6
from pronghorn.wire.ipv6 import HEADER, IPv6
from pronghorn.wire.numbers import PROTOCOL_ICMPV6
from pronghorn.wire.reasons import (
    EXTENSION_FRAGMENT_NESTED,
    EXTENSION_OPTION_REPORT,
    GOOD,
    IPV6_FRAGMENT_BEYOND,
    IPV6_FRAGMENT_UNALIGNED,
    IPV6_LAND,
    IPV6_UNSPECIFIED_SOURCE,
)

LENGTH = IPv6.offset("length")


@hot
def ipv6_input(worker: Worker, packet: Packet) -> int:
    """packet.network is set. Sets family, protocol, transport and cuts length. Returns the verdict."""
    network = packet.network
    before = network - packet.data
    reason = ipv6.check(network, packet.length - before)
    if reason != GOOD:
        return reason
    ip = IPv6(network)
    reason = ipv6.check_addresses(ip)
    # RFC 4862 5.4.3: the unspecified address is a source in duplicate address detection alone
    detection = reason == IPV6_UNSPECIFIED_SOURCE and ip.next_header == PROTOCOL_ICMPV6
    if reason != GOOD and not detection and not (reason == IPV6_LAND and may_be_own(worker, packet)):
        return reason
    packet.length = before + HEADER + ip.length
    packet.family = 6
    if extension.is_extension(ip.next_header):
        return _extended_input(worker, packet)
    packet.protocol = ip.next_header
    packet.transport = network + HEADER
    return transport_input(worker, packet)


@hot
def _extended_input(worker: Worker, packet: Packet) -> int:
    """Extension headers stand before layer 4."""
    ip = IPv6(packet.network)
    reason, protocol, offset, fragment = extension.walk(ip, HEADER + ip.length)
    if reason != GOOD:
        return _refuse(worker, packet, reason, offset)
    if fragment == 0:
        packet.protocol = protocol
        packet.transport = packet.network + offset
        return transport_input(worker, packet)
    header = extension.Fragment(packet.network + fragment)
    reason = extension.check_fragment(header, HEADER + ip.length - fragment - 8)
    if reason != GOOD:
        return _refuse_fragment(worker, packet, reason, fragment)
    verdict, whole = reassemble6(worker, packet, fragment)
    if whole.address != 0:
        finish(worker, whole, _whole_input(worker, whole))
    return verdict


@hot
def _refuse_fragment(worker: Worker, packet: Packet, reason: int, fragment: int) -> int:
    """RFC 8200 4.5: which field makes the fragment impossible, its sender is told."""
    if reason == IPV6_FRAGMENT_UNALIGNED:
        parameter_problem(worker, packet, 0, LENGTH, 0)
    elif reason == IPV6_FRAGMENT_BEYOND:
        parameter_problem(worker, packet, 0, fragment + 2, 0)
    return reason


@hot
def _whole_input(worker: Worker, packet: Packet) -> int:
    """A packet that was put together: what its fragments hid is walked through, and is no fragment again."""
    ip = IPv6(packet.network)
    reason, protocol, offset, fragment = extension.walk(ip, HEADER + ip.length)
    if reason != GOOD:
        return _refuse(worker, packet, reason, offset)
    if fragment != 0:
        return EXTENSION_FRAGMENT_NESTED
    packet.protocol = protocol
    packet.transport = packet.network + offset
    return transport_input(worker, packet)


@hot
def _refuse(worker: Worker, packet: Packet, reason: int, offset: int) -> int:
    """Tell the sender where that is due (RFC 4443 3.4)."""
    code = extension.problem_code(reason)
    if code >= 0:
        parameter_problem(worker, packet, code, offset, 1 if reason == EXTENSION_OPTION_REPORT else 0)
    return reason
