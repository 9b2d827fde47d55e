"""The calls of datagram and echo sockets, by socket number; engine/calls.py checks handles and chooses by kind.

A result is not negative, or minus an errno of Linux; what is not said here is as in its udp(7) and icmp(7). Octets come
and go in `Part`s, so that one call serves scatter and gather too.

SO_SNDBUF limits what a socket gives to its ports within a turn, an overhead for each datagram counted: in the turn the
ports are flushed, and what waits on them has left.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, array_at, fill, hot, leaf, load8
from pronghorn.state import linux
from pronghorn.state.endpoints import (
    ECHO,
    ENDED,
    HUNG_UP,
    READABLE,
    WRITABLE,
    Address,
    endpoints_of,
    socket_event,
    socket_open,
    socket_quiet,
    socket_release,
)
from pronghorn.state.endpoints import (
    count as count_of,
)
from pronghorn.state.error_queue import error_forget, error_taken
from pronghorn.state.mib import UDP_SNDBUF_ERRORS
from pronghorn.state.parts import Part, parts_octets
from pronghorn.state.worker import Worker
from pronghorn.udp.bind import bind_any, endpoint_bind, endpoint_connect, endpoint_disconnect, suits, whole_hi, whole_lo
from pronghorn.udp.blocked import block, unblock
from pronghorn.udp.cork import cork_add, cork_begin, cork_drop, cork_part, is_pending
from pronghorn.udp.endpoint import (
    BOUND,
    CONNECTED,
    CORKED,
    MULTICAST_ALL,
    MULTICAST_LOOP,
    NO_ENDPOINT,
    READ_CLOSED,
    SELF,
    SEND_OVERHEAD,
    WRITE_CLOSED,
    Arrival,
    Endpoint,
    endpoint_of,
    is_four,
    udp_of,
)
from pronghorn.udp.members import member_leave_all
from pronghorn.udp.messages import note_too_long
from pronghorn.udp.output import send_way
from pronghorn.udp.queue import queue_drop, queue_free, queue_peek, queue_read
from pronghorn.udp.table import endpoint_displace
from pronghorn.udp.way import find_way, way_mtu
from pronghorn.wire import icmp, icmpv6, ipv6
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP

EAGAIN, EINVAL, ENOTCONN, EDESTADDRREQ = errno.EAGAIN, errno.EINVAL, errno.ENOTCONN, errno.EDESTADDRREQ
EMSGSIZE, EOPNOTSUPP, EPIPE, ENOMEM = errno.EMSGSIZE, errno.EOPNOTSUPP, errno.EPIPE, errno.ENOMEM
ENOBUFS = errno.ENOBUFS


@hot
def udp_open(worker: Worker, family: int, kind: int) -> int:
    """A new socket of kind DATAGRAM or ECHO and family 4, 6 or 10: its number, or -errno."""
    endpoints, udp = endpoints_of(worker), udp_of(worker)
    record = udp.free
    if record == NO_ENDPOINT and udp.fresh >= udp.limit:
        return -ENOMEM
    number = socket_open(endpoints, kind, family)
    if number < 0:
        return number
    if record != NO_ENDPOINT:
        udp.free = udp.endpoints[record].next
    else:
        record = udp.fresh
        udp.fresh = record + 1
    udp.count += 1
    endpoints.sockets[number].record = record
    endpoint = udp.endpoints[record]
    fill(endpoint.address, 0, Endpoint.SIZE)
    endpoint.index, endpoint.socket, endpoint.family = record, number, family
    endpoint.protocol = PROTOCOL_UDP
    if kind == ECHO:
        endpoint.protocol = PROTOCOL_ICMP if family == 4 else PROTOCOL_ICMPV6
        endpoint.family = 4 if family == 4 else 6
    endpoint.flags = MULTICAST_LOOP | MULTICAST_ALL
    endpoint.receive_limit, endpoint.send_limit = udp.receive_limit, udp.send_limit
    endpoint.multicast_ttl, endpoint.multicast_hops = 1, 1
    endpoint.discover, endpoint.discover6 = linux.IP_PMTUDISC_WANT, linux.IP_PMTUDISC_WANT
    endpoint.memberships = NO_ENDPOINT
    socket_event(endpoints, number, WRITABLE)
    return number


@hot
def udp_close(worker: Worker, number: int) -> int:
    """The socket is no more; what waits to be read is forgotten."""
    endpoints, udp, endpoint = endpoints_of(worker), udp_of(worker), endpoint_of(worker, number)
    if endpoint.flags & BOUND != 0:
        endpoint_displace(worker, udp, endpoint)
    unblock(udp, endpoint)
    member_leave_all(worker, endpoint)
    queue_free(endpoints, endpoint)
    cork_drop(endpoints, endpoint)
    error_forget(endpoints, number)
    endpoint.next = udp.free
    udp.free = endpoint.index
    udp.count -= 1
    socket_release(endpoints, number)
    return 0


@hot
def udp_bind(worker: Worker, number: int, address: Address) -> int:
    """Take a local address and port (an echo socket: identifier); port 0: any that is free."""
    return endpoint_bind(worker, endpoint_of(worker, number), address)


@hot
def udp_connect(worker: Worker, number: int, address: Address) -> int:
    """Choose the other side; family 0 undoes it (AF_UNSPEC)."""
    endpoint = endpoint_of(worker, number)
    if address.family != 0:
        return endpoint_connect(worker, endpoint, address)
    return endpoint_disconnect(worker, endpoint) if endpoint.flags & CONNECTED != 0 else 0


@hot
def udp_shutdown(worker: Worker, number: int, how: int) -> int:
    """Neither side hears of it; a connected socket's own calls do."""
    endpoint = endpoint_of(worker, number)
    if how < linux.SHUT_RD or how > linux.SHUT_RDWR:
        return -EINVAL
    if endpoint.flags & CONNECTED == 0:
        return -ENOTCONN
    events = 0
    if how != linux.SHUT_WR:
        endpoint.flags |= READ_CLOSED
        events = READABLE | ENDED
    if how != linux.SHUT_RD:
        endpoint.flags |= WRITE_CLOSED
    if endpoint.flags & READ_CLOSED != 0 and endpoint.flags & WRITE_CLOSED != 0:
        events |= HUNG_UP
    socket_event(endpoints_of(worker), number, events)
    return 0


@hot
def udp_name(worker: Worker, number: int, which: int, address: Address) -> int:
    """Write the local (which 0) or remote (1) address."""
    endpoint = endpoint_of(worker, number)
    if which != 0 and endpoint.flags & CONNECTED == 0:
        return -ENOTCONN
    if which == 0:
        _write(address, endpoint.local_hi, endpoint.local_lo, endpoint.local_port, endpoint.interface)
        if endpoint.flags & BOUND == 0:
            address.family = 4 if endpoint.family == 4 else 6
    else:
        _write(address, endpoint.remote_hi, endpoint.remote_lo, endpoint.remote_port, endpoint.interface)
    return 0


@leaf
def _write(address: Address, hi: int, lo: int, port: int, interface: int) -> None:
    address.hi, address.lo, address.port = hi, lo, port
    address.family = 4 if is_four(hi, lo) else 6
    address.interface = interface if ipv6.is_link_local(hi) else 0


# --- sending ------------------------------------------------------------------------------------------------------


@hot
def udp_send(worker: Worker, number: int, data: int, octets: int, flags: int) -> int:
    """Send one datagram to the other side of a connected socket: octets sent, or -errno."""
    part = udp_of(worker).part
    part.base, part.octets = data, octets
    return udp_send_parts(worker, number, array_at(Part, part.address), 1, flags, 0)


@hot
def udp_send_parts(worker: Worker, number: int, parts: Array[Part], count: int, flags: int, address: int) -> int:
    """Send one datagram of all the parts' octets to the `Address` at `address`; 0: to the other side."""
    endpoint = endpoint_of(worker, number)
    error = error_taken(endpoints_of(worker), number)
    if error != 0:
        return -error
    if flags & linux.MSG_OOB != 0:
        return -EOPNOTSUPP
    if endpoint.flags & WRITE_CLOSED != 0:
        return -EPIPE
    hi, lo, port, scope = endpoint.remote_hi, endpoint.remote_lo, endpoint.remote_port, endpoint.interface
    if address != 0:
        to = Address(address)
        result = suits(worker, endpoint, to)
        if result != 0:
            return result
        hi, lo, port = whole_hi(to), whole_lo(to), to.port
        scope = to.interface if to.interface != 0 else scope
        if port == 0 and endpoint.protocol == PROTOCOL_UDP:
            return -EINVAL
    elif endpoint.flags & CONNECTED == 0 and not is_pending(endpoint):
        return -EDESTADDRREQ
    scope = udp_of(worker).scope if udp_of(worker).scope != 0 else scope
    octets = parts_octets(parts, count)
    if octets < 0:
        return -EINVAL
    if endpoint.flags & BOUND == 0:
        result = bind_any(worker, endpoint)
        if result != 0:
            return result
    if octets > 0xFFFF:
        return -EMSGSIZE
    if not has_room(worker, endpoint):
        count_of(worker, UDP_SNDBUF_ERRORS, 1)
        block(endpoints_of(worker), udp_of(worker), endpoint)
        return -EAGAIN
    more = flags & linux.MSG_MORE != 0 or endpoint.flags & CORKED != 0
    if (more or is_pending(endpoint)) and endpoint.protocol == PROTOCOL_UDP:
        return _send_later(worker, endpoint, hi, lo, port, scope, parts, count, more)
    return _send(worker, endpoint, hi, lo, port, scope, parts, octets)


@hot
def has_room(worker: Worker, endpoint: Endpoint) -> bool:
    """Whether SO_SNDBUF permits one more datagram."""
    if endpoint.sent_turn != worker.turns:
        endpoint.sent_turn, endpoint.sent = worker.turns, 0
    return endpoint.sent < endpoint.send_limit


@hot
def _send_later(
    worker: Worker,
    endpoint: Endpoint,
    hi: int,
    lo: int,
    port: int,
    scope: int,
    parts: Array[Part],
    count: int,
    more: bool,
) -> int:
    """Add to the datagram that is being put together; send it unless there is more to come."""
    endpoints = endpoints_of(worker)
    octets = parts_octets(parts, count)
    if not is_pending(endpoint) and not cork_begin(endpoints, endpoint, hi, lo, port, scope):
        return -ENOBUFS
    result = cork_add(endpoints, endpoint, parts, count, octets)
    if result == 0 and not more:
        result = udp_uncork(worker, endpoint)
    return octets if result == 0 else result


@hot
def udp_uncork(worker: Worker, endpoint: Endpoint) -> int:
    """Send the datagram that was put together. 0 or -errno; one for which its port has no room is lost."""
    endpoints, udp = endpoints_of(worker), udp_of(worker)
    to = udp.cork_to
    parts = cork_part(endpoints, udp, endpoint, to)
    sent = _send(worker, endpoint, to.hi, to.lo, to.port, to.interface, parts, parts[0].octets)
    cork_drop(endpoints, endpoint)
    return 0 if sent >= 0 or sent == -EAGAIN else sent


@hot
def _send(
    worker: Worker, endpoint: Endpoint, hi: int, lo: int, port: int, scope: int, parts: Array[Part], octets: int
) -> int:
    if endpoint.protocol != PROTOCOL_UDP:
        result = _check_echo(endpoint, parts, octets)
        if result != 0:
            return result
    result, way = find_way(worker, endpoint, hi, lo, scope)
    if result != 0:
        return result
    sent = send_way(worker, endpoint, way, port, parts, octets)
    if way.kind != SELF:
        endpoint.sent += octets + SEND_OVERHEAD
    if sent == -EMSGSIZE:
        note_too_long(worker, endpoint, hi, lo, endpoint.remote_port, way_mtu(worker, way))
    if sent == -EAGAIN:
        block(endpoints_of(worker), udp_of(worker), endpoint)
    return sent


@hot
def _check_echo(endpoint: Endpoint, parts: Array[Part], octets: int) -> int:
    """An echo request that begins in the first part: its identifier is the socket's."""
    if octets < icmp.HEADER or parts[0].octets < icmp.HEADER:
        return -EINVAL
    head = parts[0].base
    request = icmp.ECHO_REQUEST if endpoint.protocol == PROTOCOL_ICMP else icmpv6.ECHO_REQUEST
    return 0 if load8(head) == request and load8(head + 1) == 0 else -EINVAL


# --- receiving ----------------------------------------------------------------------------------------------------


@hot
def udp_receive(worker: Worker, number: int, data: int, octets: int, flags: int) -> int:
    """Take one datagram: its octets, at most `octets` of them, the rest is lost. -EAGAIN: there is none."""
    part = udp_of(worker).part
    part.base, part.octets = data, octets
    return udp_receive_parts(worker, number, array_at(Part, part.address), 1, flags, 0)


@hot
def udp_receive_parts(worker: Worker, number: int, parts: Array[Part], count: int, flags: int, address: int) -> int:
    """The same into several parts; the sender is written to the `Address` at `address`, unless that is 0.

    MSG_PEEK leaves the datagram; with MSG_TRUNC the result is its whole length. More about it is in Udp.taken.
    """
    endpoints, endpoint = endpoints_of(worker), endpoint_of(worker, number)
    room = parts_octets(parts, count)
    if room < 0:
        return -EINVAL
    if flags & linux.MSG_OOB != 0:
        return -EOPNOTSUPP
    if flags & linux.MSG_ERRQUEUE != 0:
        return -EAGAIN
    error = error_taken(endpoints, number)
    if error != 0:
        return -error
    if endpoint.waiting == 0:
        return 0 if endpoint.flags & READ_CLOSED != 0 else -EAGAIN
    taken = udp_of(worker).taken
    queue_peek(endpoints, endpoint, taken)
    length = taken.length
    queue_read(endpoints, endpoint, parts, min(length, room))
    if address != 0:
        _write_sender(address, taken)
    if flags & linux.MSG_PEEK == 0:
        queue_drop(endpoints, endpoint, length)
        if endpoint.waiting == 0 and endpoint.flags & READ_CLOSED == 0:
            socket_quiet(endpoints, number, READABLE)
    return length if flags & linux.MSG_TRUNC != 0 else min(length, room)


@hot
def _write_sender(address: int, taken: Arrival) -> None:
    _write(Address(address), taken.source_hi, taken.source_lo, taken.source_port, taken.interface + 1)
