"""The way out: the next hop is looked up once per flow, and again when the network has changed."""

from __future__ import annotations

from pronghorn.balancer.tables import Flow
from pronghorn.compiled import leaf
from pronghorn.state.packet import Packet
from pronghorn.state.transmit import transmit
from pronghorn.state.worker import Worker


@leaf
def send(worker: Worker, packet: Packet, flow: Flow) -> int:
    """Send the rewritten packet. Returns its verdict."""
    return transmit(worker, packet, packet.port ^ 1)
