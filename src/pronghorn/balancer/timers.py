"""What time does to connections, a bounded amount per turn.

Timers are lazy. A data packet only notes its tick in its flow; when the connection's timer expires, the later of
its two flows says whether it was really idle for its state's timeout, and if not the timer is set again. So an open
connection that is never idle costs one look per timeout.

After a server or a local address was removed, a sweep over the table ends the connections that used it.
"""

from __future__ import annotations

from pronghorn.balancer.conns import end_conn
from pronghorn.balancer.tables import EXPIRED, SERVER_REMOVED, TICK, Balancer
from pronghorn.compiled import hot, leaf, sequence
from pronghorn.memory.wheel import Wheel, timer_add, wheel_advance, wheel_next
from pronghorn.state.worker import NEVER, Worker

SWEEP = 256
"""Connections that a sweep looks at per turn."""


@leaf
def balancer_timers(worker: Worker) -> int:
    """Run what is due at worker.now. Returns 1 when there is more to do at once, and the worker is not to sleep."""
    return run_timers(worker, Balancer(worker.balancer)) if worker.balancer != 0 else 0


@leaf
def balancer_next(worker: Worker) -> int:
    """When (ns) balancer_timers next has something to do; NEVER when no connection is open."""
    wheel = Wheel(Balancer(worker.balancer).wheel)
    return NEVER if wheel.count == 0 else wheel_next(wheel) << TICK


@hot
def run_timers(worker: Worker, balancer: Balancer) -> int:
    """End connections that were idle for their timeout; go on with a sweep. Returns 1 when either is not done yet."""
    tick = worker.now >> TICK
    wheel = Wheel(balancer.wheel)
    if wheel.tick < tick:
        for place in range(wheel_advance(wheel, tick, balancer.expired, EXPIRED)):
            expire(balancer, balancer.expired[place], tick)
    if balancer.sweep_left != 0:
        sweep(balancer)
    return 1 if wheel.tick < tick or balancer.sweep_left != 0 else 0


@hot
def expire(balancer: Balancer, number: int, tick: int) -> None:
    """The connection's timer has expired: end it, or set the timer again."""
    idle = idle_ticks(balancer, number, tick)
    timeout = balancer.timeouts[balancer.conns[number].state]
    if idle >= timeout:
        end_conn(balancer, number)
    else:
        timer_add(Wheel(balancer.wheel), number, tick + timeout - idle)


@hot
def idle_ticks(balancer: Balancer, number: int, tick: int) -> int:
    """Ticks since the last packet of the connection, in either direction."""
    request, reply = balancer.flows[2 * number].seen, balancer.flows[2 * number + 1].seen
    last = reply if sequence.after(reply, request) else request
    return sequence.difference(tick, last)


@hot
def sweep(balancer: Balancer) -> None:
    """Look at the next connections; end those whose server or local address was removed."""
    count = min(SWEEP, balancer.sweep_left)
    number = balancer.sweep
    for _ in range(count):
        conn = balancer.conns[number]
        if conn.state != 0 and (
            balancer.servers[conn.server].state == SERVER_REMOVED or balancer.locals[conn.local].state == SERVER_REMOVED
        ):
            end_conn(balancer, number)
        number += 1
    balancer.sweep = number
    balancer.sweep_left -= count
