"""Local addresses and ports of sockets that have no connection yet, as Linux's `bind` gives them out.

A binding is a Listener record that does not listen. Two may share a port when their addresses differ, when both have
SO_REUSEADDR and none of them listens, or when both have SO_REUSEPORT. Port 0 is any free one of the range for active
opens; with several workers each takes its own (port modulo workers), as source.py does.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf
from pronghorn.net.addresses import owned_find
from pronghorn.net.state import MAPPED, net_of
from pronghorn.state.endpoints import ENOMEM, REUSE_ADDRESS, REUSE_PORT, Address, Socket, endpoints_of
from pronghorn.state.wishes import FREE_BIND
from pronghorn.state.worker import Worker, random_number
from pronghorn.tcp.lookup import is_conflict, listener_add, listener_new, listener_remove
from pronghorn.tcp.owner import listens
from pronghorn.tcp.tcb import Listener, Tcp, tcp_of
from pronghorn.tcp.tuning import tuning_drop, tuning_take

EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT = errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT


@leaf
def shares(socket: Socket) -> int:
    """What the socket's options allow others at its port: 1 SO_REUSEADDR, 2 SO_REUSEPORT."""
    return (1 if socket.options & REUSE_ADDRESS != 0 else 0) | (2 if socket.options & REUSE_PORT != 0 else 0)


@hot
def bind_to(worker: Worker, number: int, address: Address) -> int:
    """Bind the socket; 0, -EADDRINUSE, -EADDRNOTAVAIL, -EAFNOSUPPORT."""
    socket = endpoints_of(worker).sockets[number]
    any_address = address.hi == 0 and (address.lo == 0 or address.lo == MAPPED)
    family = socket.family
    if (address.family == 4 and family == 6) or (address.family == 6 and family == 4):
        return -EAFNOSUPPORT
    if not any_address:
        family = address.family
        free = tcp_of(worker).tunings[socket.tuning].wishes.bits & FREE_BIND != 0
        if not free and owned_find(net_of(worker), address.hi, address.lo) < 0:
            return -EADDRNOTAVAIL
    elif address.family == 4:
        family = 4
    return _bind(worker, number, family, 0 if any_address else address.hi, 0 if any_address else address.lo,
                 address.port)  # fmt: skip


@hot
def bind_any(worker: Worker, number: int) -> int:
    """Bind the socket to any address and some port."""
    return _bind(worker, number, endpoints_of(worker).sockets[number].family, 0, 0, 0)


@hot
def _bind(worker: Worker, number: int, family: int, hi: int, lo: int, port: int) -> int:
    tcp, socket = tcp_of(worker), endpoints_of(worker).sockets[number]
    place = listener_new(tcp)
    if place < 0:
        return -ENOMEM
    listener = tcp.listeners[place]
    listener.hi, listener.lo, listener.family, listener.socket = hi, lo, family, number
    listener.reuse, listener.tuning = shares(socket), tuning_take(tcp, socket.tuning)
    if not _take_port(worker, tcp, listener, place, port):
        _give_back(tcp, place)
        return -EADDRINUSE
    if not listener_add(tcp, place):
        _give_back(tcp, place)
        return -ENOMEM
    socket.bound = place + 1
    return 0


@hot
def _give_back(tcp: Tcp, place: int) -> None:
    """The record of a binding that has not come about."""
    listener = tcp.listeners[place]
    tuning_drop(tcp, listener.tuning)
    listener.next, tcp.listener_free = tcp.listener_free, place


@hot
def _take_port(worker: Worker, tcp: Tcp, listener: Listener, place: int, port: int) -> bool:
    """Set the binding's port: `port`, or a free one when that is 0."""
    listener.port = port
    if port != 0:
        return not is_conflict(tcp, listener, place, listener.reuse)
    workers = worker.workers
    first = tcp.port_low + (worker.index - tcp.port_low) % workers
    places = max((tcp.port_high - first) // workers + 1, 1)
    start = random_number(worker) % places
    for step in range(places):
        listener.port = first + workers * ((start + step) % places)
        if not is_conflict(tcp, listener, place, 0):
            return True
    return False


@hot
def unbind(worker: Worker, number: int) -> None:
    """The socket's binding is free again; one whose handshakes are not over goes with the last of them."""
    tcp, socket = tcp_of(worker), endpoints_of(worker).sockets[number]
    place = socket.bound - 1
    listener = tcp.listeners[place]
    listener.listening = 0
    listens(worker, tcp, listener.port)
    socket.bound = 0
    if listener.half_open == 0:
        listener_remove(tcp, place)
