"""The oldest of a socket's queued errors: the octets that it was about, and where those went (MSG_ERRQUEUE)."""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, copy, hot
from pronghorn.state.endpoints import Address, endpoints_of
from pronghorn.state.error_queue import error_drop, error_first
from pronghorn.state.parts import Part, parts_octets
from pronghorn.state.worker import Worker
from pronghorn.wire import ipv6

EAGAIN, EINVAL = errno.EAGAIN, errno.EINVAL


@hot
def receive_error(worker: Worker, number: int, parts: Array[Part], count: int, address: int) -> int:
    """Take the error: octets of what was sent, as far as they are known, or -EAGAIN. `address` is that of an Address
    for where it went, or 0."""
    endpoints = endpoints_of(worker)
    room = parts_octets(parts, count)
    if room < 0:
        return -EINVAL
    record = error_first(endpoints, number)
    if record.address == 0:
        return -EAGAIN
    octets, done, place = min(record.octets, room), 0, 0
    while done < octets:
        size = min(parts[place].octets, octets - done)
        copy(parts[place].base, record.payload.address + done, size)
        done += size
        place += 1
    if address != 0:
        to = Address(address)
        to.hi, to.lo, to.port, to.family = record.to_hi, record.to_lo, record.to_port, record.family
        to.interface = record.interface + 1 if ipv6.is_link_local(record.to_hi) else 0
    error_drop(endpoints, number)
    return octets
