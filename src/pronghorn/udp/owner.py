"""Which worker a datagram belongs to: one that has its port.

Every worker has its own sockets. A flow of a connected socket is its worker's, if the port was bound
(state/owners.py). When this worker has the port and its device has a queue per worker, the device has decided; else of
the workers that have it, one by a hash of the flow, so that sockets bound on several workers share.
"""

from __future__ import annotations

from pronghorn.compiled import hot, load_be16
from pronghorn.state.owners import flow_owner, one_of, owners_of, packet_flow
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import udp_of
from pronghorn.wire.numbers import PROTOCOL_UDP


@hot
def datagram_owner(worker: Worker, packet: Packet) -> int:
    """Index of a worker that has the UDP packet's destination port; -1: none has."""
    users = udp_of(worker).users[load_be16(packet.transport + 2)]
    if users == 0:
        return -1
    owners = owners_of(worker)
    if owners.address != 0 and owners.count != 0:
        owner = flow_owner(owners, packet_flow(worker, packet), PROTOCOL_UDP)
        if owner >= 0:
            return owner
    if users >> worker.index & 1 != 0 and worker.ports[packet.port].queues >= worker.workers:
        return worker.index
    return one_of(users, packet_flow(worker, packet))
