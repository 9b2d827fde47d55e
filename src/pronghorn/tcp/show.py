"""Connections and listeners for people: records that somebody wants to see are copied, as they are, piece by piece.

A copy does not change while it is read. What it says may have been torn when the worker wrote at the same moment: the
figures of one connection may be a segment apart.
"""

from __future__ import annotations

from pronghorn.compiled import Array, copy, entry
from pronghorn.state.selection import SCAN, Selection, in_state, selects
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import FREE, LISTEN, Listener, Tcb, tcp_of


@entry
def show_connections(worker: Worker, selection: Selection, rows: Array[Tcb], room: int) -> int:
    """Copy up to `room` connections from record selection.next on; how many. selection.next says where to go on."""
    tcp, count = tcp_of(worker), 0
    number, end = selection.next, tcp.fresh
    last = min(end, number + SCAN)
    while number < last and count < room:
        tcb = tcp.tcbs[number]
        number += 1
        state = tcb.state
        if state == FREE or state == LISTEN or not in_state(selection, state):
            continue
        if selects(
            selection, tcb.local_hi, tcb.local_lo, tcb.local_port, tcb.remote_hi, tcb.remote_lo, tcb.remote_port
        ):
            copy(rows[count].address, tcb.address, Tcb.SIZE)
            count += 1
    selection.next = number
    selection.done = 1 if number >= end else 0
    return count


@entry
def show_listeners(worker: Worker, selection: Selection, rows: Array[Listener], room: int) -> int:
    """The same for sockets that listen."""
    tcp, count = tcp_of(worker), 0
    number, end = selection.next, tcp.listener_limit
    last = min(end, number + SCAN)
    while number < last and count < room:
        listener = tcp.listeners[number]
        number += 1
        if listener.listening == 0:
            continue
        if selects(selection, listener.hi, listener.lo, listener.port, listener.hi, listener.lo, 0):
            copy(rows[count].address, listener.address, Listener.SIZE)
            count += 1
    selection.next = number
    selection.done = 1 if number >= end else 0
    return count
