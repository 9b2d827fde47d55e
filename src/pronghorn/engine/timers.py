"""What happens by time: each room's own timers, each bounded per turn."""

from __future__ import annotations

from pronghorn.balancer.timers import balancer_timers
from pronghorn.compiled import leaf
from pronghorn.net.fragments import fragment_timers
from pronghorn.net.timers import net_timers
from pronghorn.state.worker import Worker


@leaf
def timers(worker: Worker) -> None:
    """Run what is due at worker.now."""
    if worker.net != 0:
        net_timers(worker)
        fragment_timers(worker)
    if worker.balancer != 0:
        balancer_timers(worker)
