"""The engine's socket calls: what an application, a test or a benchmark asks of a worker, in the shape of Linux's.

    handle = socket(worker, 4, STREAM)
    bind(worker, handle, address)
    ...
    count = ready(worker, events, 64)                    # handles with something to do, as Events

A call is made on the worker's own thread, between two turns. It never waits: -EAGAIN says that there is nothing yet.
Results are not negative, or minus an errno of Linux. Handles, Address and the events are those of state/endpoints.py,
numbers of options and flags those of Linux.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, View, array_at, constants, entry, hot, u32, u64
from pronghorn.engine.errors import receive_error
from pronghorn.engine.options import option_get, option_set
from pronghorn.engine.wishes import is_stream
from pronghorn.state import linux
from pronghorn.state.endpoints import (
    DATAGRAM,
    ECHO,
    EDGE,
    ENDED,
    FAILED,
    HUNG_UP,
    LISTENER,
    READABLE,
    STREAM,
    URGENT,
    WRITABLE,
    Address,
    endpoints_of,
    socket_handle,
    socket_number,
    socket_ready,
    socket_watch,
)
from pronghorn.state.parts import Part, parts_octets
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import (
    tcp_accept,
    tcp_bind,
    tcp_close,
    tcp_connect,
    tcp_listen,
    tcp_name,
    tcp_open,
    tcp_receive,
    tcp_send,
    tcp_send_fast,
    tcp_shutdown,
)
from pronghorn.udp.calls import (
    udp_bind,
    udp_close,
    udp_connect,
    udp_name,
    udp_open,
    udp_receive_parts,
    udp_send_parts,
    udp_shutdown,
)
from pronghorn.udp.endpoint import Arrival, udp_of

EAFNOSUPPORT, EPROTONOSUPPORT = errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT
EOPNOTSUPP, EINVAL = errno.EOPNOTSUPP, errno.EINVAL

constants("Kinds of sockets.", "", STREAM=STREAM, LISTENER=LISTENER, DATAGRAM=DATAGRAM, ECHO=ECHO)
constants(
    "What a socket is ready for.",
    "",
    READABLE=READABLE,
    WRITABLE=WRITABLE,
    ENDED=ENDED,
    HUNG_UP=HUNG_UP,
    FAILED=FAILED,
    URGENT=URGENT,
)
constants("Flags of watch.", "WATCH", EDGE=EDGE)


class Event(View, align=8, size=24):
    """A socket that is ready."""

    handle: u64
    user: u64  # the application's word, given to watch: 32 bits of it
    events: u32  # those that are so, of those that are watched
    unused: u32


@entry
def socket(worker: Worker, family: int, kind: int) -> int:
    """A new socket's handle. Family 4 or 2: IPv4; 6: IPv6 alone; 10: IPv6 that takes IPv4 too. Kind STREAM, DATAGRAM
    or ECHO (ICMP)."""
    if family == 2:
        family = 4
    if family != 4 and family != 6 and family != 10:
        return -EAFNOSUPPORT
    number = -EPROTONOSUPPORT
    if kind == DATAGRAM or kind == ECHO:
        number = udp_open(worker, family, kind)
    elif kind == STREAM:
        number = tcp_open(worker, family)
    return number if number < 0 else socket_handle(endpoints_of(worker), number)


@entry
def bind(worker: Worker, handle: int, address: Address) -> int:
    """Take a local address and port; port 0: any that is free."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return tcp_bind(worker, number, address) if is_stream(worker, number) else udp_bind(worker, number, address)


@entry
def listen(worker: Worker, handle: int, backlog: int) -> int:
    """Take connections; about `backlog` wait to be accepted."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return tcp_listen(worker, number, backlog) if is_stream(worker, number) else -EOPNOTSUPP


@entry
def accept(worker: Worker, handle: int, peer: Address) -> int:
    """The handle of the next connection; where it came from is written to `peer`, unless its address is 0."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    if not is_stream(worker, number):
        return -EOPNOTSUPP
    made = tcp_accept(worker, number, peer)
    return made if made < 0 else socket_handle(endpoints_of(worker), made)


@entry
def connect(worker: Worker, handle: int, address: Address) -> int:
    """Choose the other side. A stream says -EINPROGRESS and becomes WRITABLE or FAILED; family 0 undoes a datagram
    socket's choice."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return tcp_connect(worker, number, address) if is_stream(worker, number) else udp_connect(worker, number, address)


# --- data ---------------------------------------------------------------------------------------------------------


@entry
def send(worker: Worker, handle: int, data: int, octets: int, flags: int) -> int:
    """Send octets, one datagram or the next of a stream: how many were taken."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return send_parts(worker, number, _part(worker, data, octets), 1, flags, 0)


@entry
def send_to(worker: Worker, handle: int, data: int, octets: int, flags: int, address: Address) -> int:
    """Send one datagram to the address; a stream, which has its other side, looks at it with
    MSG_FASTOPEN alone, which opens a connection whose SYN carries the octets (RFC 7413)."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return send_parts(worker, number, _part(worker, data, octets), 1, flags, address.address)


@entry
def send_vector(worker: Worker, handle: int, vector: Array[Part], count: int, flags: int, address: Address) -> int:
    """Send the octets of `count` parts, as `send_to` (an address of 0: as `send`)."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return send_parts(worker, number, vector, count, flags, address.address)


@entry
def receive(worker: Worker, handle: int, data: int, octets: int, flags: int) -> int:
    """Take octets that have come: one datagram, or some of a stream (0: its end). MSG_PEEK leaves them."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return receive_parts(worker, number, _part(worker, data, octets), 1, flags, 0)


@entry
def receive_from(worker: Worker, handle: int, data: int, octets: int, flags: int, address: Address) -> int:
    """The same, and where a datagram came from, into `address`."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return receive_parts(worker, number, _part(worker, data, octets), 1, flags, address.address)


@entry
def receive_vector(worker: Worker, handle: int, vector: Array[Part], count: int, flags: int, address: Address) -> int:
    """The same into `count` parts; an address of 0: nobody wants to know."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return receive_parts(worker, number, vector, count, flags, address.address)


@hot
def _part(worker: Worker, data: int, octets: int) -> Array[Part]:
    """One part, in scratch memory of the worker."""
    part = udp_of(worker).part
    part.base, part.octets = data, octets
    parts: Array[Part] = array_at(Part, part.address)
    return parts


@hot
def send_parts(worker: Worker, number: int, parts: Array[Part], count: int, flags: int, address: int) -> int:
    """By the kind of socket `number`."""
    if not is_stream(worker, number):
        return udp_send_parts(worker, number, parts, count, flags, address)
    if flags & linux.MSG_FASTOPEN != 0 and address != 0 and count > 0:
        return tcp_send_fast(worker, number, parts[0].base, parts[0].octets, Address(address))
    if count == 1:
        return tcp_send(worker, number, parts[0].base, parts[0].octets, flags)
    return _send_stream(worker, number, parts, count, flags)


@hot
def _send_stream(worker: Worker, number: int, parts: Array[Part], count: int, flags: int) -> int:
    """Part after part, until one is not taken whole; segments do not end where parts do."""
    if parts_octets(parts, count) < 0:
        return -EINVAL
    total = 0
    for place in range(count):
        octets = parts[place].octets
        own = flags if place + 1 == count else flags & ~linux.MSG_OOB | linux.MSG_MORE
        taken = tcp_send(worker, number, parts[place].base, octets, own)
        if taken < 0:
            return total if total > 0 else taken
        total += taken
        if taken < octets:
            break
    return total


@hot
def receive_parts(worker: Worker, number: int, parts: Array[Part], count: int, flags: int, address: int) -> int:
    """By the kind of socket `number`, or its errors."""
    if flags & linux.MSG_ERRQUEUE != 0:
        return receive_error(worker, number, parts, count, address)
    if not is_stream(worker, number):
        return udp_receive_parts(worker, number, parts, count, flags, address)
    if count == 1:
        return tcp_receive(worker, number, parts[0].base, parts[0].octets, flags)
    return _receive_stream(worker, number, parts, count, flags)


@hot
def _receive_stream(worker: Worker, number: int, parts: Array[Part], count: int, flags: int) -> int:
    """Part after part, until one is not filled; MSG_PEEK looks into the first alone."""
    if parts_octets(parts, count) < 0:
        return -EINVAL
    total = 0
    for place in range(count):
        octets = parts[place].octets
        if octets > 0 or place + 1 == count:
            taken = tcp_receive(worker, number, parts[place].base, octets, flags)
            if taken < 0:
                return total if total > 0 else taken
            total += taken
            if taken < octets or flags & linux.MSG_PEEK != 0:
                break
    return total


@entry
def arrival(worker: Worker) -> Arrival:
    """What is known of the datagram that was received last: addresses, interface, time, hop limit ... for ancillary
    data. Good until the next call that receives."""
    return udp_of(worker).taken


# --- ending -------------------------------------------------------------------------------------------------------


@entry
def shutdown(worker: Worker, handle: int, how: int) -> int:
    """End one direction or both: SHUT_RD, SHUT_WR, SHUT_RDWR."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return tcp_shutdown(worker, number, how) if is_stream(worker, number) else udp_shutdown(worker, number, how)


@entry
def close_socket(worker: Worker, handle: int) -> int:
    """Be done with the socket: the handle is invalid from now on. A stream ends in its own time."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return tcp_close(worker, number) if is_stream(worker, number) else udp_close(worker, number)


# --- options and names --------------------------------------------------------------------------------------------


@entry
def set_option(worker: Worker, handle: int, level: int, option: int, value: int, octets: int) -> int:
    """setsockopt(2): the value is at the address `value`."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return option_set(worker, number, level, option, value, octets)


@entry
def get_option(worker: Worker, handle: int, level: int, option: int, value: int, octets: int) -> int:
    """getsockopt(2): octets written at the address `value`, which has room for `octets`."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    return option_get(worker, number, level, option, value, octets)


@entry
def socket_name(worker: Worker, handle: int, address: Address) -> int:
    """Write the socket's own address."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    if is_stream(worker, number):
        return tcp_name(worker, number, 0, address)
    return udp_name(worker, number, 0, address)


@entry
def peer_name(worker: Worker, handle: int, address: Address) -> int:
    """Write the other side's."""
    number = socket_number(endpoints_of(worker), handle)
    if number < 0:
        return number
    if is_stream(worker, number):
        return tcp_name(worker, number, 1, address)
    return udp_name(worker, number, 1, address)


# --- readiness ----------------------------------------------------------------------------------------------------


@entry
def watch(worker: Worker, handle: int, events: int, flags: int, user: int) -> int:
    """Report these events by `ready` (0: none any more), with the word `user`, 32 bits; EDGE: each once. FAILED and
    HUNG_UP are reported whether asked for or not."""
    endpoints = endpoints_of(worker)
    number = socket_number(endpoints, handle)
    if number < 0:
        return number
    endpoints.sockets[number].user = user
    socket_watch(endpoints, number, events, flags)
    return 0


@entry
def ready(worker: Worker, target: Array[Event], room: int) -> int:
    """Write up to `room` sockets that are ready: how many. One that stays ready is written again next time."""
    endpoints = endpoints_of(worker)
    room = min(room, endpoints.ready_count)
    count = 0
    while count < room:
        number = socket_ready(endpoints)
        if number < 0:
            break
        found, event = endpoints.sockets[number], target[count]
        event.handle, event.user = socket_handle(endpoints, number), found.user
        event.events, event.unused = found.events & found.watched, 0
        count += 1
    return count
