"""A worker's inbox: packets that other workers steered here, and commands from the control plane.

One ring with many producers. An entry is a packet's index or a command's number, told apart by its tag. A command
ends `run`, and the worker's own thread carries it out between two turns: nothing else ever changes a worker's tables.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.engine.handle import handle
from pronghorn.engine.loop import COMMAND_ENTRY, ENTRY_TAG, Loop
from pronghorn.memory.mpsc_ring import mpsc_pop, mpsc_waiting
from pronghorn.net.group_merge import group_state_input
from pronghorn.state.packet import GROUP_STATE
from pronghorn.state.port import BURST
from pronghorn.state.worker import Worker


@hot
def take_inbox(worker: Worker) -> int:
    """Handle what came from other workers; returns how much. Stops at a command, which is left in loop.command."""
    loop = Loop(worker.loop)
    if not mpsc_waiting(loop.inbox) or loop.command != 0:
        return 0
    total = 0
    while total < BURST and loop.command == 0:
        count, popped = 0, 0
        while count < BURST - total:
            if mpsc_pop(loop.inbox, loop.entries, 1, worker.now) == 0:
                break
            popped += 1
            entry = loop.entries[0]
            if entry & ENTRY_TAG == COMMAND_ENTRY:
                loop.command = entry & 0xFFFFFFFF
                break
            packet = worker.packets[entry & 0xFFFFFFFF]
            if packet.flags & GROUP_STATE != 0:
                worker.received += 1
                group_state_input(worker, packet)
            else:
                worker.burst[count] = packet.address
                count += 1
        if count != 0:
            worker.received += count
            handle(worker, count)
        total += popped
        if popped == 0:
            break
    return total
