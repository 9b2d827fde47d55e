"""When a connection wants to be looked at: one lazy timer for all its deadlines.

A deadline is a field of the Tcb (ns; NEVER when it is not set). Whoever sets one calls `arm`. The timer in the wheel
never stands later than the earliest deadline, and may stand earlier: when it expires, timers.py looks at all of them
and adds it again. So a deadline that moves away with every acknowledgement costs nothing.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.memory.wheel import Wheel, timer_add, timer_cancel
from pronghorn.tcp.tcb import TICK, Tcb, Tcp


@leaf
def arm(tcp: Tcp, tcb: Tcb, when: int) -> None:
    """See to it that the connection is looked at at `when` ns, or before."""
    if tcb.timer.previous == 0 or tcb.timer.expires > (when >> TICK) + 1:
        _move(tcp, tcb, (when >> TICK) + 1)


@hot
def _move(tcp: Tcp, tcb: Tcb, tick: int) -> None:
    wheel = Wheel(tcp.wheel)
    timer_cancel(wheel, tcb.index)
    timer_add(wheel, tcb.index, tick)


@hot
def disarm(tcp: Tcp, tcb: Tcb) -> None:
    """The connection is over."""
    timer_cancel(Wheel(tcp.wheel), tcb.index)
