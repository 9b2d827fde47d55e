"""What this host sends to itself: a datagram to one of its own addresses, and its own copy of one to a group.

The packet never leaves: the socket's copy is made from it where it is.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot
from pronghorn.state.endpoints import FAILED, endpoints_of, socket_event
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import CONSUMED, NO_LISTENER
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import CONNECTED, Endpoint, udp_of
from pronghorn.udp.input import group_input, note_arrival, udp_input
from pronghorn.wire.numbers import PROTOCOL_UDP
from pronghorn.wire.udp import HEADER, UDP

ECONNREFUSED = errno.ECONNREFUSED


@hot
def loop_back(worker: Worker, endpoint: Endpoint, packet: Packet) -> int:
    """A packet to one of our own addresses. Returns the verdict; an echo request is not answered."""
    if packet.protocol != PROTOCOL_UDP:
        return CONSUMED
    verdict = udp_input(worker, packet)
    if verdict == NO_LISTENER and endpoint.flags & CONNECTED != 0:
        endpoints = endpoints_of(worker)
        endpoints.sockets[endpoint.socket].error = ECONNREFUSED
        socket_event(endpoints, endpoint.socket, FAILED)
    return verdict


@hot
def loop_group(worker: Worker, packet: Packet) -> None:
    """A datagram of ours to a group: copies for the sockets here that take it (IP_MULTICAST_LOOP)."""
    if packet.protocol != PROTOCOL_UDP:
        return
    arrival, header = udp_of(worker).arrival, UDP(packet.transport)
    note_arrival(worker, arrival, packet)
    arrival.source_port, arrival.length = header.sport, header.length - HEADER
    group_input(worker, packet, header.dport)
