"""One turn of a worker's loop: the table of contents of the data plane.

output     what connections have to say that their applications did not, since the last turn
receive    a burst from each port's queue, and what other workers sent over
handle     look ahead over the burst (parse, hash, prefetch), then each packet to its verdict
timers     neighbours, fragments, connections
transmit   what was queued, port by port; and what other workers are to handle
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.engine.cross import cross, reflect
from pronghorn.engine.flush import flush
from pronghorn.engine.handle import handle
from pronghorn.engine.inbox import take_inbox
from pronghorn.engine.outbox import post
from pronghorn.engine.timers import set_alarm, timers
from pronghorn.engine.transports import transports_output
from pronghorn.input.program import programs_input
from pronghorn.ports.drivers import receive
from pronghorn.state.port import BURST, INPUT, PROGRAM, REFLECT, Port, Queue
from pronghorn.state.worker import NEVER, Worker


@hot
def turn(worker: Worker) -> int:
    """Everything that waits, once. worker.now is set. Returns how much work there was; when none, worker.due is set."""
    worker.due = NEVER
    work = transports_output(worker) if worker.transports != 0 else 0
    for index in range(worker.port_count):
        port, queue = worker.ports[index], worker.queues[index]
        if queue.driver != 0 and port.up != 0:
            work += serve(worker, port, queue)
    work += take_inbox(worker)
    work += timers(worker)
    if work == 0:
        set_alarm(worker)
    flush(worker)
    if worker.workers > 1:
        post(worker)
    return work


@hot
def serve(worker: Worker, port: Port, queue: Queue) -> int:
    """One burst of one port; returns how many packets it was."""
    count = receive(worker, port, queue, BURST)
    if count == 0:
        return 0
    worker.received += count
    if port.role == INPUT:
        handle(worker, count)
    elif port.role == PROGRAM:
        programs_input(worker, port, count)
    elif port.role == REFLECT:
        reflect(worker, port, count)
    else:
        cross(worker, port, count)
    return count
