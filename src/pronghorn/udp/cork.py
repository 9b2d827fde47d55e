"""Datagrams put together from several sends (MSG_MORE, UDP_CORK): they leave when a send says that it was the last.

What was given so far lies in a block from the worker's Buddy, behind the Address that the first send gave: where the
others would go is not looked at, as in Linux. A datagram that gets too long is lost, and the send that did it is told.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, array_at, copy, hot, leaf
from pronghorn.memory.buddy import Buddy, buddy_address
from pronghorn.memory.stream import stream_free, stream_put, stream_reserve
from pronghorn.state.endpoints import Address, Endpoints
from pronghorn.state.parts import Part
from pronghorn.udp.endpoint import Endpoint, Udp

EMSGSIZE, ENOBUFS = errno.EMSGSIZE, errno.ENOBUFS
LONGEST = 65_527
"""Octets of payload that some datagram can have."""


@leaf
def is_pending(endpoint: Endpoint) -> bool:
    """Whether a datagram waits for its rest."""
    return endpoint.cork_octets != 0


@hot
def cork_begin(endpoints: Endpoints, endpoint: Endpoint, hi: int, lo: int, port: int, scope: int) -> bool:
    """A datagram to this address begins. False: no memory."""
    if not stream_reserve(Buddy(endpoints.buddy), endpoint.cork, 0, 0, Address.SIZE):
        return False
    to = Address(buddy_address(Buddy(endpoints.buddy), endpoint.cork.block))
    to.hi, to.lo, to.port, to.interface = hi, lo, port, scope
    endpoint.cork_octets = Address.SIZE
    return True


@hot
def cork_add(endpoints: Endpoints, endpoint: Endpoint, parts: Array[Part], count: int, octets: int) -> int:
    """More of the datagram, in so many parts. 0, or -errno: then it is lost."""
    buddy, used = Buddy(endpoints.buddy), endpoint.cork_octets
    if used - Address.SIZE + octets > LONGEST:
        cork_drop(endpoints, endpoint)
        return -EMSGSIZE
    if not stream_reserve(buddy, endpoint.cork, 0, used, used + octets):
        cork_drop(endpoints, endpoint)
        return -ENOBUFS
    for place in range(count):
        stream_put(buddy, endpoint.cork, used, parts[place].base, parts[place].octets)
        used += parts[place].octets
    endpoint.cork_octets = used
    return 0


@hot
def cork_part(endpoints: Endpoints, udp: Udp, endpoint: Endpoint, to: Address) -> Array[Part]:
    """The datagram's octets as one part, and where it goes."""
    at = buddy_address(Buddy(endpoints.buddy), endpoint.cork.block)
    copy(to.address, at, Address.SIZE)
    udp.part.base, udp.part.octets = at + Address.SIZE, endpoint.cork_octets - Address.SIZE
    parts: Array[Part] = array_at(Part, udp.part.address)
    return parts


@hot
def cork_drop(endpoints: Endpoints, endpoint: Endpoint) -> None:
    """The datagram has gone, or never goes."""
    stream_free(Buddy(endpoints.buddy), endpoint.cork)
    endpoint.cork_octets = 0
