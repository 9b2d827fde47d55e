"""What time does to connections, a bounded amount per turn.

Timers are lazy. A data packet only notes its tick in its connection; when the timer expires, that says whether the
connection was really idle for its state's timeout, and if not the timer is set again. So an open
connection that is never idle costs one look per timeout.

After a server or a local address was removed, a sweep over the table ends the connections that used it; it also makes
them forget their next hops when the marks of these are used up (output.py).
"""

from __future__ import annotations

from pronghorn.balancer.conns import end_conn
from pronghorn.balancer.output import NO_TAG
from pronghorn.balancer.proxy_open import ask_again
from pronghorn.balancer.tables import (
    EXPIRED,
    NO_LOCAL,
    PROXIED,
    SERVER_REMOVED,
    SYN_SENT,
    TICK,
    WAYS,
    Balancer,
    server_of,
    timeout_of,
)
from pronghorn.balancer.templates import run_templates
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
    """When (ns) balancer_timers next has something to do; NEVER when no connection is open and no client remembered."""
    balancer = Balancer(worker.balancer)
    return min(_next(balancer.wheel), _next(balancer.template_wheel))


@leaf
def _next(address: int) -> int:
    wheel = Wheel(address)
    return NEVER if wheel.count == 0 else wheel_next(wheel) << TICK


@hot
def run_timers(worker: Worker, balancer: Balancer) -> int:
    """End connections that were idle for their timeout; go on with a sweep. Returns 1 when either is not done yet."""
    tick = worker.now >> TICK
    wheel = Wheel(balancer.wheel)
    if wheel.tick < tick:
        for place in range(wheel_advance(wheel, tick, balancer.expired, EXPIRED)):
            expire(worker, balancer, balancer.expired[place], tick)
    more = run_templates(balancer, tick) if Wheel(balancer.template_wheel).count != 0 else 0
    if balancer.sweep_left != 0:
        sweep(balancer)
    return 1 if wheel.tick < tick or balancer.sweep_left != 0 else more


@hot
def expire(worker: Worker, balancer: Balancer, number: int, tick: int) -> None:
    """The connection's timer has expired: end it, or set the timer again."""
    idle = idle_ticks(balancer, number, tick)
    state = balancer.records[number].state
    if state == SYN_SENT and balancer.conns[number].flags & WAYS == PROXIED:
        ask_again(worker, balancer, number)
        return
    timeout = timeout_of(balancer, balancer.conns[number], state)
    if idle >= timeout:
        if state == SYN_SENT:
            balancer.servers[server_of(balancer.conns[number])].unanswered += 1
        end_conn(balancer, number)
    else:
        timer_add(Wheel(balancer.wheel), number, tick + timeout - idle)


@hot
def idle_ticks(balancer: Balancer, number: int, tick: int) -> int:
    """Ticks since the last packet of the connection, in either direction."""
    return sequence.difference(tick, balancer.conns[number].seen)


@hot
def sweep(balancer: Balancer) -> None:
    """Look at the next numbers; end the connections whose server or local address was removed."""
    number, count = balancer.sweep, min(SWEEP, balancer.sweep_left)
    unused, used_again = balancer.fresh[0], balancer.conn_limit - balancer.fresh[1]
    if unused <= number < used_again:  # nobody has ever been there
        count = min(used_again - number, balancer.sweep_left)
        balancer.sweep += count
        balancer.sweep_left -= count
        return
    for _ in range(count):
        conn, record = balancer.conns[number], balancer.records[number]
        conn.hop = 0
        if record.state != 0 and is_orphan(balancer, number):
            end_conn(balancer, number)
        number += 1
    balancer.sweep = number
    balancer.sweep_left -= count
    if balancer.sweep_left == 0 and balancer.hop_tag == NO_TAG:
        balancer.hop_tag = 1


@hot
def is_orphan(balancer: Balancer, number: int) -> bool:
    """Whether the connection's server or local address was removed."""
    local = balancer.records[number].local
    if local != NO_LOCAL and balancer.locals[local].state == SERVER_REMOVED:
        return True
    return balancer.servers[server_of(balancer.conns[number])].state == SERVER_REMOVED
