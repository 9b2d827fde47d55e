"""Giving an endpoint its addresses and ports: bind, connect, and what they undo (RFC 1122 4.1.3.5, RFC 6056).

An ephemeral port is drawn at random from the range, among those that nobody has; on an engine of several workers its
remainder by their number is the worker's own index, so that any worker knows where a reply belongs.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf
from pronghorn.net.addresses import is_local4, is_local6
from pronghorn.net.state import MAPPED
from pronghorn.state.endpoints import ONLY_V6, Address, Endpoints
from pronghorn.state.wishes import FREE_BIND
from pronghorn.state.worker import Worker, random_number
from pronghorn.udp.endpoint import (
    ADDRESS_CHOSEN,
    BOUND,
    CONNECTED,
    PORT_CHOSEN,
    Endpoint,
    Udp,
    is_any,
    is_four,
    udp_of,
)
from pronghorn.udp.table import endpoint_displace, endpoint_place, is_taken, port_list
from pronghorn.udp.way import find_way
from pronghorn.wire import ipv4, ipv6
from pronghorn.wire.numbers import PROTOCOL_UDP

EAFNOSUPPORT, EINVAL, EADDRINUSE = errno.EAFNOSUPPORT, errno.EINVAL, errno.EADDRINUSE
EADDRNOTAVAIL, EAGAIN, ENOMEM = errno.EADDRNOTAVAIL, errno.EAGAIN, errno.ENOMEM

RANDOM = 8
"""Ports that are tried at random before the range is searched."""


@hot
def suits(worker: Worker, endpoint: Endpoint, address: Address) -> int:
    """0 when the socket can have to do with an address of this family, or -errno."""
    if address.family == 4:
        if endpoint.family == 4:
            return 0
        only = Endpoints(worker.transports).sockets[endpoint.socket].options & ONLY_V6
        return 0 if endpoint.family == 10 and only == 0 else -EINVAL
    if address.family != 6 or endpoint.family == 4:
        return -EAFNOSUPPORT
    if is_four(address.hi, address.lo) and endpoint.family != 10:
        return -EINVAL
    return 0


@leaf
def whole_lo(address: Address) -> int:
    """The address's `lo`, IPv4 in its block also where the caller left that out."""
    return MAPPED | address.lo & 0xFFFF_FFFF if address.family == 4 else address.lo


@leaf
def whole_hi(address: Address) -> int:
    """The address's `hi`."""
    return 0 if address.family == 4 else address.hi


@hot
def endpoint_bind(worker: Worker, endpoint: Endpoint, address: Address) -> int:
    """Take the local address and port. 0 or -errno."""
    result = suits(worker, endpoint, address)
    if result != 0:
        return result
    if endpoint.flags & BOUND != 0:
        return -EINVAL
    hi, lo = whole_hi(address), whole_lo(address)
    result = _check_local(worker, endpoint, hi, lo, address.interface)
    if result != 0:
        return result
    port = address.port
    if port != 0 and is_taken(worker, endpoint, hi, lo, port):
        return -EADDRINUSE
    if port == 0:
        port = choose_port(worker, udp_of(worker), endpoint.protocol)
        if port == 0:
            return -EADDRINUSE
    if ipv6.is_link_local(hi):
        endpoint.interface = address.interface
    return _take(worker, endpoint, hi, lo, port)


@hot
def _check_local(worker: Worker, endpoint: Endpoint, hi: int, lo: int, interface: int) -> int:
    """0 when the address can be bound: any, ours, a group or broadcast. Or -errno."""
    if is_any(hi, lo) or endpoint.wishes.bits & FREE_BIND != 0:
        return 0
    if is_four(hi, lo):
        dst = lo & 0xFFFF_FFFF
        if is_local4(worker, dst) or ipv4.is_multicast(dst) or dst == ipv4.BROADCAST:
            return 0
        return -EADDRNOTAVAIL
    if ipv6.is_link_local(hi) and interface == 0 and endpoint.interface == 0:
        return -EINVAL
    return 0 if is_local6(worker, hi, lo) or ipv6.is_multicast(hi) else -EADDRNOTAVAIL


@hot
def _take(worker: Worker, endpoint: Endpoint, hi: int, lo: int, port: int) -> int:
    endpoint.local_hi, endpoint.local_lo, endpoint.local_port = hi, lo, port
    endpoint.way.generation = 0
    return 0 if endpoint_place(worker, udp_of(worker), endpoint) else -ENOMEM


@hot
def bind_any(worker: Worker, endpoint: Endpoint) -> int:
    """Give an unbound endpoint a port. 0 or -errno."""
    port = choose_port(worker, udp_of(worker), endpoint.protocol)
    if port == 0:
        return -EAGAIN
    endpoint.flags |= PORT_CHOSEN
    return _take(worker, endpoint, 0, MAPPED if endpoint.family == 4 else 0, port)


@hot
def choose_port(worker: Worker, udp: Udp, protocol: int) -> int:
    """A port, or an identifier, that nobody on this worker has; 0: all are taken.

    Identifiers are of the same range: at a gateway a program has only those that are in its block of ports.
    """
    low, high = udp.port_low, udp.port_high
    step = worker.workers
    low += (worker.index - low) % step
    places = (high - low) // step + 1
    if places <= 0:
        return 0
    ports = port_list(udp, protocol)
    for _ in range(RANDOM):
        port = low + step * (random_number(worker) % places)
        if ports[port] == 0:
            return port
    start = random_number(worker) % places
    for place in range(places):
        port = low + step * ((start + place) % places)
        if ports[port] == 0:
            return port
    return 0


@hot
def endpoint_connect(worker: Worker, endpoint: Endpoint, address: Address) -> int:
    """Take datagrams of one remote address alone, and send to it by default. 0 or -errno.

    The local address is the one that the way there begins at, unless one was bound.
    """
    result = suits(worker, endpoint, address)
    if result != 0:
        return result
    if endpoint.flags & BOUND == 0:
        result = bind_any(worker, endpoint)
    if result == 0 and endpoint.flags & CONNECTED != 0:
        result = endpoint_disconnect(worker, endpoint)
    if result != 0:
        return result
    hi, lo = whole_hi(address), whole_lo(address)
    result, way = find_way(worker, endpoint, hi, lo, address.interface)
    if result != 0:
        return result
    udp = udp_of(worker)
    endpoint_displace(worker, udp, endpoint)
    if is_any(endpoint.local_hi, endpoint.local_lo):
        endpoint.local_hi, endpoint.local_lo = way.source_hi, way.source_lo
        endpoint.flags |= ADDRESS_CHOSEN
    port = address.port if endpoint.protocol == PROTOCOL_UDP else 0
    endpoint.remote_hi, endpoint.remote_lo, endpoint.remote_port = hi, lo, port
    endpoint.flags |= CONNECTED
    if ipv6.is_link_local(hi):
        endpoint.interface = address.interface
    if endpoint_place(worker, udp, endpoint):
        return 0
    endpoint.flags &= ~(CONNECTED | ADDRESS_CHOSEN)  # it is not bound either now
    endpoint.remote_hi, endpoint.remote_lo, endpoint.remote_port = 0, 0, 0
    return -ENOMEM


@hot
def endpoint_disconnect(worker: Worker, endpoint: Endpoint) -> int:
    """Take datagrams of everybody again, at the address and port that were bound; the port stays. 0 or -errno."""
    udp = udp_of(worker)
    endpoint_displace(worker, udp, endpoint)
    endpoint.flags &= ~CONNECTED
    endpoint.remote_hi, endpoint.remote_lo, endpoint.remote_port = 0, 0, 0
    if endpoint.flags & ADDRESS_CHOSEN != 0:
        endpoint.local_hi, endpoint.local_lo = 0, MAPPED if endpoint.family == 4 else 0
        endpoint.flags &= ~ADDRESS_CHOSEN
    endpoint.way.generation = 0
    return 0 if endpoint_place(worker, udp, endpoint) else -ENOMEM
