"""Streams without copies: the application writes where octets wait to be sent, and reads where they have arrived.

    octets = tcp_reserve(worker, number, octets, target)      # room for so many at the address target[0]
    tcp_commit(worker, number, octets)                           # so many were written: send them
    octets = tcp_view(worker, number, target)                     # so many have arrived, and lie at target[0]
    tcp_return(worker, number, octets)                              # so many were read

A piece may be shorter than what there is room for, or what has arrived: rings wrap. What is lent stays where it is,
though the stream moves to another ring, or ends (state/loans.py): a reservation whose ring has gone is copied when it
is committed. While a loan is out, ordinary calls of its direction say EBUSY.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, hot, leaf, sequence, u64
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.stream import Stream, stream_put
from pronghorn.state.endpoints import EAGAIN, EINVAL, ENOMEM, WRITABLE, endpoints_of, socket_quiet
from pronghorn.state.loans import (
    READING,
    SENDING,
    Loans,
    is_lent,
    loan_at,
    loan_begin,
    loan_end,
    loan_is_here,
    pair_take,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.fast_connect import is_deferred
from pronghorn.tcp.tcb import CLOSE_WAIT, ESTABLISHED, FIN_QUEUED, SYN_RECEIVED, SYN_SENT, WANTS_SPACE, Tcb, tcp_of
from pronghorn.tcp.transfer import nothing_to_read, queued, readable, record_of, space_for, take_error, was_taken
from pronghorn.tcp.urgent import until_mark

EBUSY, EPIPE, ENOTCONN, EOPNOTSUPP = errno.EBUSY, errno.EPIPE, errno.ENOTCONN, errno.EOPNOTSUPP


@leaf
def _loans(worker: Worker) -> Loans:
    return Loans(endpoints_of(worker).loans)


@hot
def _lend(
    worker: Worker, number: int, side: int, stream: Stream, position: int, octets: int, skipped: int,
    target: Array[u64],
) -> int:  # fmt: skip
    """Octets that are lent, and their address in target[0]; -ENOMEM: too much is lent."""
    own, socket = _loans(worker), endpoints_of(worker).sockets[number]
    if socket.lent == 0:
        socket.lent = pair_take(own)
        if socket.lent == 0:
            return -ENOMEM
    piece = loan_begin(own, Buddy(endpoints_of(worker).buddy), socket.lent, side, stream, position, octets, skipped)
    target[0] = loan_at(own, socket.lent, side).start
    return piece


@hot
def _may_send(worker: Worker, tcb: Tcb, number: int) -> int:
    """0, or why nothing can be queued."""
    endpoints = endpoints_of(worker)
    if tcb.address == 0:
        return -EPIPE
    if endpoints.sockets[number].error != 0:
        return -take_error(endpoints, number)
    if tcb.flags & FIN_QUEUED != 0:
        return -EPIPE
    if tcb.state == ESTABLISHED or tcb.state == CLOSE_WAIT:
        return 0
    if is_deferred(tcb):
        return -EOPNOTSUPP
    return -EAGAIN if tcb.state == SYN_SENT or tcb.state == SYN_RECEIVED else -EPIPE


@hot
def tcp_reserve(worker: Worker, number: int, octets: int, target: Array[u64]) -> int:
    """Room for up to `octets`: how many, at the address target[0]. -EAGAIN: none now."""
    endpoints, tcp = endpoints_of(worker), tcp_of(worker)
    tcb = record_of(worker, number)
    if is_lent(_loans(worker), endpoints.sockets[number].lent, SENDING):
        return -EBUSY
    result = _may_send(worker, tcb, number)
    if result < 0:
        return result
    if octets <= 0:
        return -EINVAL
    space = space_for(worker, tcp, tcb, octets)
    if space <= 0:
        tcb.flags |= WANTS_SPACE
        socket_quiet(endpoints, number, WRITABLE)
        return -EAGAIN
    return _lend(worker, number, SENDING, tcb.send, tcb.snd_end, space, 0, target)


@hot
def tcp_commit(worker: Worker, number: int, octets: int) -> int:
    """The first `octets` of what was reserved are written: send them, and the rest is reserved no more. 0 gives all up.

    -EAGAIN: the ring has gone meanwhile and there is no memory for another; the reservation stays.
    """
    endpoints, tcp, own = endpoints_of(worker), tcp_of(worker), _loans(worker)
    socket = endpoints.sockets[number]
    if not is_lent(own, socket.lent, SENDING):
        return -EINVAL
    loan, buddy = loan_at(own, socket.lent, SENDING), Buddy(endpoints.buddy)
    if octets < 0 or octets > loan.octets:
        return -EINVAL
    tcb = record_of(worker, number)
    result = _may_send(worker, tcb, number) if octets > 0 else 0
    if result == 0 and octets > 0 and not (loan_is_here(loan) and loan.position == tcb.snd_end):
        if space_for(worker, tcp, tcb, octets) < octets:
            return -EAGAIN
        stream_put(buddy, tcb.send, tcb.snd_end, loan.start, octets)
    socket.lent = loan_end(own, buddy, socket.lent, SENDING)
    if result < 0 or octets == 0:
        return result
    return queued(worker, tcp, tcb, number, octets, octets, 0)


@hot
def tcp_view(worker: Worker, number: int, target: Array[u64]) -> int:
    """What has arrived: how many octets lie at the address target[0]; 0: the end; -EAGAIN: nothing yet."""
    endpoints, tcp = endpoints_of(worker), tcp_of(worker)
    tcb = record_of(worker, number)
    if tcb.address == 0:
        return -ENOTCONN
    if is_lent(_loans(worker), endpoints.sockets[number].lent, READING):
        return -EBUSY
    waiting, passed = readable(tcb), 0
    if tcb.rare != 0:
        passed, waiting = until_mark(worker, tcp, tcb, waiting)
    if waiting <= 0:
        if passed > 0:
            was_taken(worker, tcp, tcb, number, passed)
        return nothing_to_read(endpoints, tcb, number)
    return _lend(
        worker, number, READING, tcb.receive, sequence.add(tcb.rcv_read, passed), waiting, passed, target
    )  # fmt: skip


@hot
def tcp_return(worker: Worker, number: int, octets: int) -> int:
    """The first `octets` of what is lent were read; the rest waits on, and may be lent again."""
    endpoints, own = endpoints_of(worker), _loans(worker)
    socket = endpoints.sockets[number]
    if not is_lent(own, socket.lent, READING):
        return -EINVAL
    loan = loan_at(own, socket.lent, READING)
    if octets < 0 or octets > loan.octets:
        return -EINVAL
    passed = loan.skipped + octets
    socket.lent = loan_end(own, Buddy(endpoints.buddy), socket.lent, READING)
    tcb = record_of(worker, number)
    if octets > 0 and tcb.address != 0:
        was_taken(worker, tcp_of(worker), tcb, number, passed)
    return 0
