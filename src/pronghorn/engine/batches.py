"""What an event loop takes in one call: which sockets of an epoll set have something, and the octets of those streams
that want them delivered.

A caller that pays for every call (Python does) would ask for readiness, then for each socket's data; here that is one
call per turn of its loop. Sockets whose word in the set has DELIVER are streams that are read into the caller's buffer;
of all others only the events are told.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, View, array_at, entry, hot, i64, u32, u64
from pronghorn.engine.interests import epoll_collect
from pronghorn.state.endpoints import STREAM, endpoints_of, socket_number
from pronghorn.state.interests import EPOLLIN
from pronghorn.state.worker import Worker
from pronghorn.tcp.calls import tcp_receive

EAGAIN = errno.EAGAIN
DELIVER = 1 << 62
"""In a socket's word (which otherwise is its handle): read the stream for me."""

MOST = 1 << 18
"""Octets delivered of one stream in one call, at most: the others wait for their turn."""


class Delivery(View, align=8, size=32):
    """One socket of the set."""

    handle: u64
    events: u32  # EPOLL*
    unused: u32
    octets: i64  # read; 0: the other side has ended; minus an errno: -EAGAIN when nothing was read
    place: u64  # where in the buffer


class Found(View, align=8, size=16):
    """A struct epoll_event with a stride of 16."""

    events: u32
    unused: u32
    data: u64


@entry
def deliver(worker: Worker, epoll: int, target: Array[Delivery], room: int, buffer: int, octets: int) -> int:
    """Write up to `room` sockets of the epoll set that are ready: how many. Data goes to the `octets` at `buffer`.

    The events are collected into `target` first, so a stream whose data finds no room is told without and comes again.
    """
    count = epoll_collect(worker, epoll, target.address + (Delivery.SIZE - Found.SIZE) * room, room, Found.SIZE)
    used = 0
    events: Array[Found] = array_at(Found, target.address + (Delivery.SIZE - Found.SIZE) * room)
    for place in range(max(count, 0)):
        happened, word = events[place].events, events[place].data
        delivery = target[place]
        delivery.handle, delivery.events, delivery.unused = word & ~DELIVER, happened, 0
        delivery.octets, delivery.place = -EAGAIN, used
        if word & DELIVER != 0 and happened & EPOLLIN != 0 and used < octets:
            got = _read(worker, word & ~DELIVER, buffer + used, min(octets - used, MOST))
            delivery.octets = got
            used += max(got, 0)
    return count


@hot
def _read(worker: Worker, handle: int, buffer: int, octets: int) -> int:
    endpoints = endpoints_of(worker)
    number = socket_number(endpoints, handle)
    if number < 0:
        return number
    if endpoints.sockets[number].kind != STREAM:
        return -EAGAIN
    return tcp_receive(worker, number, buffer, octets, 0)
