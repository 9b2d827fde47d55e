"""A burst of received packets to their verdicts: look ahead twice, then one packet after the other.

Each look-ahead pass is kept because a measurement shows what it buys (docs/adr/0005): with many connections the flow
index and the flows are not in the cache, and the passes let the memory work on all packets of the burst at once.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import flow_prefetch
from pronghorn.compiled import hot
from pronghorn.input.ethernet import frame_input
from pronghorn.input.look_ahead import look_ahead
from pronghorn.state.packet import PREPARED, Packet
from pronghorn.state.packets import finish
from pronghorn.state.worker import Worker


@hot
def handle(worker: Worker, count: int) -> None:
    """Every packet of worker.burst to its verdict."""
    if worker.balancer != 0:
        for place in range(count):
            look_ahead(worker, Packet(worker.burst[place]))
        for place in range(count):
            packet = Packet(worker.burst[place])
            if packet.flags & PREPARED != 0:
                flow_prefetch(worker, packet)
    for place in range(count):
        packet = Packet(worker.burst[place])
        finish(worker, packet, frame_input(worker, worker.ports[packet.port], packet))
