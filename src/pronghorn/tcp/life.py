"""How a connection comes into being and ends.

tcb_new      an empty record
finish_tcb   the connection is over (state CLOSED): nothing is sent or received any more; what has arrived may still
             be read, until the application closes the socket
tcb_free     the record is free
"""

from __future__ import annotations

from pronghorn.compiled import cold, fill, hot, leaf
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.ranges import ranges_free
from pronghorn.memory.stream import stream_free
from pronghorn.state.endpoints import (
    ANY_NUMBER,
    ENDED,
    FAILED,
    HUNG_UP,
    READABLE,
    WRITABLE,
    Endpoints,
    count,
    endpoints_of,
    socket_event,
    socket_release,
)
from pronghorn.state.mib import CURR_ESTAB
from pronghorn.state.worker import Worker
from pronghorn.tcp.deadlines import disarm
from pronghorn.tcp.lookup import leave, listener_remove
from pronghorn.tcp.owner import leave_owner
from pronghorn.tcp.rare import rare_drop, rare_of
from pronghorn.tcp.recovery import recovery_close
from pronghorn.tcp.tcb import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FAST_OPEN,
    FREE,
    LISTEN,
    NEVER,
    NO_TCB,
    PASSIVE,
    PENDING,
    SYN_RECEIVED,
    Identity,
    Listener,
    Tcb,
    Tcp,
)
from pronghorn.tcp.tuning import tuning_drop


@hot
def tcb_new(tcp: Tcp) -> Tcb:
    """An empty record, all fields zero but `index`; address 0 when there are too many connections."""
    number = tcp.free
    if number != NO_TCB:
        tcp.free = tcp.tcbs[number].next
    else:
        number = tcp.fresh
        if number >= tcp.limit:
            return Tcb(0)
        tcp.fresh = number + 1
    tcb = tcp.tcbs[number]
    fill(tcb.address, 0, Tcb.SIZE)
    tcb.index, tcb.socket, tcb.neighbour, tcb.next = number, ANY_NUMBER, NO_TCB, NO_TCB
    tcp.count += 1
    return tcb


@hot
def tcb_free(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The record is free again, with everything it held. A record on the pending list is freed when its turn comes."""
    if tcb.state != CLOSED:
        end(worker, tcp, tcb)
    stream_free(Buddy(endpoints_of(worker).buddy), tcb.receive)
    tuning_drop(tcp, tcb.tuning)
    rare_drop(tcp, tcb)
    tcb.state = FREE
    if tcb.flags & PENDING == 0:
        give_back(tcp, tcb)


@hot
def give_back(tcp: Tcp, tcb: Tcb) -> None:
    """Put a FREE record on the free list."""
    tcb.next = tcp.free
    tcp.free = tcb.index
    tcp.count -= 1


@hot
def set_state(worker: Worker, tcb: Tcb, state: int) -> None:
    """Change the state, and the gauge of established connections (RFC 4022 tcpCurrEstab) with it."""
    before = 1 if tcb.state == ESTABLISHED or tcb.state == CLOSE_WAIT else 0
    after = 1 if state == ESTABLISHED or state == CLOSE_WAIT else 0
    if before != after:
        count(worker, CURR_ESTAB, after - before)
    tcb.state = state


@hot
def end(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Leave the index and the timers, and give back what was to be sent. Sets CLOSED."""
    if tcb.state != LISTEN:
        buddy = Buddy(endpoints_of(worker).buddy)
        stream_free(buddy, tcb.send)
        ranges_free(buddy, tcb.beyond)
        recovery_close(worker, tcp, tcb)
        disarm(tcp, tcb)
    leave(worker, tcp, tcb)
    leave_owner(worker, Identity(tcb.address))
    fast_open_over(tcp, tcb)
    tcb.retransmit_at, tcb.ack_at, tcb.alarm_at = NEVER, NEVER, NEVER
    set_state(worker, tcb, CLOSED)


@cold
def finish_tcb(worker: Worker, tcp: Tcp, tcb: Tcb, error: int) -> None:
    """The connection is over; `error` is the errno the application hears, 0 for none. Frees an orphan's record.

    One that waits to be accepted is no orphan: it stays on its listener's queue, and keeps the errno in `probes`.
    """
    if tcb.state == CLOSED or tcb.state == FREE:
        return
    queued = tcb.flags & PASSIVE != 0 and not is_half_open(tcb)
    end(worker, tcp, tcb)
    if tcb.socket == ANY_NUMBER:
        if queued:
            tcb.probes = error
        else:
            tcb_free(worker, tcp, tcb)
        return
    endpoints = endpoints_of(worker)
    if error != 0:
        endpoints.sockets[tcb.socket].error = error
        socket_event(endpoints, tcb.socket, FAILED)
    socket_event(endpoints, tcb.socket, READABLE | WRITABLE | ENDED | HUNG_UP)


@leaf
def is_half_open(tcb: Tcb) -> bool:
    """Whether the connection is a listener's and not on its queue yet."""
    return tcb.state == SYN_RECEIVED and tcb.flags & PASSIVE != 0 and tcb.agreed & FAST_OPEN == 0


@hot
def fast_open_over(tcp: Tcp, tcb: Tcb) -> None:
    """The handshake of a connection that was opened fast has ended, one way or the other."""
    rare = rare_of(tcp, tcb)
    if rare.address == 0 or rare.listener == 0:
        return
    number = rare.listener - 1
    rare.listener = 0
    tcp.listeners[number].fast_opens -= 1
    listener_less(tcp, number)


@hot
def drop_half_open(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """A connection of a listener that has not come about: back to LISTEN, which keeps nothing of it."""
    listener_less(tcp, tcb.accept_next)
    tcb.accept_next = NO_TCB
    finish_tcb(worker, tcp, tcb, 0)


@hot
def listener_less(tcp: Tcp, number: int) -> None:
    """One half-open connection less; the record of a listener that is closed goes with the last."""
    listener = tcp.listeners[number]
    if listener.half_open > 0:
        listener.half_open -= 1
    if listener.half_open == 0 and listener.listening == 0:
        listener_remove(tcp, number)


@leaf
def orphan(endpoints: Endpoints, tcb: Tcb) -> None:
    """The application has closed the socket; the connection goes on without."""
    socket_release(endpoints, tcb.socket)
    tcb.socket = ANY_NUMBER


# --- the accept queue ---------------------------------------------------------------------------------------------


@hot
def accept_push(worker: Worker, tcp: Tcp, listener: Listener, tcb: Tcb) -> None:
    """An established connection waits to be accepted; its listener becomes readable."""
    tcb.accept_next = NO_TCB
    if listener.last == NO_TCB:
        listener.first = tcb.index
    else:
        tcp.tcbs[listener.last].accept_next = tcb.index
    listener.last = tcb.index
    listener.waiting += 1
    socket_event(endpoints_of(worker), listener.socket, READABLE)


@hot
def accept_pop(tcp: Tcp, listener: Listener) -> Tcb:
    """The connection that has waited longest; address 0 when there is none."""
    if listener.first == NO_TCB:
        return Tcb(0)
    tcb = tcp.tcbs[listener.first]
    listener.first = tcb.accept_next
    if listener.first == NO_TCB:
        listener.last = NO_TCB
    listener.waiting -= 1
    tcb.accept_next = 0
    tcb.flags &= ~PASSIVE
    return tcb
