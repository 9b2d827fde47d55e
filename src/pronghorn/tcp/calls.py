"""What an application asks of TCP: RFC 9293 3.9.1, in the shape of Linux's socket calls. They never wait.

A call takes the number of an open socket and returns a number that is not negative, or minus an errno.

A socket before `connect` or `listen` has no record, or a Binding (a Listener that does not listen) when it is bound.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf
from pronghorn.state.endpoints import (
    ANY_NUMBER,
    EAGAIN,
    EINVAL,
    ENDED,
    ENOMEM,
    FAILED,
    HUNG_UP,
    KEEP_ALIVE,
    LISTENER,
    READABLE,
    STREAM,
    TOLD,
    URGENT,
    WRITABLE,
    Address,
    Endpoints,
    Socket,
    count,
    endpoints_of,
    socket_event,
    socket_open,
    socket_quiet,
    socket_release,
)
from pronghorn.state.error_queue import error_forget
from pronghorn.state.mib import ABORT_ON_CLOSE, ABORT_ON_LINGER
from pronghorn.state.worker import Worker
from pronghorn.tcp.bind import bind_any, bind_to, unbind
from pronghorn.tcp.closing import abort, start_closing, start_fin_wait
from pronghorn.tcp.fast_connect import is_deferred, may_send_data, send_first_syn, send_syn_with
from pronghorn.tcp.fast_open import CLIENT
from pronghorn.tcp.handshake import prepare_connecting
from pronghorn.tcp.life import accept_pop, finish_tcb, orphan, tcb_free, tcb_new
from pronghorn.tcp.owner import enter_bound, listens
from pronghorn.tcp.source import choose_address, choose_port, is_free
from pronghorn.tcp.tcb import (
    CLOSED,
    FAST_OPEN,
    FIN_QUEUED,
    FIN_RECEIVED,
    FIN_WAIT_2,
    NO_TCB,
    READ_CLOSED,
    SYN_RECEIVED,
    SYN_SENT,
    Tcb,
    Tcp,
    tcp_of,
)
from pronghorn.tcp.timers import start_keep_alive
from pronghorn.tcp.transfer import readable, record_of, take_error, tcp_receive, tcp_send
from pronghorn.tcp.tuning import tuning_drop, tuning_take
from pronghorn.tcp.urgent import at_mark, urgent_waits

ENOTCONN, EISCONN, EPIPE, EALREADY = errno.ENOTCONN, errno.EISCONN, errno.EPIPE, errno.EALREADY
EINPROGRESS, EOPNOTSUPP, EAFNOSUPPORT = errno.EINPROGRESS, errno.EOPNOTSUPP, errno.EAFNOSUPPORT
EADDRNOTAVAIL, EADDRINUSE = errno.EADDRNOTAVAIL, errno.EADDRINUSE
SHUT_RD, SHUT_WR, SHUT_RDWR = 0, 1, 2

__all__ = [
    "tcp_accept",
    "tcp_at_mark",
    "tcp_bind",
    "tcp_close",
    "tcp_connect",
    "tcp_listen",
    "tcp_name",
    "tcp_open",
    "tcp_receive",
    "tcp_send",
    "tcp_send_fast",
    "tcp_shutdown",
]


@hot
def tcp_open(worker: Worker, family: int) -> int:
    """A new socket, of family 4, 6 or 10 (both)."""
    if family != 4 and family != 6 and family != 10:
        return -EAFNOSUPPORT
    number = socket_open(endpoints_of(worker), STREAM, family)
    if number >= 0:
        endpoints_of(worker).sockets[number].events = WRITABLE | HUNG_UP  # as Linux's poll has it
    return number


@hot
def tcp_bind(worker: Worker, number: int, address: Address) -> int:
    """Take a local address and port; port 0: any."""
    socket = endpoints_of(worker).sockets[number]
    if socket.bound != 0 or socket.record != ANY_NUMBER:
        return -EINVAL
    return bind_to(worker, number, address)


@hot
def tcp_listen(worker: Worker, number: int, backlog: int) -> int:
    """Take connections; at most `backlog` and one wait to be accepted."""
    endpoints = endpoints_of(worker)
    socket = endpoints.sockets[number]
    if socket.record != ANY_NUMBER:
        return -EINVAL
    if socket.bound == 0:
        result = bind_any(worker, number)
        if result < 0:
            return result
    listener = tcp_of(worker).listeners[socket.bound - 1]
    listener.backlog = max(backlog, 0)
    listener.listening = 1
    listens(worker, tcp_of(worker), listener.port)
    socket.kind = LISTENER
    socket_quiet(endpoints, number, WRITABLE | HUNG_UP)
    return 0


@hot
def tcp_accept(worker: Worker, number: int, peer: Address) -> int:
    """The next established connection as a new socket, and where it came from (unless peer's address is 0)."""
    endpoints, tcp = endpoints_of(worker), tcp_of(worker)
    socket = endpoints.sockets[number]
    if socket.kind != LISTENER:
        return -EINVAL
    listener = tcp.listeners[socket.bound - 1]
    if listener.first == NO_TCB:
        socket_quiet(endpoints, number, READABLE)
        return -EAGAIN
    made = socket_open(endpoints, STREAM, socket.family)
    if made < 0:
        return made
    tcb = accept_pop(tcp, listener)
    if listener.first == NO_TCB:
        socket_quiet(endpoints, number, READABLE)
    fresh = endpoints.sockets[made]
    fresh.record, tcb.socket = tcb.index, made
    fresh.flags |= TOLD
    fresh.options, fresh.tuning = socket.options, tuning_take(tcp, tcb.tuning)
    if peer.address != 0:
        write_remote(tcb, peer)
    events = WRITABLE
    if readable(tcb) > 0 or tcb.flags & FIN_RECEIVED != 0:
        events |= READABLE
    if tcb.flags & FIN_RECEIVED != 0:
        events |= ENDED
    if tcb.state == CLOSED:
        events |= READABLE | ENDED | HUNG_UP
        fresh.error = tcb.probes
        events |= FAILED if tcb.probes != 0 else 0
    if urgent_waits(tcp, tcb):
        events |= URGENT
    socket_event(endpoints, made, events)
    if fresh.options & KEEP_ALIVE != 0 and tcb.state != CLOSED:
        start_keep_alive(worker, tcp, tcb)
    return made


@leaf
def write_remote(tcb: Tcb, peer: Address) -> None:
    """The remote end's address."""
    peer.hi, peer.lo, peer.port, peer.family, peer.interface = (
        tcb.remote_hi, tcb.remote_lo, tcb.remote_port, tcb.family, 0,
    )  # fmt: skip


@leaf
def write_local(tcb: Tcb, own: Address) -> None:
    """Our own."""
    own.hi, own.lo, own.port, own.family, own.interface = tcb.local_hi, tcb.local_lo, tcb.local_port, tcb.family, 0


@hot
def tcp_connect(worker: Worker, number: int, address: Address) -> int:
    """Open a connection: -EINPROGRESS, then WRITABLE or FAILED (RFC 9293 3.9.1.1).

    With TCP_FASTOPEN_CONNECT and a cookie of the server's it is 0, and the first octets sent go with the SYN.
    """
    endpoints, tcp = endpoints_of(worker), tcp_of(worker)
    socket = endpoints.sockets[number]
    if socket.kind != STREAM:
        return -EISCONN if socket.kind == LISTENER else -EINVAL
    if socket.record != ANY_NUMBER:
        return _connect_again(endpoints, tcp, socket, number)
    result = _begin_connecting(worker, number, address)
    if result < 0:
        return result
    tcb = tcp.tcbs[socket.record]
    if tcp.tunings[tcb.tuning].fast_connect != 0:
        if may_send_data(worker, tcp, tcb):
            socket_event(endpoints, number, WRITABLE)
            return 0
        tcb.agreed |= FAST_OPEN
    if not send_first_syn(worker, tcp, tcb):
        return _connect_not(worker, tcp, number)
    return -EINPROGRESS


@hot
def tcp_send_fast(worker: Worker, number: int, data: int, octets: int, address: Address) -> int:
    """MSG_FASTOPEN: open a connection with data in its SYN (RFC 7413): how many octets went with it, or -EINPROGRESS
    when none did, because there is no cookie yet: then they are to be sent again, once the socket is WRITABLE."""
    endpoints, tcp = endpoints_of(worker), tcp_of(worker)
    socket = endpoints.sockets[number]
    if tcp.fast_open & CLIENT == 0:
        return -EOPNOTSUPP
    if socket.kind != STREAM or octets < 0:
        return -EINVAL
    if socket.record != ANY_NUMBER:
        if not is_deferred(tcp.tcbs[socket.record]):
            result = _connect_again(endpoints, tcp, socket, number)
            if result < 0:
                return result
        return tcp_send(worker, number, data, octets, 0)
    result = _begin_connecting(worker, number, address)
    if result < 0:
        return result
    return send_syn_with(worker, tcp, tcp.tcbs[socket.record], data, octets)


@hot
def _connect_not(worker: Worker, tcp: Tcp, number: int) -> int:
    """There is no memory for a SYN: back to before `connect`."""
    socket = endpoints_of(worker).sockets[number]
    tcb_free(worker, tcp, tcp.tcbs[socket.record])
    socket.record = ANY_NUMBER
    return -ENOMEM


@hot
def _begin_connecting(worker: Worker, number: int, address: Address) -> int:
    """Give the socket a connection in SYN_SENT that has sent nothing yet. 0, or minus an errno."""
    endpoints, tcp = endpoints_of(worker), tcp_of(worker)
    socket = endpoints.sockets[number]
    if (address.family == 4 and socket.family == 6) or (address.family == 6 and socket.family == 4):
        return -EAFNOSUPPORT
    if address.port == 0:
        return -EADDRNOTAVAIL
    tcb = tcb_new(tcp)
    if tcb.address == 0:
        return -ENOMEM
    result = _address(worker, tcp, tcb, socket, address)
    if result == 0 and not prepare_connecting(worker, tcp, tcb):
        result = -ENOMEM
    if result == 0 and socket.bound != 0 and not enter_bound(worker, tcb):
        result = -EADDRNOTAVAIL
    if result < 0:
        tcb_free(worker, tcp, tcb)
        return result
    socket.record, tcb.socket = tcb.index, number
    socket_quiet(endpoints, number, HUNG_UP | WRITABLE)
    return 0


@leaf
def _connect_again(endpoints: Endpoints, tcp: Tcp, socket: Socket, number: int) -> int:
    """`connect` on a socket that has a connection: how it went."""
    state = tcp.tcbs[socket.record].state
    if is_deferred(tcp.tcbs[socket.record]):
        return -EISCONN  # as Linux
    if state == SYN_SENT or state == SYN_RECEIVED:
        return -EALREADY
    if socket.error != 0:
        return -take_error(endpoints, number)
    if socket.flags & TOLD == 0:
        socket.flags |= TOLD  # as Linux: the second call says how it went, the third that there is nothing to do
        return 0
    return -EISCONN


@hot
def _address(worker: Worker, tcp: Tcp, tcb: Tcb, socket: Socket, address: Address) -> int:
    """Set the four-tuple of an active open."""
    tcb.family, tcb.tuning = address.family, tuning_take(tcp, socket.tuning)
    tcb.remote_hi, tcb.remote_lo, tcb.remote_port = address.hi, address.lo, address.port
    if socket.bound != 0:
        binding = tcp.listeners[socket.bound - 1]
        tcb.local_hi, tcb.local_lo, tcb.local_port = binding.hi, binding.lo, binding.port
    result = choose_address(worker, tcb)
    if result < 0:
        return result
    if tcb.local_port == 0:
        return choose_port(worker, tcp, tcb)
    return 0 if is_free(worker, tcp, tcb) else -EADDRINUSE


# --- ending -------------------------------------------------------------------------------------------------------


@hot
def tcp_shutdown(worker: Worker, number: int, how: int) -> int:
    """End one direction, or both."""
    endpoints = endpoints_of(worker)
    tcb = record_of(worker, number)
    if how < SHUT_RD or how > SHUT_RDWR:
        return -EINVAL
    if tcb.address == 0 or tcb.state == CLOSED or tcb.state == SYN_SENT:
        return 0 if endpoints.sockets[number].kind == LISTENER and how == SHUT_WR else -ENOTCONN  # as Linux
    if how != SHUT_WR:
        tcb.flags |= READ_CLOSED
        socket_event(endpoints, number, READABLE | ENDED)
    if how != SHUT_RD:
        start_closing(worker, tcp_of(worker), tcb)
    return 0


@hot
def tcp_close(worker: Worker, number: int) -> int:
    """The application is done with the socket; the connection ends in its own time, or at once by a reset when octets
    were not read (RFC 2525 2.17), or SO_LINGER of 0 s says so. The call never waits: with a longer SO_LINGER, too, what
    was written goes on being sent."""
    endpoints, tcp = endpoints_of(worker), tcp_of(worker)
    socket = endpoints.sockets[number]
    tuning_drop(tcp, socket.tuning)
    error_forget(endpoints, number)
    if socket.kind == LISTENER:
        _close_listener(worker, tcp, number)
        socket_release(endpoints, number)
        return 0
    if socket.bound != 0:
        unbind(worker, number)
    if socket.record == ANY_NUMBER:
        socket_release(endpoints, number)
        return 0
    tcb = tcp.tcbs[socket.record]
    orphan(endpoints, tcb)
    state = tcb.state
    if state == CLOSED:
        tcb_free(worker, tcp, tcb)
    elif state == SYN_SENT:
        finish_tcb(worker, tcp, tcb, 0)
    elif readable(tcb) > 0:
        count(worker, ABORT_ON_CLOSE, 1)
        abort(worker, tcp, tcb, 0)
    elif tcp.tunings[tcb.tuning].linger == 0:
        count(worker, ABORT_ON_LINGER, 1)
        abort(worker, tcp, tcb, 0)
    elif tcb.flags & FIN_QUEUED == 0:
        start_closing(worker, tcp, tcb)
    elif state == FIN_WAIT_2:
        start_fin_wait(worker, tcp, tcb)
    return 0


@hot
def _close_listener(worker: Worker, tcp: Tcp, number: int) -> None:
    """Whoever waits to be accepted is reset; half-open connections go when their handshake ends."""
    listener = tcp.listeners[endpoints_of(worker).sockets[number].bound - 1]
    while listener.first != NO_TCB:
        tcb = accept_pop(tcp, listener)
        if tcb.state == CLOSED:
            tcb_free(worker, tcp, tcb)
        else:
            abort(worker, tcp, tcb, 0)
    unbind(worker, number)


@hot
def tcp_at_mark(worker: Worker, number: int) -> int:
    """SIOCATMARK: 1 when the next octet to read is the urgent one, otherwise 0."""
    tcb = record_of(worker, number)
    return 1 if tcb.address != 0 and at_mark(tcp_of(worker), tcb) else 0


@hot
def tcp_name(worker: Worker, number: int, which: int, address: Address) -> int:
    """getsockname (0) or getpeername (1)."""
    socket = endpoints_of(worker).sockets[number]
    tcb = record_of(worker, number)
    if (tcb.address != 0 and tcb.state != CLOSED) or (tcb.address != 0 and which == 0):
        if which == 0:
            write_local(tcb, address)
        else:
            write_remote(tcb, address)
        return 0
    if which != 0:
        return -ENOTCONN
    address.hi, address.lo, address.port, address.interface = 0, 0, 0, 0
    address.family = 4 if socket.family == 4 else 6
    if socket.bound != 0:
        binding = tcp_of(worker).listeners[socket.bound - 1]
        address.hi, address.lo, address.port = binding.hi, binding.lo, binding.port
    return 0
