"""What happens by time: each room's own timers, each bounded per turn."""

from __future__ import annotations

from pronghorn.balancer.timers import balancer_next, balancer_timers
from pronghorn.compiled import hot, leaf
from pronghorn.engine.transports import transports_next, transports_timers
from pronghorn.net.fragments import fragment_next, fragment_timers
from pronghorn.net.group_reports import groups_timers
from pronghorn.net.groups import groups_of
from pronghorn.net.state import net_of
from pronghorn.net.timers import net_next, net_timers
from pronghorn.programs.mourning import programs_next, programs_timers
from pronghorn.state.worker import Worker, wake_at


@leaf
def timers(worker: Worker) -> int:
    """Run what is due at worker.now. Returns 1 when so much is due that the next turn has to go on at once."""
    if worker.net != 0:
        net_timers(worker)
        fragment_timers(worker)
        groups_timers(worker)
    more = transports_timers(worker) if worker.transports != 0 else 0
    if worker.programs != 0:
        more |= programs_timers(worker)
    return balancer_timers(worker) | more


@hot
def set_alarm(worker: Worker) -> None:
    """After a turn without work: the earliest time at which one of the rooms has something to do, into worker.due."""
    if worker.net != 0:
        wake_at(worker, net_next(worker))
        wake_at(worker, fragment_next(worker))
        if groups_of(net_of(worker)).next != 0:
            wake_at(worker, groups_of(net_of(worker)).next)
    if worker.balancer != 0:
        wake_at(worker, balancer_next(worker))
    if worker.transports != 0:
        wake_at(worker, transports_next(worker))
    if worker.programs != 0:
        wake_at(worker, programs_next(worker))
