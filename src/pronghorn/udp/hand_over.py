"""What waits in a datagram socket, as octets for the same socket in another engine: a forked child's.

    octets = udp_waiting_octets(worker, number)          # room that it takes
    udp_copy(worker, number, target, octets)             # nothing is taken away
    udp_put(other, number, source, octets, most)         # how many of them wait there now
    udp_drop(worker, number)                             # the first one: somebody else has read it

The octets are those of the ring: each datagram behind its Arrival, at a multiple of 8. Who reads which datagram is
agreed upon elsewhere (preload/shelves.c). Both processes are one program's; lengths are checked all the same.

Left out: errors that wait (MSG_ERRQUEUE) stay behind, as does what an application has put together but not sent.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import copy, hot
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.stream import stream_get
from pronghorn.state.endpoints import READABLE, endpoints_of, socket_event, socket_quiet
from pronghorn.state.verdicts import DELIVERED
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import READ_CLOSED, Arrival, endpoint_of, udp_of
from pronghorn.udp.queue import queue_drop, queue_peek, queue_put, span_of

EPROTO, EINVAL, EAGAIN = errno.EPROTO, errno.EINVAL, errno.EAGAIN


@hot
def udp_waiting_octets(worker: Worker, number: int) -> int:
    """Room that all datagrams take which wait; 0: there is none."""
    endpoint = endpoint_of(worker, number)
    return endpoint.write - endpoint.read & 0xFFFF_FFFF if endpoint.waiting != 0 else 0


@hot
def udp_copy(worker: Worker, number: int, target: int, room: int) -> int:
    """Write them to the address `target`: how many they are; -EINVAL: there is not so much room."""
    endpoint = endpoint_of(worker, number)
    octets = udp_waiting_octets(worker, number)
    if octets > room:
        return -EINVAL
    if octets > 0:
        stream_get(Buddy(endpoints_of(worker).buddy), endpoint.queue, endpoint.read, target, octets)
    return endpoint.waiting


@hot
def udp_put(worker: Worker, number: int, source: int, octets: int, most: int) -> int:
    """At most so many of those at the address `source` wait here as well: how many there was room for; -EPROTO: they
    are not whole."""
    endpoints, endpoint, arrival = endpoints_of(worker), endpoint_of(worker, number), udp_of(worker).arrival
    at, count = 0, 0
    while count < most and at < octets:
        if octets - at < Arrival.SIZE:
            return -EPROTO
        copy(arrival.address, source + at, Arrival.SIZE)
        if octets - at < span_of(arrival.length):
            return -EPROTO
        if queue_put(endpoints, endpoint, arrival, source + at + Arrival.SIZE) != DELIVERED:
            return count
        socket_event(endpoints, number, READABLE)
        at += span_of(arrival.length)
        count += 1
    return count


@hot
def udp_drop(worker: Worker, number: int) -> int:
    """The first one is gone; -EAGAIN: there is none."""
    endpoints, endpoint, taken = endpoints_of(worker), endpoint_of(worker, number), udp_of(worker).taken
    if endpoint.waiting == 0:
        return -EAGAIN
    queue_peek(endpoints, endpoint, taken)
    queue_drop(endpoints, endpoint, taken.length)
    if endpoint.waiting == 0 and endpoint.flags & READ_CLOSED == 0:
        socket_quiet(endpoints, number, READABLE)
    return 0
