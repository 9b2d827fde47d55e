"""Ports that are joined without a stack: frames leave by the peer port, with or without their MAC addresses
exchanged."""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish
from pronghorn.state.port import Port
from pronghorn.state.transmit import transmit
from pronghorn.state.worker import Worker
from pronghorn.wire.ethernet import Ethernet, swap


@hot
def reflect(worker: Worker, port: Port, count: int) -> None:
    """Exchange the MAC addresses of the burst's frames and send them out of the peer port."""
    for place in range(count):
        packet = Packet(worker.burst[place])
        swap(Ethernet(packet.data))
        finish(worker, packet, transmit(worker, packet, port.peer))


@hot
def cross(worker: Worker, port: Port, count: int) -> None:
    """Send the burst's frames out of the peer port as they are."""
    for place in range(count):
        packet = Packet(worker.burst[place])
        finish(worker, packet, transmit(worker, packet, port.peer))
