"""Connections to look at when the next turn begins: a list in order of arrival, each connection once.

What a burst of segments makes a connection want to say (acknowledgements, data that the window now permits) is said
once, when all of the burst has been taken in.

A connection that finds a link full is held: it waits on the list for room, and others that want the same link queue up
behind it, whoever calls for them; one that has sent before it found the link full goes behind all. So they share the
room on the link in turns. A list of held connections alone is no work to be done at once: what is on the link will be
answered, and then is the time.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.net.state import net_of
from pronghorn.ports.direct import FULL
from pronghorn.state.worker import Worker
from pronghorn.tcp.emit import link_room, route
from pronghorn.tcp.tcb import NO_TCB, PENDING, Tcb, Tcp


@leaf
def look_at(tcp: Tcp, tcb: Tcb) -> None:
    """Put the connection on the list."""
    if tcb.flags & PENDING == 0:
        _push(tcp, tcb)


@hot
def _push(tcp: Tcp, tcb: Tcb) -> None:
    tcb.flags |= PENDING
    tcb.next = NO_TCB
    if tcp.pending_count == 0:
        tcp.pending_first = tcb.index
    else:
        tcp.tcbs[tcp.pending_last].next = tcb.index
    tcp.pending_last = tcb.index
    tcp.pending_count += 1


@leaf
def is_held(worker: Worker, tcp: Tcp, tcb: Tcb, octets: int) -> bool:
    """Whether the connection has to wait before it sends a segment with so much payload; it is on the list then."""
    index = route(worker, tcb)
    if index < 0:
        return False
    port = net_of(worker).neighbours[index].port
    if link_room(worker, index, octets) != FULL and (tcp.held.count == 0 or tcp.held.port != port):
        return False
    _hold(tcp, tcb, port)
    return True


@hot
def _hold(tcp: Tcp, tcb: Tcb, port: int) -> None:
    if tcb.flags & PENDING != 0:
        return
    if tcp.held.flushing != 0 and tcp.held.last == 0 and tcb.snd_nxt != tcp.held.began:
        tcb.flags |= PENDING
        tcp.held.last = tcb.index + 1
    else:
        _push(tcp, tcb)
    tcp.held.count += 1
    tcp.held.port = port


@hot
def put_last(tcp: Tcp) -> None:
    """The list was gone through: now it is the turn of whoever was to be behind all."""
    tcp.held.flushing = 0
    if tcp.held.last != 0:
        _push(tcp, tcp.tcbs[tcp.held.last - 1])
        tcp.held.last = 0


@hot
def take_pending(tcp: Tcp) -> Tcb:
    """Take the first one off the list; there is one."""
    tcb = tcp.tcbs[tcp.pending_first]
    tcp.pending_first = tcb.next
    tcp.pending_count -= 1
    tcb.flags &= ~PENDING
    tcb.next = NO_TCB
    return tcb
