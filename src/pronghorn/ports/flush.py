"""What waits on a queue goes to its driver, and gets its verdict."""

from __future__ import annotations

from pronghorn.compiled import array_at, hot, u64
from pronghorn.ports.drivers import transmit_burst
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish
from pronghorn.state.port import Port, Queue
from pronghorn.state.verdicts import TRANSMIT_FULL, TRANSMITTED
from pronghorn.state.worker import Worker


@hot
def flush_queue(worker: Worker, port: Port, queue: Queue) -> None:
    """Transmit what waits on one queue; what the driver has no room for ends as TRANSMIT_FULL."""
    count = queue.waiting
    taken = transmit_burst(worker, port, queue, queue.burst, count)
    worker.verdicts[TRANSMITTED] += taken
    queue.tx_full += count - taken
    rest = array_at(u64, queue.burst.address + 8 * taken)
    for place in range(count - taken):
        finish(worker, Packet(rest[place]), TRANSMIT_FULL)
    queue.waiting = 0
