"""ICMP for datagram sockets: echo replies, and errors about what they sent (RFC 1122 4.1.3.3, RFC 5927, RFC 8085 5.2).

An error is believed when the packet that it quotes can be one of ours: from an address of ours, and from a port (or
with an identifier) that has a socket which takes answers from there. What errno it is, and whether it is hard, is as in
Linux (icmp_err_convert, icmpv6_err_convert): a connected socket hears of hard errors; one with IP_RECVERR of all, and
finds them in its queue (state/error_queue.py).

Replies and errors arrive at any worker, and are sent on to those that have the port.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf, load8, load_be16, load_be32
from pronghorn.net.addresses import is_local4, is_local6
from pronghorn.net.icmp import path_report4
from pronghorn.net.icmpv6 import path_report6
from pronghorn.net.state import MAPPED
from pronghorn.state import linux
from pronghorn.state.dispatch import tell_others
from pronghorn.state.endpoints import FAILED, RECEIVE_ERRORS, RECEIVE_ERRORS6, endpoints_of, socket_event
from pronghorn.state.error_queue import ICMP as QUEUED_ICMP
from pronghorn.state.error_queue import ICMP6 as QUEUED_ICMP6
from pronghorn.state.error_queue import LOCAL as QUEUED_LOCAL
from pronghorn.state.error_queue import error_put, error_say
from pronghorn.state.packet import ORIGINATED, REDIRECTED, Packet
from pronghorn.state.verdicts import CONSUMED, CONTINUE
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import CONNECTED, Arrival, Endpoint, is_four, udp_of
from pronghorn.udp.input import deliver_to, note_arrival
from pronghorn.udp.table import endpoint_find, port_users
from pronghorn.wire import icmp, icmpv6
from pronghorn.wire.icmp import ICMP
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.udp import HEADER as UDP_HEADER

HARD = 1 << 16
"""Beside an errno: no answer will come."""

REFUSED = errno.ECONNREFUSED | HARD
NET_UNREACHABLE, HOST_UNREACHABLE = errno.ENETUNREACH, errno.EHOSTUNREACH
NO_PROTOCOL, BROKEN, FORBIDDEN = errno.ENOPROTOOPT | HARD, errno.EPROTO | HARD, errno.EACCES | HARD
HOST_DOWN, NOT_ON_NET, NOT_SUPPORTED = errno.EHOSTDOWN | HARD, errno.ENONET | HARD, errno.EOPNOTSUPP
TOO_LONG = errno.EMSGSIZE


@hot
def message_input(worker: Worker, packet: Packet) -> int:
    """An ICMP or ICMPv6 message for this host. CONTINUE: it is about nothing here; or the verdict."""
    octets = packet.data + packet.length - packet.transport
    if octets < icmp.HEADER:
        return CONTINUE
    kind = ICMP(packet.transport).type
    if packet.family == 4:
        if kind == icmp.ECHO_REPLY:
            return _reply_input(worker, packet, octets)
        return _error4(worker, packet, octets) if icmp.is_error(kind) else CONTINUE
    if kind == icmpv6.ECHO_REPLY:
        return _reply_input(worker, packet, octets)
    return _error6(worker, packet, octets) if icmpv6.is_error(kind) else CONTINUE


@hot
def _verify(packet: Packet, octets: int) -> bool:
    if packet.family == 4:
        return icmp.verify(packet.transport, octets) == GOOD
    return icmpv6.verify(IPv6(packet.network), packet.transport, octets) == GOOD


@hot
def _reply_input(worker: Worker, packet: Packet, octets: int) -> int:
    """To the socket whose identifier it has; the application gets the message with its header."""
    udp, identifier = udp_of(worker), ICMP(packet.transport).identifier
    arrival = udp.arrival
    note_arrival(worker, arrival, packet)
    arrival.source_port, arrival.length = 0, octets
    protocol = PROTOCOL_ICMP if packet.family == 4 else PROTOCOL_ICMPV6
    number = endpoint_find(worker, udp, arrival, identifier, protocol)
    if number < 0:
        _tell(worker, packet, protocol, identifier)
        return CONTINUE
    if not _verify(packet, octets):
        return CONTINUE
    return deliver_to(worker, udp.endpoints[number], packet, packet.transport)


@hot
def _tell(worker: Worker, packet: Packet, protocol: int, port: int) -> None:
    """Other workers have the port: each gets a copy."""
    if worker.workers == 1 or packet.flags & (REDIRECTED | ORIGINATED) != 0:
        return
    if port_users(udp_of(worker), protocol)[port] & ~(1 << worker.index) != 0:
        tell_others(worker, packet)


# --- errors -------------------------------------------------------------------------------------------------------


@hot
def _error4(worker: Worker, packet: Packet, octets: int) -> int:
    """An ICMP error: about a datagram of ours?"""
    reason, protocol, at = icmp.quote(packet.transport, octets)
    if reason != GOOD or (protocol != PROTOCOL_UDP and protocol != PROTOCOL_ICMP):
        return CONTINUE
    quoted, arrival = IPv4(packet.transport + icmp.HEADER), udp_of(worker).arrival
    if not is_local4(worker, quoted.src):
        return CONTINUE
    arrival.source_hi, arrival.source_lo = 0, MAPPED | quoted.dst
    arrival.to_hi, arrival.to_lo, arrival.family = 0, MAPPED | quoted.src, 4
    number = _quoted(worker, packet, arrival, packet.transport + at, protocol)
    if number < 0 or not _verify(packet, octets):
        return CONTINUE
    message = ICMP(packet.transport)
    endpoint = udp_of(worker).endpoints[number]
    error = errno4(message.type, message.code)
    info = icmp.pointer(message) if message.type == icmp.PARAMETER_PROBLEM else 0
    if error == TOO_LONG:
        path_report4(worker, packet)
        if endpoint.discover == linux.IP_PMTUDISC_DONT:
            return CONSUMED
        error, info = error | HARD, icmp.next_hop_mtu(message)
    _note(worker, endpoint, packet, error, packet.transport + at, info)
    fail(worker, endpoint, error, RECEIVE_ERRORS)
    return CONSUMED


@hot
def _error6(worker: Worker, packet: Packet, octets: int) -> int:
    """The same for ICMPv6."""
    reason, protocol, at = icmpv6.quote(packet.transport, octets)
    if reason != GOOD or (protocol != PROTOCOL_UDP and protocol != PROTOCOL_ICMPV6):
        return CONTINUE
    quoted, arrival = IPv6(packet.transport + icmpv6.HEADER), udp_of(worker).arrival
    if not is_local6(worker, quoted.src_hi, quoted.src_lo):
        return CONTINUE
    arrival.source_hi, arrival.source_lo = quoted.dst_hi, quoted.dst_lo
    arrival.to_hi, arrival.to_lo, arrival.family = quoted.src_hi, quoted.src_lo, 6
    number = _quoted(worker, packet, arrival, packet.transport + at, protocol)
    if number < 0 or not _verify(packet, octets):
        return CONTINUE
    message = ICMPv6(packet.transport)
    endpoint = udp_of(worker).endpoints[number]
    error = errno6(message.type, message.code)
    if error == TOO_LONG:
        path_report6(worker, packet)
        error |= HARD if endpoint.discover6 != linux.IP_PMTUDISC_DONT else 0
    _note(worker, endpoint, packet, error, packet.transport + at, load_be32(packet.transport + 4))
    fail(worker, endpoint, error, RECEIVE_ERRORS6)
    return CONSUMED


@hot
def _note(worker: Worker, endpoint: Endpoint, packet: Packet, error: int, layer4: int, info: int) -> None:
    """Put the error into the socket's queue, if it has one, with what is quoted of the datagram at `layer4`."""
    wants = RECEIVE_ERRORS if packet.family == 4 else RECEIVE_ERRORS6
    endpoints = endpoints_of(worker)
    if endpoints.sockets[endpoint.socket].options & wants == 0 or error == 0:
        return
    record, arrival = error_put(endpoints, endpoint.socket), udp_of(worker).arrival
    if record.address == 0:
        return
    record.at, record.error, record.info, record.interface = worker.now, error & ~HARD, info, packet.port
    record.to_hi, record.to_lo, record.to_port = arrival.source_hi, arrival.source_lo, arrival.source_port
    record.origin, record.family = QUEUED_ICMP if packet.family == 4 else QUEUED_ICMP6, packet.family
    record.type, record.code = ICMP(packet.transport).type, ICMP(packet.transport).code
    if packet.family == 4:
        record.offender_hi, record.offender_lo = 0, MAPPED | IPv4(packet.network).src
    else:
        record.offender_hi, record.offender_lo = IPv6(packet.network).src_hi, IPv6(packet.network).src_lo
    payload = layer4 + (UDP_HEADER if endpoint.protocol == PROTOCOL_UDP else 0)
    error_say(endpoints, record, payload, packet.data + packet.length - payload)


@hot
def note_too_long(worker: Worker, endpoint: Endpoint, hi: int, lo: int, port: int, mtu: int) -> None:
    """The same for a datagram that is too long to be sent, which this host says itself."""
    wants = RECEIVE_ERRORS if is_four(hi, lo) else RECEIVE_ERRORS6
    endpoints = endpoints_of(worker)
    if endpoints.sockets[endpoint.socket].options & wants == 0:
        return
    record = error_put(endpoints, endpoint.socket)
    if record.address != 0:
        record.at, record.error, record.info, record.origin = worker.now, TOO_LONG, mtu, QUEUED_LOCAL
        record.to_hi, record.to_lo, record.to_port, record.family = hi, lo, port, 4 if is_four(hi, lo) else 6
        error_say(endpoints, record, record.address, 0)


@hot
def _quoted(worker: Worker, packet: Packet, arrival: Arrival, layer4: int, protocol: int) -> int:
    """The endpoint that sent the quoted datagram whose header is at `layer4`, or -1. `arrival` has the addresses of an
    answer to it."""
    arrival.interface, arrival.source_port, port = packet.port, 0, load_be16(layer4 + 4)
    if protocol == PROTOCOL_UDP:
        port, arrival.source_port = load_be16(layer4), load_be16(layer4 + 2)
    elif load8(layer4) != (icmp.ECHO_REQUEST if protocol == PROTOCOL_ICMP else icmpv6.ECHO_REQUEST):
        return -1
    number = endpoint_find(worker, udp_of(worker), arrival, port, protocol)
    if number < 0:
        _tell(worker, packet, protocol, port)
    return number


@hot
def fail(worker: Worker, endpoint: Endpoint, error: int, wants: int) -> None:
    """Let the application hear of an errno (0: of none), which may be HARD, if it is to: always when it has the bit
    `wants` among its options."""
    endpoints = endpoints_of(worker)
    socket = endpoints.sockets[endpoint.socket]
    hears = socket.options & wants != 0 or (endpoint.flags & CONNECTED != 0 and error & HARD != 0)
    if error != 0 and hears:
        socket.error = error & ~HARD
        socket_event(endpoints, endpoint.socket, FAILED)


@leaf
def errno4(kind: int, code: int) -> int:
    """errno and HARD for an ICMP error; 0 for one that says nothing."""
    if kind == icmp.UNREACHABLE:
        return _unreachable4(code)
    if kind == icmp.TIME_EXCEEDED:
        return HOST_UNREACHABLE
    return BROKEN if kind == icmp.PARAMETER_PROBLEM else 0


@hot
def _unreachable4(code: int) -> int:
    if code == icmp.PORT_UNREACHABLE:
        return REFUSED
    if code == icmp.FRAGMENTATION_NEEDED:
        return TOO_LONG
    if code == icmp.NETWORK_UNREACHABLE or code == 11:  # for this type of service
        return NET_UNREACHABLE
    if code == icmp.HOST_UNREACHABLE or code == 12:
        return HOST_UNREACHABLE
    if code == icmp.PROTOCOL_UNREACHABLE:
        return NO_PROTOCOL
    if code == 5:  # source route failed
        return NOT_SUPPORTED
    if code == 6 or code == 9:  # network unknown, prohibited
        return NET_UNREACHABLE | HARD
    if code == 7:  # host unknown
        return HOST_DOWN
    return NOT_ON_NET if code == 8 else HOST_UNREACHABLE | HARD


@leaf
def errno6(kind: int, code: int) -> int:
    """The same for an ICMPv6 error."""
    if kind == icmpv6.UNREACHABLE:
        return _unreachable6(code)
    if kind == icmpv6.TOO_BIG:
        return TOO_LONG
    if kind == icmpv6.TIME_EXCEEDED:
        return HOST_UNREACHABLE
    return BROKEN if kind == icmpv6.PARAMETER_PROBLEM else 0


@hot
def _unreachable6(code: int) -> int:
    if code == icmpv6.PORT_UNREACHABLE:
        return REFUSED
    if code == icmpv6.NO_ROUTE:
        return NET_UNREACHABLE
    if code == icmpv6.ADMINISTRATIVELY_PROHIBITED or code >= 5:  # policy, reject route
        return FORBIDDEN
    return HOST_UNREACHABLE
