"""What waits to be read: datagrams on a ring from the worker's Buddy, each behind its `Arrival`.

Every datagram begins at a multiple of 8 positions. The limit counts octets and an overhead for each, as SO_RCVBUF does;
a socket that holds nothing takes one of any length. A ring that has become empty is given back. The last sixteenth of
the worker's memory is not for datagrams: TCP needs it to get out of memory pressure (tcp/pressure.py).
"""

from __future__ import annotations

from pronghorn.compiled import Array, hot, leaf
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.stream import stream_free, stream_get, stream_put, stream_reserve, stream_size
from pronghorn.state.endpoints import Endpoints
from pronghorn.state.parts import Part
from pronghorn.state.verdicts import DELIVERED, SOCKET_FULL, SOCKET_NO_MEMORY
from pronghorn.udp.endpoint import OVERHEAD, Arrival, Endpoint


@leaf
def span_of(length: int) -> int:
    """Positions that a datagram of this length takes."""
    return Arrival.SIZE + (length + 7 & ~7)


@hot
def queue_put(endpoints: Endpoints, endpoint: Endpoint, arrival: Arrival, payload: int) -> int:
    """Add a datagram of arrival.length octets at `payload`. DELIVERED, SOCKET_FULL or SOCKET_NO_MEMORY."""
    length = arrival.length
    if endpoint.held + length + OVERHEAD > endpoint.receive_limit and endpoint.waiting != 0:
        return SOCKET_FULL
    buddy = Buddy(endpoints.buddy)
    used = endpoint.write - endpoint.read & 0xFFFF_FFFF
    span = span_of(length)
    if used + span > stream_size(endpoint.queue):
        if buddy.used > buddy.limit - (buddy.limit >> 4):
            return SOCKET_NO_MEMORY
        if not stream_reserve(buddy, endpoint.queue, endpoint.read, used, used + span):
            return SOCKET_NO_MEMORY
    write = endpoint.write
    stream_put(buddy, endpoint.queue, write, arrival.address, Arrival.SIZE)
    stream_put(buddy, endpoint.queue, write + Arrival.SIZE, payload, length)
    endpoint.write = write + span
    endpoint.waiting += 1
    endpoint.held += length + OVERHEAD
    return DELIVERED


@hot
def queue_peek(endpoints: Endpoints, endpoint: Endpoint, arrival: Arrival) -> None:
    """Read the header of the first datagram; there is one."""
    stream_get(Buddy(endpoints.buddy), endpoint.queue, endpoint.read, arrival.address, Arrival.SIZE)


@hot
def queue_read(endpoints: Endpoints, endpoint: Endpoint, parts: Array[Part], octets: int) -> None:
    """Copy the first `octets` octets of the first datagram into the parts; both have as many."""
    buddy = Buddy(endpoints.buddy)
    position, place = endpoint.read + Arrival.SIZE, 0
    while octets > 0:
        size = min(parts[place].octets, octets)
        stream_get(buddy, endpoint.queue, position, parts[place].base, size)
        position += size
        octets -= size
        place += 1


@hot
def queue_drop(endpoints: Endpoints, endpoint: Endpoint, length: int) -> None:
    """The first datagram, of this length, is done with."""
    endpoint.read += span_of(length)
    endpoint.waiting -= 1
    endpoint.held -= length + OVERHEAD
    if endpoint.waiting == 0:
        queue_free(endpoints, endpoint)


@hot
def queue_free(endpoints: Endpoints, endpoint: Endpoint) -> None:
    """Forget what waits and give the memory back."""
    stream_free(Buddy(endpoints.buddy), endpoint.queue)
    endpoint.read, endpoint.write, endpoint.waiting, endpoint.held = 0, 0, 0, 0
