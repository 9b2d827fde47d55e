"""Handing packets to other workers: the software half of steering.

A packet that another worker must handle waits on that worker's outbox until the end of the turn; then the engine
pushes the batch into the other's inbox (engine/outbox.py). Buffers move with the packet: the pool is shared, so
whoever ends it frees it.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, array_at, copy, fixed, hot, leaf, u32, u64
from pronghorn.memory.mpsc_ring import MpscEnd
from pronghorn.state.packet import ORIGINATED, REDIRECTED, Packet
from pronghorn.state.packets import allocate, release
from pronghorn.state.verdicts import DISPATCH_FULL, DISPATCHED
from pronghorn.state.worker import Worker

OUTBOX = 256
"""Packets that may wait for one other worker within a turn."""

COPIED = 1536
"""Octets of a frame that `tell_others` copies at most: messages of neighbours and routers, whole."""


class Outbox(View, align=64):
    """What goes to one other worker at the end of the turn."""

    end: MpscEnd  # producer's end of its inbox
    waiting: u32
    unused: u32
    entries: Array[u64] = fixed(OUTBOX, align=64)  # packet indexes


@leaf
def outbox(worker: Worker, owner: int) -> Outbox:
    """This worker's outbox for worker `owner`."""
    boxes: Array[Outbox] = array_at(Outbox, worker.steering)
    return boxes[owner]


@hot
def dispatch(worker: Worker, packet: Packet, owner: int) -> int:
    """Put the packet on the outbox for worker `owner`. Returns DISPATCHED, or DISPATCH_FULL which ends the packet."""
    box = outbox(worker, owner)
    waiting = box.waiting
    if waiting >= OUTBOX:
        return DISPATCH_FULL
    packet.flags |= REDIRECTED
    box.entries[waiting] = packet.index
    box.waiting = waiting + 1
    return DISPATCHED


@hot
def tell_others(worker: Worker, packet: Packet) -> None:
    """A copy of a short frame for every other worker: all of them keep neighbours and path MTUs. Best effort."""
    octets = min(packet.length, COPIED)
    for owner in range(worker.workers):
        if owner != worker.index:
            twin = allocate(worker)
            if twin.address == 0:
                return
            copy(twin.data, packet.data, octets)
            twin.length, twin.port, twin.vlan = octets, packet.port, packet.vlan
            twin.flags = packet.flags | ORIGINATED
            worker.originated += 1
            verdict = dispatch(worker, twin, owner)
            if verdict != DISPATCHED:
                worker.verdicts[verdict] += 1
                release(worker, twin)
