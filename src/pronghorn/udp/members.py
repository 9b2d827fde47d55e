"""Which groups a socket has joined, and the sources it wants from each (RFC 3376 3.1, RFC 3810 4.1; ip(7), ipv6(7)).

A membership is one group on one interface with one filter. net/groups.py keeps what all sockets want together, and
tells the routers. Tables have fixed sizes; a socket has at most MEMBERSHIPS groups, with SOURCES sources each.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, View, fill, fixed, hot, u8, u16, u32, u64
from pronghorn.net.groups import (
    INCLUDE,
    group_join,
    group_leave,
    group_settle,
    group_source_add,
    group_source_remove,
)
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import NO_ENDPOINT, Arrival, Endpoint, Udp, udp_of

EADDRINUSE, EADDRNOTAVAIL, ENOBUFS, EINVAL = errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.EINVAL

MEMBERSHIPS, SOURCES = 64, 32
ALL_MEMBERSHIPS, ALL_SOURCES = 1024, 2048
NONE = 0xFFFFFFFF


class Membership(View, align=8, size=40):
    """A socket's membership of a group."""

    hi: u64
    lo: u64
    interface: u32
    group: u32  # number in net/groups.py
    sources: u32  # first MemberSource, or NONE
    next: u32  # of the same endpoint, or among the free
    mode: u8  # INCLUDE or EXCLUDE
    count: u8  # sources
    unused16: u16
    unused: u32


class MemberSource(View, align=8, size=24):
    """A source that a membership includes or excludes."""

    hi: u64
    lo: u64
    next: u32
    unused: u32


class Members(View, align=64):
    """All memberships, at Udp.members."""

    free: u32
    fresh: u32
    source_free: u32
    source_fresh: u32
    memberships: Array[Membership] = fixed(ALL_MEMBERSHIPS, align=64)
    sources: Array[MemberSource] = fixed(ALL_SOURCES, align=64)


@hot
def members_open(members: Members) -> None:
    """An empty table, whose memory may hold anything."""
    members.free, members.fresh, members.source_free, members.source_fresh = NONE, 0, NONE, 0


@hot
def member_find(udp: Udp, endpoint: Endpoint, interface: int, hi: int, lo: int) -> int:
    """Number of the endpoint's membership, or -1."""
    members = Members(udp.members)
    number = endpoint.memberships
    while number != NO_ENDPOINT:
        membership = members.memberships[number]
        if membership.lo == lo and membership.hi == hi and membership.interface == interface:
            return number
        number = membership.next
    return -1


@hot
def member_allows(udp: Udp, endpoint: Endpoint, arrival: Arrival) -> int:
    """1 when the socket has joined the datagram's group and wants its source, 0 when it does not want it; -1: it has
    not joined the group."""
    number = member_find(udp, endpoint, arrival.interface, arrival.to_hi, arrival.to_lo)
    if number < 0:
        return -1
    members = Members(udp.members)
    membership = members.memberships[number]
    named = _source_find(members, membership, arrival.source_hi, arrival.source_lo) >= 0
    return 1 if named == (membership.mode == INCLUDE) else 0


@hot
def _source_find(members: Members, membership: Membership, hi: int, lo: int) -> int:
    place = membership.sources
    while place != NONE:
        source = members.sources[place]
        if source.lo == lo and source.hi == hi:
            return place
        place = source.next
    return -1


# --- joining and leaving ------------------------------------------------------------------------------------------


@hot
def member_join(worker: Worker, endpoint: Endpoint, interface: int, hi: int, lo: int, mode: int) -> int:
    """Become a member, with EXCLUDE of nobody or INCLUDE of nobody yet: the membership's number or -errno."""
    udp = udp_of(worker)
    if member_find(udp, endpoint, interface, hi, lo) >= 0:
        return -EADDRINUSE
    members, held = Members(udp.members), 0
    number = endpoint.memberships
    while number != NO_ENDPOINT:
        held += 1
        number = members.memberships[number].next
    number = members.free if members.free != NONE else members.fresh
    if held == MEMBERSHIPS or number == ALL_MEMBERSHIPS:
        return -ENOBUFS
    group = group_join(worker, interface, hi, lo, mode)
    if group < 0:
        return -ENOBUFS
    if members.free != NONE:
        members.free = members.memberships[number].next
    else:
        members.fresh = number + 1
    membership = members.memberships[number]
    fill(membership.address, 0, Membership.SIZE)
    membership.hi, membership.lo, membership.interface, membership.mode = hi, lo, interface, mode
    membership.group, membership.sources, membership.next = group, NONE, endpoint.memberships
    endpoint.memberships = number
    group_settle(worker, group)
    return number


@hot
def member_leave(worker: Worker, endpoint: Endpoint, interface: int, hi: int, lo: int) -> int:
    """Be a member no more: 0 or -errno."""
    udp = udp_of(worker)
    number = member_find(udp, endpoint, interface, hi, lo)
    if number < 0:
        return -EADDRNOTAVAIL
    members = Members(udp.members)
    membership = members.memberships[number]
    if endpoint.memberships == number:
        endpoint.memberships = membership.next
    else:
        before = endpoint.memberships
        while members.memberships[before].next != number:
            before = members.memberships[before].next
        members.memberships[before].next = membership.next
    while membership.sources != NONE:
        source = members.sources[membership.sources]
        _source_drop(worker, members, membership, source.hi, source.lo)
    group_leave(worker, membership.group, membership.mode)
    group_settle(worker, membership.group)
    membership.next = members.free
    members.free = number
    return 0


@hot
def member_leave_all(worker: Worker, endpoint: Endpoint) -> None:
    """The socket is being closed."""
    members = Members(udp_of(worker).members)
    while endpoint.memberships != NO_ENDPOINT:
        membership = members.memberships[endpoint.memberships]
        member_leave(worker, endpoint, membership.interface, membership.hi, membership.lo)


# --- sources ------------------------------------------------------------------------------------------------------


@hot
def member_source_add(
    worker: Worker, endpoint: Endpoint, interface: int, hi: int, lo: int, mode: int, src_hi: int, src_lo: int
) -> int:
    """INCLUDE: hear the source of the group, which is joined for that; EXCLUDE: no longer hear it. 0 or -errno."""
    udp = udp_of(worker)
    members = Members(udp.members)
    number = member_find(udp, endpoint, interface, hi, lo)
    fresh = number < 0
    if fresh:
        number = member_join(worker, endpoint, interface, hi, lo, INCLUDE) if mode == INCLUDE else -EINVAL
        if number < 0:
            return number
    membership = members.memberships[number]
    if membership.mode != mode:
        return -EINVAL
    if _source_find(members, membership, src_hi, src_lo) >= 0:
        return -EADDRNOTAVAIL
    done = _source_take(worker, members, membership, src_hi, src_lo)
    if done < 0 and fresh:
        member_leave(worker, endpoint, interface, hi, lo)
    if done == 0:
        group_settle(worker, membership.group)
    return done


@hot
def _source_take(worker: Worker, members: Members, membership: Membership, hi: int, lo: int) -> int:
    place = members.source_free if members.source_free != NONE else members.source_fresh
    if membership.count == SOURCES or place == ALL_SOURCES:
        return -ENOBUFS
    if not group_source_add(worker, membership.group, membership.mode, hi, lo):
        return -ENOBUFS
    source = members.sources[place]
    if members.source_free != NONE:
        members.source_free = source.next
    else:
        members.source_fresh = place + 1
    source.hi, source.lo, source.next = hi, lo, membership.sources
    membership.sources = place
    membership.count += 1
    return 0


@hot
def member_source_remove(
    worker: Worker, endpoint: Endpoint, interface: int, hi: int, lo: int, mode: int, src_hi: int, src_lo: int
) -> int:
    """The reverse; who no longer includes anybody leaves the group. 0 or -errno."""
    udp = udp_of(worker)
    members = Members(udp.members)
    number = member_find(udp, endpoint, interface, hi, lo)
    if number < 0 or members.memberships[number].mode != mode:
        return -EINVAL
    membership = members.memberships[number]
    if _source_find(members, membership, src_hi, src_lo) < 0:
        return -EADDRNOTAVAIL
    _source_drop(worker, members, membership, src_hi, src_lo)
    if mode == INCLUDE and membership.count == 0:
        return member_leave(worker, endpoint, interface, hi, lo)
    group_settle(worker, membership.group)
    return 0


@hot
def _source_drop(worker: Worker, members: Members, membership: Membership, hi: int, lo: int) -> None:
    """Take a source, which is there, out of the filter."""
    before, place = NONE, membership.sources
    while place != NONE:
        source = members.sources[place]
        if source.lo == lo and source.hi == hi:
            break
        before, place = place, source.next
    if place == NONE:
        return
    gone = members.sources[place]
    if before == NONE:
        membership.sources = gone.next
    else:
        members.sources[before].next = gone.next
    membership.count -= 1
    group_source_remove(worker, membership.group, membership.mode, hi, lo)
    gone.next = members.source_free
    members.source_free = place
