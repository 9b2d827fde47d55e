"""Records of what few connections need, and those seldom (tcb.py's Rare): a Tcb names its own by number, 0 being none.

    rare_of(tcp, tcb)       the connection's record; address 0 when it has none
    rare_take(tcp, tcb)     the same, made when there is none; address 0 when there are no more
    rare_drop(tcp, tcb)     with the connection

An idle connection has none, so that what one connection in a thousand needs costs the others nothing. Their number is
bounded: whoever gets none does without, which each user of a record explains.
"""

from __future__ import annotations

from pronghorn.compiled import fill, hot, leaf
from pronghorn.tcp.records import Rare
from pronghorn.tcp.tcb import NO_TCB, Tcb, Tcp


@leaf
def rare_of(tcp: Tcp, tcb: Tcb) -> Rare:
    """The connection's record; address 0: it has none."""
    return Rare(tcp.rares[tcb.rare].address if tcb.rare != 0 else 0)


@hot
def rare_take(tcp: Tcp, tcb: Tcb) -> Rare:
    """The connection's record, all zero when it is new; address 0 when there are no more."""
    number = tcb.rare
    if number != 0:
        return tcp.rares[number]
    number = tcp.rare_free
    if number != NO_TCB:
        tcp.rare_free = tcp.rares[number].next
    else:
        number = tcp.rare_fresh
        if number >= tcp.rare_limit:
            return Rare(0)
        tcp.rare_fresh = number + 1
    fill(tcp.rares[number].address, 0, Rare.SIZE)
    tcb.rare = number
    return tcp.rares[number]


@hot
def rare_drop(tcp: Tcp, tcb: Tcb) -> None:
    """The connection needs it no more."""
    if tcb.rare != 0:
        tcp.rares[tcb.rare].next = tcp.rare_free
        tcp.rare_free = tcb.rare
        tcb.rare = 0
