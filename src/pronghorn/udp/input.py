"""Datagrams in (RFC 768, RFC 1122 4.1.3): to the socket they are for, or to every socket that takes a group's.

The header has been checked for shape and the checksum verified. A frame of several datagrams that a port left together
(UNSEGMENTED) is taken apart, unless the socket has UDP_GRO.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.net.addresses import is_local4, is_member4, is_member6
from pronghorn.net.groups import is_wanted
from pronghorn.net.state import MAPPED
from pronghorn.state.dispatch import tell_others
from pronghorn.state.endpoints import READABLE, count, endpoints_of, socket_event
from pronghorn.state.mib import (
    UDP_IGNORED_MULTI,
    UDP_IN_DATAGRAMS,
    UDP_IN_ERRORS,
    UDP_MEM_ERRORS,
    UDP_NO_PORTS,
    UDP_RCVBUF_ERRORS,
)
from pronghorn.state.packet import BROADCAST, MULTICAST, ORIGINATED, REDIRECTED, UNSEGMENTED, Packet
from pronghorn.state.verdicts import DELIVERED, NO_LISTENER, SOCKET_FULL
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import (
    COALESCE,
    CONNECTED,
    MULTICAST_ALL,
    NO_ENDPOINT,
    Arrival,
    Endpoint,
    Udp,
    is_any,
    udp_of,
)
from pronghorn.udp.members import member_allows
from pronghorn.udp.queue import queue_put
from pronghorn.udp.table import endpoint_find, takes
from pronghorn.wire import ipv4, ipv6
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_UDP
from pronghorn.wire.udp import HEADER, UDP


@hot
def udp_input(worker: Worker, packet: Packet) -> int:
    """A good datagram for this host. Returns its verdict; NO_LISTENER: its sender may hear of it."""
    udp = udp_of(worker)
    arrival, header = udp.arrival, UDP(packet.transport)
    note_arrival(worker, arrival, packet)
    arrival.source_port, arrival.length = header.sport, header.length - HEADER
    port = header.dport
    if is_for_group(worker, packet):
        return group_input(worker, packet, port)
    number = endpoint_find(worker, udp, arrival, port, PROTOCOL_UDP)
    if number < 0:
        count(worker, UDP_NO_PORTS, 1)
        return NO_LISTENER
    return deliver_to(worker, udp.endpoints[number], packet, packet.transport + HEADER)


@hot
def note_arrival(worker: Worker, arrival: Arrival, packet: Packet) -> None:
    """What the IP header and the packet say, for the socket that will get it."""
    arrival.at, arrival.interface, arrival.family, arrival.segment = worker.now, packet.port, packet.family, 0
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        arrival.source_hi, arrival.source_lo = 0, MAPPED | ip4.src
        arrival.to_hi, arrival.to_lo = 0, MAPPED | ip4.dst
        arrival.ttl, arrival.tos = ip4.ttl, ip4.tos
    else:
        ip6 = IPv6(packet.network)
        arrival.source_hi, arrival.source_lo = ip6.src_hi, ip6.src_lo
        arrival.to_hi, arrival.to_lo = ip6.dst_hi, ip6.dst_lo
        arrival.ttl, arrival.tos = ip6.hop_limit, ip6.version_class_flow >> 20 & 0xFF


@leaf
def is_for_group(worker: Worker, packet: Packet) -> bool:
    """Whether the packet's destination is a group or a broadcast address."""
    if packet.family == 6:
        return ipv6.is_multicast(IPv6(packet.network).dst_hi)
    dst = IPv4(packet.network).dst
    if packet.flags & (BROADCAST | MULTICAST) == 0:
        return dst >= 0xE000_0000
    return dst >= 0xE000_0000 or not is_local4(worker, dst)


@hot
def deliver_to(worker: Worker, endpoint: Endpoint, packet: Packet, payload: int) -> int:
    """Put Udp.arrival with its octets at `payload` onto the socket's ring. Returns the verdict."""
    arrival = udp_of(worker).arrival
    size = packet.gso_size
    if packet.flags & UNSEGMENTED == 0 or size == 0 or arrival.length <= size:
        return _put(worker, endpoint, arrival, payload)
    if endpoint.flags & COALESCE != 0:
        arrival.segment = size
        return _put(worker, endpoint, arrival, payload)
    left, verdict = arrival.length, DELIVERED
    while left > 0 and verdict == DELIVERED:
        arrival.length = min(size, left)
        verdict = _put(worker, endpoint, arrival, payload)
        payload += size
        left -= size
    return verdict


@hot
def _put(worker: Worker, endpoint: Endpoint, arrival: Arrival, payload: int) -> int:
    endpoints = endpoints_of(worker)
    verdict = queue_put(endpoints, endpoint, arrival, payload)
    counted = 1 if endpoint.protocol == PROTOCOL_UDP else 0
    if verdict == DELIVERED:
        endpoints.mib[UDP_IN_DATAGRAMS] += counted
        socket_event(endpoints, endpoint.socket, READABLE)
        return verdict
    endpoint.dropped += 1
    endpoints.mib[UDP_IN_ERRORS] += counted
    endpoints.mib[UDP_RCVBUF_ERRORS if verdict == SOCKET_FULL else UDP_MEM_ERRORS] += counted
    return verdict


# --- groups -------------------------------------------------------------------------------------------------------


@hot
def group_input(worker: Worker, packet: Packet, port: int) -> int:
    """The datagram of Udp.arrival, to a group or to everybody: a copy for each socket that takes it.

    Members may be on other workers: those get a copy of the frame, if it came from a port.
    """
    udp = udp_of(worker)
    from_port = packet.flags & (REDIRECTED | ORIGINATED) == 0
    if worker.workers > 1 and from_port and udp.users[port] & ~(1 << worker.index) != 0:
        tell_others(worker, packet)
    verdict = NO_LISTENER
    length = udp.arrival.length
    number = udp.ports[port] - 1
    while number >= 0 and number != NO_ENDPOINT:
        endpoint = udp.endpoints[number]
        if takes_group(worker, udp, endpoint):
            put = deliver_to(worker, endpoint, packet, packet.transport + HEADER)
            udp.arrival.length, udp.arrival.segment = length, 0
            if verdict != DELIVERED:
                verdict = put
        number = endpoint.port_next
    if verdict == NO_LISTENER:
        count(worker, UDP_IGNORED_MULTI, 1)
    return verdict


@hot
def takes_group(worker: Worker, udp: Udp, endpoint: Endpoint) -> bool:
    """Whether the endpoint takes the datagram of Udp.arrival, which goes to a group or to everybody."""
    arrival = udp.arrival
    if not takes(endpoint, arrival):
        return False
    if endpoint.flags & CONNECTED != 0:
        if endpoint.remote_port != arrival.source_port or endpoint.remote_lo != arrival.source_lo:
            return False
        if endpoint.remote_hi != arrival.source_hi:
            return False
    bound = endpoint.local_lo == arrival.to_lo and endpoint.local_hi == arrival.to_hi
    if not bound and not is_any(endpoint.local_hi, endpoint.local_lo):
        return False
    if not bound and arrival.family == 6 and endpoint.local_lo != 0:
        return False
    if arrival.family == 4 and not ipv4.is_multicast(arrival.to_lo & 0xFFFF_FFFF):
        return True
    allowed = member_allows(udp, endpoint, arrival)
    if allowed >= 0:
        return allowed != 0
    return endpoint.flags & MULTICAST_ALL != 0 and _is_member(worker, arrival)


@leaf
def _is_member(worker: Worker, arrival: Arrival) -> bool:
    """Whether this host is a member of the datagram's group."""
    hi, lo = arrival.to_hi, arrival.to_lo
    if is_wanted(worker, arrival.interface, hi, lo):
        return True
    return is_member4(lo & 0xFFFF_FFFF) if arrival.family == 4 else is_member6(hi, lo)
