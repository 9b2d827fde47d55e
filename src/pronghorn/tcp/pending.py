"""Connections to look at when the next turn begins: a list in order of arrival, each connection once.

What a burst of segments makes a connection want to say (acknowledgements, data that the window now permits) is said
once, when all of the burst has been taken in.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
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


@hot
def take_pending(tcp: Tcp) -> Tcb:
    """Take the first one off the list; there is one."""
    tcb = tcp.tcbs[tcp.pending_first]
    tcp.pending_first = tcb.next
    tcp.pending_count -= 1
    tcb.flags &= ~PENDING
    tcb.next = NO_TCB
    return tcb
