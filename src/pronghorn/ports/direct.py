"""Frames that are written straight into the memory of a link: what they carry is copied once, from where it waits.

    direct_room(worker, port, octets) == ROOM                  # a frame of so many octets will fit
    place = direct_begin(worker, port, octets)                 # where it is to lie; 0: not any more
    copy(place + packet.length, source, rest)                  # all but the headers
    direct_end(worker, port, packet, place, octets)            # the packet holds the headers, and is done with

Links to another process with one queue on the other side are such links, once they are up and the other side takes
offloads. Frames that wait on the queue go first. Between begin and end nothing else may be sent by the port.
"""

from __future__ import annotations

from pronghorn.compiled import fence, hot, leaf
from pronghorn.memory.ring import ring_must_wake
from pronghorn.ports.flush import flush_queue
from pronghorn.ports.veth import VethQueue
from pronghorn.ports.veth_lane import UP, LaneEnd, lane_begin, lane_break, lane_end, lane_fits, lane_ready
from pronghorn.ports.veth_link import LinkQueue, write
from pronghorn.ports.veth_rings import CONSENT
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish
from pronghorn.state.port import VETH, Queue
from pronghorn.state.verdicts import LINK_BROKEN, TRANSMITTED
from pronghorn.state.worker import Worker

OTHER, FULL, ROOM = range(3)
"""What direct_room says: the port is not such a link; it has no room now; it has."""

_SMALL = 2048
"""Octets that a frame on the queue takes of the link, about."""


@leaf
def direct_room(worker: Worker, port: int, octets: int) -> int:
    """Whether the port is a link that takes a frame of `octets` directly: OTHER, FULL or ROOM."""
    if worker.ports[port].kind != VETH or worker.ports[port].up == 0 or worker.queues[port].driver == 0:
        return OTHER
    return _link_room(worker.queues[port], octets)


@hot
def _link_room(queue: Queue, octets: int) -> int:
    own = VethQueue(queue.driver)
    if own.outlet != 0 or own.link == 0:
        return OTHER
    own.busy = 1
    fence()  # as veth_transmit
    result, link = OTHER, own.link
    if link != 0 and LinkQueue(link).outgoing_count == 1:
        result = _lane_room(LinkQueue(link).outgoing[0], queue.waiting, octets)
    own.busy = 0
    return result


@leaf
def _lane_room(lane: LaneEnd, waiting: int, octets: int) -> int:
    if not lane_ready(lane) or lane.consent != CONSENT:
        return OTHER
    fits = lane_fits(lane, waiting + 1, octets + _SMALL * waiting)
    if lane.end.broken != 0:
        lane_break(lane)
        return OTHER
    return ROOM if fits else FULL


@hot
def direct_begin(worker: Worker, port: int, octets: int) -> int:
    """Room for a frame of `octets`, after those that wait: its address, and direct_end has to follow. 0: there is none.

    direct_room has said ROOM in this turn.
    """
    queue = worker.queues[port]
    if queue.waiting != 0:
        flush_queue(worker, worker.ports[port], queue)
    own = VethQueue(queue.driver)
    own.busy = 1
    fence()
    link = own.link
    if link != 0:
        lane = LinkQueue(link).outgoing[0]
        place = lane_begin(lane, octets) if lane.state == UP else 0
        if place != 0:
            return place
    own.busy = 0
    return 0


@hot
def direct_end(worker: Worker, port: int, packet: Packet, place: int, octets: int) -> None:
    """The frame of `octets` at `place` is complete but for the packet's octets, which go in front."""
    queue = worker.queues[port]
    own = VethQueue(queue.driver)
    link = LinkQueue(own.link)
    lane = link.outgoing[0]
    verdict = LINK_BROKEN
    if lane_end(lane, packet, place, octets):
        verdict = TRANSMITTED
        queue.tx_packets += 1
        queue.tx_octets += octets
        if ring_must_wake(lane.end):
            write(link.theirs[0], link.scratch.address, 1)
    own.busy = 0
    finish(worker, packet, verdict)
