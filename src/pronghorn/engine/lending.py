"""Sending and receiving without copies, for C programs: tcp/lend.py says how. Streams alone.

    octets = send_reserve(worker, handle, 4000, &address)          # write there
    send_commit(worker, handle, octets)
    octets = receive_view(worker, handle, &address)                 # read there
    receive_release(worker, handle, octets)

A socket may be closed with a loan out: its memory stays what it is until loan_release, or the engine's end.
"""

from __future__ import annotations

from pronghorn.compiled import Array, entry, u64
from pronghorn.memory.buddy import Buddy
from pronghorn.state.endpoints import EINVAL, STREAM, endpoints_of, socket_number
from pronghorn.state.loans import Loans, loan_left
from pronghorn.state.worker import Worker
from pronghorn.tcp.lend import EOPNOTSUPP, tcp_commit, tcp_reserve, tcp_return, tcp_view


@entry
def send_reserve(worker: Worker, handle: int, octets: int, target: Array[u64]) -> int:
    """Room for up to `octets` to be sent: how many, at the address target[0]. -EAGAIN: none now; -EBUSY: some is
    reserved already."""
    endpoints = endpoints_of(worker)
    number = socket_number(endpoints, handle)
    if number < 0:
        return number
    return tcp_reserve(worker, number, octets, target) if endpoints.sockets[number].kind == STREAM else -EOPNOTSUPP


@entry
def send_commit(worker: Worker, handle: int, octets: int) -> int:
    """Send the first `octets` of what was reserved: how many. 0 gives the reservation up; -EINVAL: it was none, or
    shorter."""
    number = socket_number(endpoints_of(worker), handle)
    return tcp_commit(worker, number, octets) if number >= 0 else number


@entry
def receive_view(worker: Worker, handle: int, target: Array[u64]) -> int:
    """What has arrived, where it lies: how many octets are at the address target[0]. 0: the end; -EAGAIN; -EBUSY: they
    are lent already."""
    endpoints = endpoints_of(worker)
    number = socket_number(endpoints, handle)
    if number < 0:
        return number
    return tcp_view(worker, number, target) if endpoints.sockets[number].kind == STREAM else -EOPNOTSUPP


@entry
def receive_release(worker: Worker, handle: int, octets: int) -> int:
    """Give back what was lent; the first `octets` of it are read. 0; -EINVAL: nothing was lent, or less."""
    number = socket_number(endpoints_of(worker), handle)
    return tcp_return(worker, number, octets) if number >= 0 else number


@entry
def loan_release(worker: Worker, start: int) -> int:
    """Give back a loan whose socket was closed, by its address. 0; -EINVAL: there is none."""
    endpoints = endpoints_of(worker)
    own = Loans(endpoints.loans)
    if own.address == 0 or start == 0:
        return -EINVAL
    return 0 if loan_left(own, Buddy(endpoints.buddy), start) else -EINVAL
