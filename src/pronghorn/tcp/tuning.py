"""Options that few connections change, in records that are shared until one of their users changes something.

A socket, a binding and a connection each hold a record by its number; 0, the defaults, is not counted. `tuning_own`
gives a socket a record of its own to write to, and passes it on to the socket's connection or binding.
"""

from __future__ import annotations

from pronghorn.compiled import copy, hot
from pronghorn.state.endpoints import ANY_NUMBER, STREAM, endpoints_of
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import NO_TCB, Tcp, Tuning, tcp_of

NO_FIN_WAIT = 0xFFFF_FFFF
"""Tuning.fin_timeout of TCP_LINGER2 below 0: a closed socket does not wait for the other side's FIN."""


@hot
def tuning_take(tcp: Tcp, number: int) -> int:
    """One user more; returns the number."""
    if number != 0:
        tcp.tunings[number].users += 1
    return number


@hot
def tuning_drop(tcp: Tcp, number: int) -> None:
    """One user less."""
    if number == 0:
        return
    tuning = tcp.tunings[number]
    tuning.users -= 1
    if tuning.users == 0:
        tuning.next = tcp.tuning_free
        tcp.tuning_free = number


@hot
def _new(tcp: Tcp) -> int:
    """A record that nobody uses; 0 when there are no more."""
    number = tcp.tuning_free
    if number != NO_TCB:
        tcp.tuning_free = tcp.tunings[number].next
        return number
    number = tcp.tuning_fresh
    if number >= tcp.tuning_limit:
        return 0
    tcp.tuning_fresh = number + 1
    return number


@hot
def tuning_own(worker: Worker, number: int) -> Tuning:
    """The record of socket `number`, which nobody else uses, to be written to; address 0 when there is no room."""
    tcp, socket = tcp_of(worker), endpoints_of(worker).sockets[number]
    old = socket.tuning
    connected = socket.kind == STREAM and socket.record != ANY_NUMBER
    own = 1 + (1 if connected else 0) + (1 if socket.bound != 0 else 0)
    if old != 0 and tcp.tunings[old].users == own:
        return tcp.tunings[old]
    made = _new(tcp)
    if made == 0:
        return Tuning(0)
    tuning = tcp.tunings[made]
    copy(tuning.address, tcp.tunings[old].address, Tuning.SIZE)
    tuning.users = own
    tuning_drop(tcp, old)
    socket.tuning = made
    if connected:
        tuning_drop(tcp, tcp.tcbs[socket.record].tuning)
        tcp.tcbs[socket.record].tuning = made
    if socket.bound != 0:
        tuning_drop(tcp, tcp.listeners[socket.bound - 1].tuning)
        tcp.listeners[socket.bound - 1].tuning = made
    return tuning
