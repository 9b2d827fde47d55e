"""Joining and leaving groups by setsockopt, with all of Linux's structures (include/uapi/linux/in.h, in6.h).

    ip_mreq, ip_mreqn      group, address or number of an interface       IP_ADD_MEMBERSHIP ...
    ip_mreq_source         group, interface's address, source            IP_ADD_SOURCE_MEMBERSHIP, IP_BLOCK_SOURCE ...
    ipv6_mreq              group, interface                              IPV6_JOIN_GROUP ...
    group_req              interface, group                              MCAST_JOIN_GROUP ... of both levels
    group_source_req       interface, group, source                      MCAST_JOIN_SOURCE_GROUP ...

Interfaces are numbered from 1; 0, or no address: the one that the route to the group names, or the first.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf, load16, load32, load_be32, load_be64
from pronghorn.net.addresses import owned_find
from pronghorn.net.groups import EXCLUDE, INCLUDE
from pronghorn.net.routes import route_find
from pronghorn.net.state import MAPPED, PRESENT, net_of
from pronghorn.state import linux
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import Endpoint, is_four
from pronghorn.udp.members import member_join, member_leave, member_source_add, member_source_remove
from pronghorn.wire import ipv4, ipv6

EINVAL, ENODEV, EAFNOSUPPORT, ENOPROTOOPT = errno.EINVAL, errno.ENODEV, errno.EAFNOSUPPORT, errno.ENOPROTOOPT

_GROUP, _SOURCE = 8, 136  # places in group_req and group_source_req


@leaf
def is_member_option(level: int, option: int) -> bool:
    """Whether the option is one of this file."""
    if level == linux.SOL_IP:
        return linux.IP_ADD_MEMBERSHIP <= option <= linux.MCAST_LEAVE_SOURCE_GROUP
    if level != linux.SOL_IPV6:
        return False
    joins = option == linux.IPV6_JOIN_GROUP or option == linux.IPV6_LEAVE_GROUP
    return joins or linux.MCAST_JOIN_GROUP <= option <= linux.MCAST_LEAVE_SOURCE_GROUP


@hot
def member_option(worker: Worker, endpoint: Endpoint, level: int, option: int, value: int, octets: int) -> int:
    """Do what the option says: 0 or -errno."""
    if option >= linux.MCAST_JOIN_GROUP:
        return _any_option(worker, endpoint, option, value, octets)
    if level == linux.SOL_IPV6:
        if octets < 20:
            return -EINVAL
        hi, lo = load_be64(value), load_be64(value + 8)
        interface = _interface(worker, load32(value + 16), hi, lo)
        return _act(worker, endpoint, option == linux.IPV6_JOIN_GROUP, interface, hi, lo)
    lo = MAPPED | load_be32(value) if octets >= 8 else 0
    if option == linux.IP_ADD_MEMBERSHIP or option == linux.IP_DROP_MEMBERSHIP:
        if octets < 8:
            return -EINVAL
        interface = _interface4(worker, load_be32(value + 4), load32(value + 8) if octets >= 12 else 0, lo)
        return _act(worker, endpoint, option == linux.IP_ADD_MEMBERSHIP, interface, 0, lo)
    if octets < 12:
        return -EINVAL
    interface = _interface4(worker, load_be32(value + 4), 0, lo)
    return _source(worker, endpoint, option, interface, 0, lo, 0, MAPPED | load_be32(value + 8))


@hot
def _any_option(worker: Worker, endpoint: Endpoint, option: int, value: int, octets: int) -> int:
    """MCAST_*: addresses are in sockaddr_storage."""
    plain = option == linux.MCAST_JOIN_GROUP or option == linux.MCAST_LEAVE_GROUP
    if octets < (136 if plain else 264):
        return -EINVAL
    result, hi, lo = _address(value + _GROUP)
    if result < 0:
        return result
    interface = _interface(worker, load32(value), hi, lo)
    if plain:
        return _act(worker, endpoint, option == linux.MCAST_JOIN_GROUP, interface, hi, lo)
    result, src_hi, src_lo = _address(value + _SOURCE)
    if result < 0:
        return result
    return _source(worker, endpoint, option, interface, hi, lo, src_hi, src_lo)


@hot
def _address(at: int) -> tuple[int, int, int]:
    """The address in a sockaddr: (0, hi, lo) or (-errno, 0, 0)."""
    family = load16(at)
    if family == linux.AF_INET:
        return 0, 0, MAPPED | load_be32(at + 4)
    if family == linux.AF_INET6:
        return 0, load_be64(at + 8), load_be64(at + 16)
    return -EAFNOSUPPORT, 0, 0


@hot
def _interface(worker: Worker, asked: int, hi: int, lo: int) -> int:
    """The interface that the application names by its number plus 1, or the one for the group; -1: none."""
    net = net_of(worker)
    if asked != 0:
        there = 0 < asked <= net.interface_count and net.interfaces[asked - 1].flags & PRESENT != 0
        return asked - 1 if there else -1
    found = route_find(worker, hi, lo)
    if found >= 0:
        return net.routes[found].interface
    for interface in range(net.interface_count):
        if net.interfaces[interface].flags & PRESENT != 0:
            return interface
    return -1


@hot
def _interface4(worker: Worker, address: int, asked: int, lo: int) -> int:
    """The same where it may be named by an address of ours, too."""
    if asked == 0 and address != 0:
        found = owned_find(net_of(worker), 0, MAPPED | address)
        return net_of(worker).owned[found].interface if found >= 0 else -1
    return _interface(worker, asked, 0, lo)


@hot
def _check(endpoint: Endpoint, interface: int, hi: int, lo: int) -> int:
    """0 when the socket can have to do with the group, or -errno."""
    if is_four(hi, lo):
        if not ipv4.is_multicast(lo & 0xFFFF_FFFF) or endpoint.family == 6:
            return -EINVAL
    elif not ipv6.is_multicast(hi) or endpoint.family == 4:
        return -EINVAL
    return 0 if interface >= 0 else -ENODEV


@hot
def _act(worker: Worker, endpoint: Endpoint, joins: bool, interface: int, hi: int, lo: int) -> int:
    result = _check(endpoint, interface, hi, lo)
    if result < 0:
        return result
    if not joins:
        return member_leave(worker, endpoint, interface, hi, lo)
    return min(member_join(worker, endpoint, interface, hi, lo, EXCLUDE), 0)


@hot
def _source(
    worker: Worker, endpoint: Endpoint, option: int, interface: int, hi: int, lo: int, src_hi: int, src_lo: int
) -> int:
    result = _check(endpoint, interface, hi, lo)
    if result < 0:
        return result
    if is_four(hi, lo) != is_four(src_hi, src_lo):
        return -EINVAL
    if option == linux.IP_ADD_SOURCE_MEMBERSHIP or option == linux.MCAST_JOIN_SOURCE_GROUP:
        return member_source_add(worker, endpoint, interface, hi, lo, INCLUDE, src_hi, src_lo)
    if option == linux.IP_DROP_SOURCE_MEMBERSHIP or option == linux.MCAST_LEAVE_SOURCE_GROUP:
        return member_source_remove(worker, endpoint, interface, hi, lo, INCLUDE, src_hi, src_lo)
    if option == linux.IP_BLOCK_SOURCE or option == linux.MCAST_BLOCK_SOURCE:
        return member_source_add(worker, endpoint, interface, hi, lo, EXCLUDE, src_hi, src_lo)
    if option == linux.IP_UNBLOCK_SOURCE or option == linux.MCAST_UNBLOCK_SOURCE:
        return member_source_remove(worker, endpoint, interface, hi, lo, EXCLUDE, src_hi, src_lo)
    return -ENOPROTOOPT
