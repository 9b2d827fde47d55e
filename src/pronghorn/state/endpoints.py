"""Sockets as the application sees them, and what TCP and UDP keep in common. A worker's root is worker.transports.

    socket    what an application holds: kind, what it is ready for, a pending error. The protocol's own record (a
              tcb, a listener, a datagram endpoint) is named by `record`
    handle    what a call takes: generation << 24 | number. A handle whose socket was closed is refused (EBADF), also
              when the number is in use again
    ready     a list of the sockets that have an event their application watches; each stands there once

A socket belongs to its worker. Calls return a number that is not negative, or minus an errno of Linux. They never
wait: EAGAIN says that there is nothing yet.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, View, fixed, hot, leaf, u8, u16, u32, u64
from pronghorn.state import interests
from pronghorn.state.interests import Interests, interests_event, interests_forget
from pronghorn.state.loans import Loans, loans_leave
from pronghorn.state.mib import MIB
from pronghorn.state.worker import Worker

# Socket.kind
FREE_SOCKET, STREAM, LISTENER, DATAGRAM, ECHO = range(5)  # ECHO: ICMP echo, as Linux's ping sockets

# Socket.events and Socket.watched
READABLE = 1  # data, or a connection to accept
WRITABLE = 2  # room to send
ENDED = 4  # the other side will send no more (EPOLLRDHUP)
HUNG_UP = 8  # both directions are over (EPOLLHUP)
FAILED = 16  # `error` holds an errno (EPOLLERR)
URGENT = 32  # urgent data (EPOLLPRI)

# Socket.flags
LISTED = 1  # stands on the ready list
EDGE = 2  # reported once for each change; otherwise as long as an event lasts
ORPHAN = 4  # the application has closed it; the protocol finishes alone
TOLD = 8  # `connect` was called again and has said that it succeeded

# Socket.options: SO_* and IP*_* options that are a bit
REUSE_ADDRESS = 1
REUSE_PORT = 2
ONLY_V6 = 4
KEEP_ALIVE = 8
BROADCAST_ALLOWED = 16
OOB_INLINE = 32
NO_CHECK6_RX = 64
RECEIVE_ERRORS = 128  # IP_RECVERR: ICMP errors are reported to unconnected sockets too, and queued
RECEIVE_ERRORS6 = 256  # IPV6_RECVERR: the same of ICMPv6
UNCHECKED = 512  # SO_NO_CHECK of a stream, which has no effect

ANY_NUMBER = 0xFFFFFFFF
"""No record, no socket: the end of a list."""

NAMED, NAME_OCTETS = 64, 16
"""Interfaces that can have a name, and its longest (IFNAMSIZ)."""

GENERATIONS = 24
NUMBER = (1 << GENERATIONS) - 1

EAGAIN, EBADF, ENOMEM, EINVAL = errno.EAGAIN, errno.EBADF, errno.ENOMEM, errno.EINVAL


class Socket(View, align=8, size=40):
    """One socket. There is one for every connection: what it takes, an idle connection takes."""

    kind: u8
    family: u8  # 4, 6, or 10: IPv6 that takes IPv4 too (dual stack)
    flags: u8
    error: u8  # errno that the next call reports; SO_ERROR
    events: u8  # what is so now
    watched: u8  # events that put the socket on the ready list
    asked: u8  # events that some of its interests ask for
    unused: u8
    options: u16
    lent: u16  # number of its pair of loans (loans.py); 0: nothing is lent
    generation: u32
    record: u32  # number of the protocol's record, or ANY_NUMBER
    ready_next: u32  # socket after this one on the ready list, or among the free
    user: u32  # the application's own word
    tuning: u32  # number of the protocol's record of rare options; 0: the defaults
    bound: u32  # number of the protocol's Binding plus 1; 0: not bound
    first: u32  # of its interests in sets (interests.py); 0: none


assert [Socket.offset(name) for name in ("kind", "events", "first", "asked")] == [
    interests.KIND, interests.EVENTS, interests.FIRST, interests.ASKED,
]  # fmt: skip


class Address(View, align=8, size=24):
    """An address and a port, as calls take and give them."""

    hi: u64  # both halves as net/state.py has them: IPv4 in the IPv4-mapped block
    lo: u64
    port: u16
    family: u8  # 4 or 6
    unused: u8
    interface: u32  # of a link-local address, plus 1; 0: any


class Endpoints(View, align=64):
    """Root of the transports' state, at worker.transports."""

    sockets: Array[Socket]
    socket_limit: u32
    socket_fresh: u32  # numbers below were used
    socket_free: u32
    socket_count: u32  # open ones
    ready_first: u32
    ready_last: u32
    ready_count: u32
    unused: u32
    buddy: u64  # address of the Buddy that buffers come from (memory/buddy.py)
    tcp: u64  # address of tcp/tcb.py's Tcp
    udp: u64  # address of udp's root
    wall: u64  # ns to be added to worker.now for the time of day
    errors: u64  # address of the Errors (error_queue.py)
    interests: u64  # address of the Interests (interests.py); 0: there are no sets
    loans: u64  # address of the Loans (loans.py); 0: nothing is lent
    owners: u64  # address of the workers' shared Owners (owners.py); 0: there is one worker
    mib: Array[u64] = fixed(MIB, align=64)
    names: Array[u8] = fixed(NAMED * NAME_OCTETS, align=64)  # of interfaces, ended by zeros


@leaf
def endpoints_of(worker: Worker) -> Endpoints:
    """The worker's root."""
    return Endpoints(worker.transports)


@leaf
def count(worker: Worker, counter: int, amount: int) -> None:
    """Add to a counter of state/mib.py."""
    Endpoints(worker.transports).mib[counter] += amount


@leaf
def socket_number(endpoints: Endpoints, handle: int) -> int:
    """The number of an open socket, or -EBADF."""
    number = handle & NUMBER
    if handle < 0 or number >= endpoints.socket_fresh:
        return -EBADF
    socket = endpoints.sockets[number]
    if socket.kind == FREE_SOCKET or socket.generation != handle >> GENERATIONS or socket.flags & ORPHAN != 0:
        return -EBADF
    return number


@leaf
def socket_handle(endpoints: Endpoints, number: int) -> int:
    """The handle of socket `number`."""
    return endpoints.sockets[number].generation << GENERATIONS | number


@hot
def socket_open(endpoints: Endpoints, kind: int, family: int) -> int:
    """A new socket's number, or -ENOMEM. Its record is the caller's to set."""
    number = endpoints.socket_free
    if number != ANY_NUMBER:
        endpoints.socket_free = endpoints.sockets[number].ready_next
    else:
        number = endpoints.socket_fresh
        if number >= endpoints.socket_limit:
            return -ENOMEM
        endpoints.socket_fresh = number + 1
        endpoints.sockets[number].generation = 0
    endpoints.socket_count += 1
    socket = endpoints.sockets[number]
    socket.kind, socket.family, socket.flags, socket.options = kind, family, 0, 0
    socket.events, socket.watched, socket.error, socket.bound = 0, 0, 0, 0
    socket.record, socket.user, socket.tuning = ANY_NUMBER, 0, 0
    socket.first, socket.asked, socket.lent = 0, 0, 0
    return number


@hot
def socket_release(endpoints: Endpoints, number: int) -> None:
    """The socket is no more: its handle becomes invalid. One that stands on the ready list leaves it when its turn
    comes, and is free only then."""
    socket = endpoints.sockets[number]
    if socket.first != 0:
        interests_forget(Interests(endpoints.interests), socket.first)
    if socket.lent != 0:
        loans_leave(Loans(endpoints.loans), socket.lent)
    socket.kind = FREE_SOCKET
    socket.generation = (socket.generation + 1) & 0x7FFF_FFFF
    socket.record = ANY_NUMBER
    endpoints.socket_count -= 1
    if socket.flags & LISTED == 0:
        _free(endpoints, number)


@leaf
def _free(endpoints: Endpoints, number: int) -> None:
    endpoints.sockets[number].ready_next = endpoints.socket_free
    endpoints.socket_free = number


@leaf
def socket_event(endpoints: Endpoints, number: int, events: int) -> None:
    """Something has become so: readable, writable ... The application hears of it if it watches."""
    socket = endpoints.sockets[number]
    socket.events |= events
    if (socket.watched | socket.asked) & events != 0:
        _hear(endpoints, number, events)


@hot
def _hear(endpoints: Endpoints, number: int, events: int) -> None:
    socket = endpoints.sockets[number]
    if socket.watched & events != 0 and socket.flags & LISTED == 0:
        _list(endpoints, number)
    if socket.asked & events != 0:
        interests_event(Interests(endpoints.interests), socket.first, events)


@leaf
def socket_quiet(endpoints: Endpoints, number: int, events: int) -> None:
    """It is no longer so."""
    endpoints.sockets[number].events &= ~events


@hot
def _list(endpoints: Endpoints, number: int) -> None:
    socket = endpoints.sockets[number]
    socket.flags |= LISTED
    socket.ready_next = ANY_NUMBER
    if endpoints.ready_count == 0:
        endpoints.ready_first = number
    else:
        endpoints.sockets[endpoints.ready_last].ready_next = number
    endpoints.ready_last = number
    endpoints.ready_count += 1


@hot
def socket_watch(endpoints: Endpoints, number: int, events: int, flags: int) -> None:
    """Watch these events (0: none), level-triggered or EDGE; one that is so already is reported at once."""
    socket = endpoints.sockets[number]
    socket.watched = events | ((FAILED | HUNG_UP) if events != 0 else 0)
    socket.flags = socket.flags & ~EDGE | (flags & EDGE)
    if socket.events & socket.watched != 0 and socket.flags & LISTED == 0:
        _list(endpoints, number)


@hot
def socket_ready(endpoints: Endpoints) -> int:
    """Take the next ready socket off the list: its number, or -EAGAIN. Its events are in Socket.events & watched.

    A level-triggered socket whose event lasts goes back to the end of the list: it is reported again, once every other
    ready socket was. Whoever takes until nothing is left takes at most `ready_count` as it was at the beginning.
    """
    looked = endpoints.ready_count
    while looked > 0:
        looked -= 1
        number = endpoints.ready_first
        socket = endpoints.sockets[number]
        endpoints.ready_first = socket.ready_next
        endpoints.ready_count -= 1
        socket.flags &= ~LISTED
        if socket.kind == FREE_SOCKET:
            _free(endpoints, number)
        elif socket.events & socket.watched != 0:
            if socket.flags & EDGE == 0:
                _list(endpoints, number)
            return number
    return -EAGAIN
