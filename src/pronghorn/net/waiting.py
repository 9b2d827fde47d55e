"""Packets that wait for a neighbour's hardware address (RFC 4861 section 7.2.2), and the two stores that send one.

At most QUEUE packets wait for one neighbour, of which the newest are kept, and at most Net.waiting_limit for all: a
flood towards hosts that do not exist cannot empty the packet pool. A packet that waits is HELD.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, store64
from pronghorn.net.state import Neighbour, net_of
from pronghorn.state.packet import NO_PACKET, Packet
from pronghorn.state.packets import finish, hold, resume
from pronghorn.state.transmit import transmit
from pronghorn.state.verdicts import NEIGHBOUR_QUEUE_FULL
from pronghorn.state.worker import Worker
from pronghorn.wire.ethernet import HEADER

QUEUE = 4
"""Packets that may wait for one neighbour."""


@leaf
def frame_output(worker: Worker, packet: Packet, neighbour: Neighbour) -> int:
    """Write the neighbour's Ethernet header in front of packet.network and queue the frame. Returns the verdict."""
    frame_head(packet, neighbour)
    return transmit(worker, packet, neighbour.port)


@leaf
def frame_head(packet: Packet, neighbour: Neighbour) -> None:
    """The neighbour's Ethernet header in front of packet.network, where the frame begins from now on."""
    network = packet.network
    store64(network - HEADER, neighbour.head)
    store64(network - 8, neighbour.tail)
    start = network - HEADER
    packet.length += packet.data - start
    packet.data = start
    packet.out_port = neighbour.port


@hot
def wait(worker: Worker, packet: Packet, index: int) -> int:
    """Keep the packet until the neighbour's address is known. Returns HELD or NEIGHBOUR_QUEUE_FULL."""
    net = net_of(worker)
    neighbour = net.neighbours[index]
    if neighbour.waiting >= QUEUE:
        finish(worker, take_waiting(worker, index), NEIGHBOUR_QUEUE_FULL)
    elif net.waiting >= net.waiting_limit:
        return NEIGHBOUR_QUEUE_FULL
    packet.next = NO_PACKET
    if neighbour.waiting == 0:
        neighbour.first = packet.index
    else:
        worker.packets[neighbour.last].next = packet.index
    neighbour.last = packet.index
    neighbour.waiting += 1
    net.waiting += 1
    return hold(worker)


@hot
def take_waiting(worker: Worker, index: int) -> Packet:
    """Take the packet that has waited longest; there is one. It is no longer held."""
    net = net_of(worker)
    neighbour = net.neighbours[index]
    packet = worker.packets[neighbour.first]
    neighbour.first = packet.next
    neighbour.waiting -= 1
    net.waiting -= 1
    resume(worker)
    return packet


@hot
def send_waiting(worker: Worker, index: int) -> None:
    """The neighbour's address has become known: send what waits for it, in order."""
    neighbour = net_of(worker).neighbours[index]
    while neighbour.waiting > 0:
        packet = take_waiting(worker, index)
        finish(worker, packet, frame_output(worker, packet, neighbour))


@hot
def end_waiting(worker: Worker, index: int, verdict: int) -> None:
    """Nobody will send what waits for the neighbour: end it with `verdict`."""
    neighbour = net_of(worker).neighbours[index]
    while neighbour.waiting > 0:
        finish(worker, take_waiting(worker, index), verdict)
