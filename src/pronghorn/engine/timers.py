"""What happens by time: each room's own timers, each bounded per turn."""

from __future__ import annotations

from pronghorn.balancer.timers import balancer_timers
from pronghorn.compiled import leaf
from pronghorn.net.fragments import fragment_timers
from pronghorn.net.timers import net_timers
from pronghorn.state.worker import Worker


@leaf
def timers(worker: Worker) -> int:
    """Run what is due at worker.now. Returns 1 when so much is due that the next turn has to go on at once."""
    if worker.net != 0:
        net_timers(worker)
        fragment_timers(worker)
    return balancer_timers(worker)
