"""`veth:NAME`, the data plane: two ends joined by rings; what goes into one comes out of the other.

Ends in one engine exchange packets (veth_rings.py); ends in two processes exchange octets (veth_link.py). An end
without a partner is a link that is down: it refuses what is sent. Between ends that consent, unfinished checksums and
unsegmented frames of 64 KB pass as they are; for an end that does not, the sender finishes and cuts.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, array_at, au32, au64, fence, hot, leaf, u64
from pronghorn.ports.veth_link import LinkQueue, link_receive, link_transmit
from pronghorn.ports.veth_rings import Inlet, Outlet, hand_over, inlet_receive
from pronghorn.state.packet import Packet
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker


class VethQueue(View, align=64, size=64):
    """A worker's end. Written by the control plane."""

    inlet: u64  # address of its Inlet
    outlet: au64  # address of its Outlet to the other end, in this engine; 0 while there is none
    link: au64  # address of its LinkQueue, when the other end is to be in another process; otherwise 0
    busy: au32  # 1 while the worker uses the link; whoever takes it away waits for 0


@hot
def veth_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """What the other end sent into worker.burst; returns how many."""
    own = VethQueue(queue.driver)
    received = inlet_receive(worker, queue, Inlet(own.inlet), room)
    if received != 0 or own.link == 0:
        return received
    own.busy = 1
    fence()
    link = own.link
    if link != 0:
        received = link_receive(worker, queue, LinkQueue(link), room)
    own.busy = 0
    return received


@hot
def veth_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """To the other end; returns how many went."""
    own = VethQueue(queue.driver)
    there = own.outlet
    if there == 0:
        return _transmit_far(worker, queue, own, packets, count)
    outlet = Outlet(there)
    outlet.busy = 1
    fence()  # whoever takes the outlet away stores 0, then loads busy: one of us sees the other
    if own.outlet != there:
        outlet.busy = 0
        return 0
    octets = burst_octets(packets, count)  # before: afterwards they are the receiver's
    taken = hand_over(worker, outlet, packets, count)
    outlet.busy = 0
    if taken < count:
        octets -= burst_octets(array_at(u64, packets.address + 8 * taken), count - taken)
    queue.tx_packets += taken
    queue.tx_octets += octets
    return taken


@hot
def _transmit_far(worker: Worker, queue: Queue, own: VethQueue, packets: Array[u64], count: int) -> int:
    """To the other process, if there is a link."""
    own.busy = 1
    fence()  # as above
    link = own.link
    taken = link_transmit(worker, queue, LinkQueue(link), packets, count) if link != 0 else 0
    own.busy = 0
    return taken


@leaf
def burst_octets(packets: Array[u64], count: int) -> int:
    """Octets in all the frames."""
    octets = 0
    for place in range(count):
        octets += Packet(packets[place]).length
    return octets
