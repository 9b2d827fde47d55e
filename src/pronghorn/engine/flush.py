"""The end of a turn: what waits on transmit bursts goes to the drivers."""

from __future__ import annotations

from pronghorn.compiled import leaf
from pronghorn.ports.flush import flush_queue
from pronghorn.state.worker import Worker


@leaf
def flush(worker: Worker) -> None:
    """Transmit on every port that has something waiting."""
    for index in range(worker.port_count):
        queue = worker.queues[index]
        if queue.waiting != 0:
            flush_queue(worker, worker.ports[index], queue)
