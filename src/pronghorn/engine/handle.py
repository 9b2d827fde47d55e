"""A burst of received packets to their verdicts."""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish
from pronghorn.state.port import Port
from pronghorn.state.verdicts import NOT_FOR_US
from pronghorn.state.worker import Worker


@hot
def handle(worker: Worker, port: Port, count: int) -> None:
    """Every packet of worker.burst to its verdict."""
    for place in range(count):
        packet = Packet(worker.burst[place])
        finish(worker, packet, NOT_FOR_US)
