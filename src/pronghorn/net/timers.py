"""What the room does as time passes: states of neighbours that end, and announcements that are due.

A sweep looks at a tenth of the neighbours' deadlines every SWEEP, so a state ends at most a tenth of a second late,
which its times of a second and more do not mind; the deadlines lie side by side, eight to a cache line. The work of a
call is bounded by the size of the table, and by BATCH announcements.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.net.errors import report_unreachable
from pronghorn.net.neighbours import enter
from pronghorn.net.resolve import RETRANSMIT
from pronghorn.net.solicit import announce, ask
from pronghorn.net.state import DELAY, FAILED, INCOMPLETE, PROBE, REACHABLE, SECOND, STALE, net_of
from pronghorn.net.waiting import end_waiting, take_waiting
from pronghorn.state.packets import finish
from pronghorn.state.verdicts import NEIGHBOUR_FAILED
from pronghorn.state.worker import NEVER, Worker

SWEEP = SECOND // 100
PARTS = 10
QUESTIONS = 3
"""Questions without an answer before a neighbour is given up (RFC 4861 section 10)."""
FAILED_TIME = 1 * SECOND
"""How long a neighbour that never answered is not asked for again."""
ANNOUNCE_INTERVAL = 2 * SECOND
BATCH = 32


@leaf
def net_timers(worker: Worker) -> None:
    """Once per turn: do what is due."""
    if worker.now >= net_of(worker).next_sweep:
        _sweep(worker)


@leaf
def net_next(worker: Worker) -> int:
    """When (ns) net_timers next has something to do, for a worker that wants to sleep: at most a second from now while
    any state ends by itself, NEVER when none does."""
    net = net_of(worker)
    if net.incomplete + net.probing + net.announcing > 0:
        return net.next_sweep
    return worker.now + SECOND if net.timed > 0 else NEVER


@hot
def _sweep(worker: Worker) -> None:
    net = net_of(worker)
    now = worker.now
    net.next_sweep = now + SWEEP
    high = net.neighbour_high
    cursor = net.cursor
    for _ in range(min(high, high // PARTS + 8)):
        cursor = cursor + 1 if cursor + 1 < high else 0
        deadline = net.deadlines[cursor]
        if deadline != 0 and deadline <= now:
            _expire(worker, cursor)
    net.cursor = cursor
    if net.announcing > 0:
        _announce_due(worker)


@hot
def _expire(worker: Worker, index: int) -> None:
    """The neighbour's state has ended (RFC 4861 7.3.3)."""
    net = net_of(worker)
    neighbour = net.neighbours[index]
    state = neighbour.state
    if state == REACHABLE:
        enter(net, index, STALE, 0)
    elif state == DELAY:
        neighbour.probes = 0
        enter(net, index, PROBE, worker.now + RETRANSMIT)
        ask(worker, index)
    elif neighbour.probes < QUESTIONS:
        enter(net, index, state, worker.now + RETRANSMIT)
        ask(worker, index)
    else:
        _fail(worker, index)


@hot
def _fail(worker: Worker, index: int) -> None:
    """Nobody answered. One that was known a moment ago may be asked for again at once, as if it were new."""
    net = net_of(worker)
    neighbour = net.neighbours[index]
    neighbour.retry = worker.now + (FAILED_TIME if neighbour.state == INCOMPLETE else 0)
    enter(net, index, FAILED, 0)
    if neighbour.waiting > 0:
        packet = take_waiting(worker, index)
        report_unreachable(worker, packet)
        finish(worker, packet, NEIGHBOUR_FAILED)
    end_waiting(worker, index, NEIGHBOUR_FAILED)


@hot
def _announce_due(worker: Worker) -> None:
    """Tell of new addresses, and of those that somebody else claims."""
    net = net_of(worker)
    sent = 0
    for index in range(net.owned_high):
        owned = net.owned[index]
        if owned.announcements > 0 and owned.announce_at <= worker.now:
            announce(worker, net, index)
            owned.announce_at = worker.now + ANNOUNCE_INTERVAL
            owned.announcements -= 1
            if owned.announcements == 0:
                net.announcing -= 1
            sent += 1
            if sent == BATCH:
                return
