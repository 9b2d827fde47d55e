"""The end of a turn, towards other workers: what waits on outboxes goes into their inboxes, and sleepers are woken."""

from __future__ import annotations

from pronghorn.compiled import external, hot, i32, i64, store64, u64
from pronghorn.engine.loop import Loop
from pronghorn.memory.mpsc_ring import mpsc_must_wake, mpsc_push
from pronghorn.state.dispatch import Outbox, outbox
from pronghorn.state.packets import finish
from pronghorn.state.verdicts import DISPATCH_FULL
from pronghorn.state.worker import Worker

write = external("write", (i32, u64, u64), i64)


@hot
def post(worker: Worker) -> None:
    """Push every outbox that has something waiting."""
    for owner in range(worker.workers):
        box = outbox(worker, owner)
        if box.waiting != 0:
            _push(worker, box, owner)


@hot
def _push(worker: Worker, box: Outbox, owner: int) -> None:
    count = box.waiting
    taken = mpsc_push(box.end, box.entries, count)
    worker.dispatched += taken
    for place in range(taken, count):
        finish(worker, worker.packets[box.entries[place]], DISPATCH_FULL)
    box.waiting = 0
    if mpsc_must_wake(box.end):
        loop = Loop(worker.loop)
        store64(loop.entries.address, 1)
        write(loop.wake_fds[owner], loop.entries.address, 8)
