"""What happens by time: each room's own timers, each bounded per turn."""

from __future__ import annotations

from pronghorn.compiled import leaf
from pronghorn.state.worker import Worker


@leaf
def timers(worker: Worker) -> None:
    """Run what is due at worker.now."""
