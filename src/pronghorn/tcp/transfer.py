"""Octets from and to the application: a stream's send and receive, which never wait."""

from __future__ import annotations

import errno

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.stream import stream_free, stream_get, stream_put, stream_size
from pronghorn.state.endpoints import (
    ANY_NUMBER,
    EAGAIN,
    READABLE,
    STREAM,
    WRITABLE,
    Endpoints,
    endpoints_of,
    socket_quiet,
)
from pronghorn.state.error_queue import error_taken
from pronghorn.state.loans import READING, SENDING, Loans, is_lent
from pronghorn.state.worker import Worker
from pronghorn.tcp.fast_connect import is_deferred, send_syn_with
from pronghorn.tcp.output import not_sent, output
from pronghorn.tcp.pressure import send_room
from pronghorn.tcp.receive import is_worth_reading, window_opened
from pronghorn.tcp.tcb import (
    CLOSE_WAIT,
    CLOSED,
    CORKED,
    DATA_HEARD,
    ESTABLISHED,
    FAST_OPEN,
    FIN_QUEUED,
    FIN_RECEIVED,
    PING_PONG,
    READ_CLOSED,
    SYN_RECEIVED,
    SYN_SENT,
    WANTS_SPACE,
    Tcb,
    Tcp,
    elapsed,
    moment,
    tcp_of,
)
from pronghorn.tcp.urgent import mark_passed, receive_urgent, start_urgent, until_mark
from pronghorn.tcp.window import was_read

ENOTCONN, EPIPE, EBUSY = errno.ENOTCONN, errno.EPIPE, errno.EBUSY
MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_MORE = 1, 2, 0x20, 0x8000
MASK = 0xFFFF_FFFF
PIECE = 65_536
"""Octets that are taken at once where TCP_NOTSENT_LOWAT is set."""


@leaf
def record_of(worker: Worker, number: int) -> Tcb:
    """The socket's connection; address 0 when it has none."""
    socket = endpoints_of(worker).sockets[number]
    if socket.kind != STREAM or socket.record == ANY_NUMBER:
        return Tcb(0)
    return tcp_of(worker).tcbs[socket.record]


@cold
def take_error(endpoints: Endpoints, number: int) -> int:
    """The pending errno, which is thereby reported; 0 when there is none."""
    return error_taken(endpoints, number)


@leaf
def queue_limit(tcp: Tcp, tcb: Tcb) -> int:
    """Octets that may wait to be acknowledged: grows with the congestion window unless SO_SNDBUF was set."""
    tuning = tcp.tunings[tcb.tuning]
    if tuning.fixed_buffers & 2 != 0:
        return tuning.send_limit
    return min(max(tuning.send_limit, 2 * tcb.cwnd), tcp.send_max)


@hot
def tcp_send(worker: Worker, number: int, data: int, octets: int, flags: int) -> int:
    """Queue up to `octets` at `data` and send what may be sent; how many were taken, or -EAGAIN, -EPIPE ..."""
    endpoints = endpoints_of(worker)
    tcb = record_of(worker, number)
    if tcb.address == 0:
        return -EPIPE
    lent = endpoints.sockets[number].lent
    if lent != 0 and is_lent(Loans(endpoints.loans), lent, SENDING):
        return -EBUSY
    if endpoints.sockets[number].error != 0:
        return -take_error(endpoints, number)
    if tcb.flags & FIN_QUEUED != 0:
        return -EPIPE
    if tcb.state != ESTABLISHED and tcb.state != CLOSE_WAIT:
        if is_deferred(tcb):
            socket_quiet(endpoints, number, WRITABLE)
            return send_syn_with(worker, tcp_of(worker), tcb, data, octets)
        if tcb.state != SYN_RECEIVED or tcb.agreed & FAST_OPEN == 0:
            return -EAGAIN if tcb.state == SYN_SENT or tcb.state == SYN_RECEIVED else -EPIPE
    tcp = tcp_of(worker)
    taken = space_for(worker, tcp, tcb, octets)
    if taken <= 0:
        tcb.flags |= WANTS_SPACE
        socket_quiet(endpoints, number, WRITABLE)
        return -EAGAIN if octets > 0 else 0
    stream_put(Buddy(endpoints.buddy), tcb.send, tcb.snd_end, data, taken)
    return queued(worker, tcp, tcb, number, taken, octets, flags)


@leaf
def space_for(worker: Worker, tcp: Tcp, tcb: Tcb, octets: int) -> int:
    """For how many of the octets there is room in the send ring, which has grown for them; 0 or less: for none."""
    waiting = tcb.snd_end - tcb.snd_una & MASK
    low = tcp.tunings[tcb.tuning].low_water
    taken = min(octets, queue_limit(tcp, tcb) - waiting)
    if low != 0:
        taken = min(taken, PIECE if not_sent(tcb) < low else 0)
    if waiting + taken > stream_size(tcb.send) and taken > 0:
        taken = send_room(worker, tcp, tcb, waiting, taken)
    return taken


@leaf
def queued(worker: Worker, tcp: Tcp, tcb: Tcb, number: int, taken: int, octets: int, flags: int) -> int:
    """The next `taken` of `octets` are in the send ring: send what may be sent. Returns `taken`."""
    endpoints = endpoints_of(worker)
    tcb.snd_end = sequence.add(tcb.snd_end, taken)
    if taken < octets:
        tcb.flags |= WANTS_SPACE
        socket_quiet(endpoints, number, WRITABLE)
    elif flags & MSG_OOB != 0:
        start_urgent(tcp, tcb)  # without memory for that it is ordinary data
    if tcb.flags & DATA_HEARD != 0 and elapsed(moment(worker), tcb.heard) <= 40:
        tcb.flags |= PING_PONG
    if flags & MSG_MORE != 0 and tcb.flags & CORKED == 0:
        tcb.flags |= CORKED
        output(worker, tcp, tcb)
        tcb.flags &= ~CORKED
    else:
        output(worker, tcp, tcb)
    low = tcp.tunings[tcb.tuning].low_water
    if low != 0 and 2 * not_sent(tcb) >= low:
        tcb.flags |= WANTS_SPACE
        socket_quiet(endpoints, number, WRITABLE)
    return taken


@leaf
def readable(tcb: Tcb) -> int:
    """Octets that may be read now."""
    octets = tcb.rcv_nxt - tcb.rcv_read & MASK
    return octets - 1 if tcb.flags & FIN_RECEIVED != 0 else octets


@hot
def tcp_receive(worker: Worker, number: int, data: int, octets: int, flags: int) -> int:
    """Take up to `octets` into `data`: how many, 0 at the end, -EAGAIN when there is nothing. MSG_PEEK leaves them,
    MSG_TRUNC throws them away, MSG_OOB takes the urgent one."""
    endpoints, tcp = endpoints_of(worker), tcp_of(worker)
    tcb = record_of(worker, number)
    if tcb.address == 0:
        return -ENOTCONN
    lent = endpoints.sockets[number].lent
    if lent != 0 and flags & MSG_PEEK == 0 and is_lent(Loans(endpoints.loans), lent, READING):
        return -EBUSY
    if flags & MSG_OOB != 0:
        return receive_urgent(worker, tcp, tcb, data, octets, flags)
    waiting, passed = readable(tcb), 0
    if tcb.rare != 0:
        passed, waiting = until_mark(worker, tcp, tcb, waiting)
    taken = max(min(waiting, octets), 0)
    if taken + passed <= 0 or (octets <= 0 and waiting > 0):
        return nothing_to_read(endpoints, tcb, number) if octets > 0 or waiting == 0 else 0
    buddy = Buddy(endpoints.buddy)
    if flags & MSG_TRUNC == 0:
        stream_get(buddy, tcb.receive, sequence.add(tcb.rcv_read, passed), data, taken)
    if flags & MSG_PEEK == 0:
        was_taken(worker, tcp, tcb, number, passed + taken)
    return taken if taken > 0 else nothing_to_read(endpoints, tcb, number)


@hot
def was_taken(worker: Worker, tcp: Tcp, tcb: Tcb, number: int, octets: int) -> None:
    """The next `octets` are the application's now."""
    endpoints = endpoints_of(worker)
    tcb.rcv_read = sequence.add(tcb.rcv_read, octets)
    if tcb.rare != 0:
        mark_passed(worker, tcp, tcb)
    if tcb.beyond.count == 0 and readable(tcb) == 0:
        stream_free(Buddy(endpoints.buddy), tcb.receive)
    if tcb.state != CLOSED:
        if tcb.flags & FIN_RECEIVED == 0 and not is_worth_reading(worker, tcp, tcb):
            socket_quiet(endpoints, number, READABLE)
        was_read(worker, tcp, tcb)
        window_opened(worker, tcp, tcb)


@cold
def nothing_to_read(endpoints: Endpoints, tcb: Tcb, number: int) -> int:
    """There is nothing to read: why."""
    if endpoints.sockets[number].error != 0:
        return -take_error(endpoints, number)
    if tcb.flags & (FIN_RECEIVED | READ_CLOSED) != 0 or tcb.state == CLOSED:
        return 0
    socket_quiet(endpoints, number, READABLE)
    return -EAGAIN
