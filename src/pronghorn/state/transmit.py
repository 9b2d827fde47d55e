"""Putting a finished frame on its way out of a port. The burst is flushed at the end of the turn (engine/flush.py)."""

from __future__ import annotations

from pronghorn.compiled import leaf
from pronghorn.state.packet import Packet
from pronghorn.state.port import TRANSMIT_BURST
from pronghorn.state.verdicts import PORT_DOWN, QUEUED, TRANSMIT_FULL
from pronghorn.state.worker import Worker


@leaf
def transmit(worker: Worker, packet: Packet, port: int) -> int:
    """Queue the frame on `port`, an index below worker.port_count. QUEUED, or the verdict that ends the packet."""
    queue = worker.queues[port]
    waiting = queue.waiting
    if queue.driver == 0 or worker.ports[port].up == 0:
        return PORT_DOWN
    if waiting >= TRANSMIT_BURST:
        return TRANSMIT_FULL
    queue.burst[waiting] = packet.address
    queue.waiting = waiting + 1
    return QUEUED
