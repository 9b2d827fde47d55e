"""Waiting for many sockets at once, as epoll(7) has it: what a C program asks (state/interests.py says how it works).

    set = epoll_open(worker)
    epoll_control(worker, set, EPOLL_CTL_ADD, handle, EPOLLIN, word)
    count = epoll_collect(worker, set, events, room, 12)         # struct epoll_event of x86-64
    count = epoll_sets_changed(worker, sets, room)               # whom to wake

A set has a handle as sockets do, and may be put into another set. Nothing waits here. A socket that is closed leaves
all sets.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, constants, entry, hot, leaf, u64
from pronghorn.state.endpoints import DATAGRAM, ECHO, endpoints_of, socket_number
from pronghorn.state.interest_sets import (
    SET,
    chain_above,
    chain_below,
    interest_add,
    interest_change,
    interest_find,
    interest_place,
    set_changed,
    set_close,
    set_collect,
    set_handle,
    set_number,
    set_open,
    set_ready,
)
from pronghorn.state.interests import (
    DEPTH,
    EPOLLERR,
    EPOLLET,
    EPOLLEXCLUSIVE,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDNORM,
    EPOLLWAKEUP,
    EPOLLWRBAND,
    KINDS,
    NESTED,
    Interests,
    interest_remove,
)
from pronghorn.state.worker import Worker

EBADF, EEXIST, EINVAL, ELOOP = errno.EBADF, errno.EEXIST, errno.EINVAL, errno.ELOOP
ENOENT, ENOMEM, ENOSPC = errno.ENOENT, errno.ENOMEM, errno.ENOSPC

EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD = 1, 2, 3
_EXCLUSIVELY = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE

constants("What marks the handle of an epoll set.", "EPOLL", SET=SET)


@leaf
def _interests(worker: Worker) -> Interests:
    return Interests(endpoints_of(worker).interests)


@hot
def _set(worker: Worker, handle: int) -> int:
    """The number of an open set, or -EBADF."""
    own = _interests(worker)
    number = set_number(own, handle) if own.address != 0 else 0
    return number if number != 0 else -EBADF


@entry
def epoll_open(worker: Worker) -> int:
    """A new set's handle, or -ENOMEM: there are too many."""
    own = _interests(worker)
    number = set_open(own) if own.address != 0 else 0
    return set_handle(own, number) if number != 0 else -ENOMEM


@entry
def epoll_close(worker: Worker, epoll: int) -> int:
    """Be done with the set."""
    number = _set(worker, epoll)
    if number < 0:
        return number
    set_close(_interests(worker), number)
    return 0


@entry
def epoll_control(worker: Worker, epoll: int, operation: int, handle: int, events: int, word: int) -> int:
    """epoll_ctl(2): put a socket, or a set, into the set, change what is asked of it, take it out. 0, or -errno."""
    number = _set(worker, epoll)
    if number < 0:
        return number
    own, endpoints = _interests(worker), endpoints_of(worker)
    flags = NESTED if handle >= 0 and handle & SET != 0 else 0
    target = _set(worker, handle) if flags != 0 else socket_number(endpoints, handle)
    if target < 0:
        return target
    if epoll == handle:
        return -EINVAL
    events &= 0xFFFF_FFFF
    alone = operation == EPOLL_CTL_ADD and flags == 0 and events & ~_EXCLUSIVELY == 0
    if events & EPOLLEXCLUSIVE != 0 and operation != EPOLL_CTL_DEL and not alone:
        return -EINVAL
    nests = operation == EPOLL_CTL_ADD and flags != 0
    if nests and chain_above(own, number) + chain_below(own, target, number) > DEPTH:
        return -ELOOP
    source = own.sets[target].address if flags != 0 else endpoints.sockets[target].address
    found = interest_find(own, source, flags, number, handle)
    if operation == EPOLL_CTL_ADD:
        if found != 0:
            return -EEXIST
        found = interest_add(own, source, flags, number, handle)
        if found == 0:
            return -ENOSPC
        interest_place(own, found, events & EPOLLEXCLUSIVE != 0)
        interest_change(own, found, events, word)
        return 0
    if operation == EPOLL_CTL_DEL:
        if found == 0:
            return -ENOENT
        interest_remove(own, found)
        return 0
    return _change(own, found, events, word) if operation == EPOLL_CTL_MOD else -EINVAL


@hot
def _change(own: Interests, found: int, events: int, word: int) -> int:
    if found == 0:
        return -ENOENT
    if own.interests[found].events & EPOLLEXCLUSIVE != 0:
        return -EINVAL
    interest_change(own, found, events, word)
    return 0


@entry
def epoll_collect(worker: Worker, epoll: int, target: int, room: int, stride: int) -> int:
    """What is ready, as Linux's struct epoll_event at the address `target`: how many, at most `room`; or -EBADF.

    `stride` is the structure's size: 12 octets on x86-64, 16 elsewhere.
    """
    number = _set(worker, epoll)
    if number < 0:
        return number
    return set_collect(_interests(worker), number, target, room, stride)


@entry
def epoll_pending(worker: Worker, epoll: int) -> int:
    """1 when epoll_collect would find something, otherwise 0; -EBADF."""
    number = _set(worker, epoll)
    if number < 0:
        return number
    return 1 if set_ready(_interests(worker), number) else 0


@entry
def epoll_sets_changed(worker: Worker, target: Array[u64], room: int) -> int:
    """Write the handles of up to `room` sets to which something was added since they were last named here: how many."""
    own, count = _interests(worker), 0
    while own.address != 0 and count < room:
        number = set_changed(own)
        if number == 0:
            break
        target[count] = set_handle(own, number)
        count += 1
    return count


@entry
def epoll_sleepers(worker: Worker, epoll: int, change: int) -> int:
    """So many threads more (less) sleep on the set: EPOLLEXCLUSIVE asks. How many there are, or -EBADF."""
    number = _set(worker, epoll)
    if number < 0:
        return number
    found = _interests(worker).sets[number]
    found.sleepers = max(found.sleepers + change, 0)
    return found.sleepers


@entry
def socket_events(worker: Worker, handle: int) -> int:
    """What poll(2) says of a socket, or of a set, now: EPOLL*; or -EBADF."""
    if handle >= 0 and handle & SET != 0:
        pending = epoll_pending(worker, handle)
        return pending if pending <= 0 else EPOLLIN | EPOLLRDNORM
    endpoints = endpoints_of(worker)
    number = socket_number(endpoints, handle)
    if number < 0:
        return number
    found = endpoints.sockets[number]
    mask = Interests(endpoints.interests).masks[found.events & (KINDS - 1)] if endpoints.interests != 0 else 0
    return mask if found.kind == DATAGRAM or found.kind == ECHO else mask & ~EPOLLWRBAND
