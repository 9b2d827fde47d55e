"""Connections and listeners for people: records that somebody wants to see are copied, as they are, piece by piece.

A copy does not change while it is read. What it says may have been torn when the worker wrote at the same moment: the
figures of one connection may be a segment apart.
"""

from __future__ import annotations

from pronghorn.compiled import Array, copy, entry, leaf
from pronghorn.state.selection import SCAN, Selection, in_state, selects
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import FREE, LISTEN, TIME_WAIT, Listener, Tcb, Tcp, Waiting, tcp_of


@entry
def show_connections(worker: Worker, selection: Selection, rows: Array[Tcb], room: int) -> int:
    """Copy up to `room` connections from record selection.next on; how many. selection.next says where to go on.

    Those in TIME_WAIT have no Tcb any more: `show_waiting`."""
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
def show_waiting(worker: Worker, selection: Selection, rows: Array[Waiting], room: int) -> int:
    """The same for what is left of connections in TIME_WAIT."""
    tcp, count = tcp_of(worker), 0
    number, end = selection.next, _waiting_places(tcp)
    last = min(end, number + SCAN)
    while number < last and count < room and in_state(selection, TIME_WAIT):
        waiting = tcp.waitings[number]
        number += 1
        hi, lo, port = waiting.local_hi, waiting.local_lo, waiting.local_port
        if port == 0 and waiting.remote_port == 0:
            continue
        if selects(selection, hi, lo, port, waiting.remote_hi, waiting.remote_lo, waiting.remote_port):
            copy(rows[count].address, waiting.address, Waiting.SIZE)
            count += 1
    selection.next = number
    selection.done = 1 if number >= end or not in_state(selection, TIME_WAIT) else 0
    return count


@leaf
def _waiting_places(tcp: Tcp) -> int:
    """Places of the ring that may hold something; those beyond were never touched."""
    head = tcp.waiting_head
    return head if tcp.waiting_tail <= head and head <= tcp.waiting_mask else tcp.waiting_mask + 1


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
