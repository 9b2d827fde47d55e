"""Options of datagram sockets, by Linux's numbers (ip(7), ipv6(7), udp(7)); those of every socket are in state/options.

SO_RCVBUF and SO_SNDBUF are doubled, as Linux does, and counted with the overhead. Memberships of groups are in
member_options.py. Left out: UDP_NO_CHECK6_RX (input refuses datagrams without a checksum before it looks for sockets),
and what fills ancillary data: it is in Udp.taken.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf, load32, load_be32, swap64
from pronghorn.net.addresses import owned_find
from pronghorn.net.state import MAPPED, PRESENT, net_of
from pronghorn.state import linux
from pronghorn.state.endpoints import ONLY_V6, RECEIVE_ERRORS, RECEIVE_ERRORS6, endpoints_of
from pronghorn.state.options import (
    BUFFER_MOST,
    ENOPROTOOPT,
    FORCED_MOST,
    RECEIVE_LEAST,
    SEND_LEAST,
    UNREADABLE,
    buffer_limit,
    option_value,
    set_bit,
    write_int,
)
from pronghorn.state.worker import Worker
from pronghorn.udp.calls import udp_uncork
from pronghorn.udp.cork import is_pending
from pronghorn.udp.endpoint import (
    BOUND,
    COALESCE,
    CONNECTED,
    CORKED,
    MULTICAST_ALL,
    MULTICAST_LOOP,
    NO_CHECK,
    NO_CHECK6_TX,
    Endpoint,
    endpoint_of,
)
from pronghorn.udp.member_options import is_member_option, member_option
from pronghorn.udp.way import find_way, way_mtu

EOPNOTSUPP = errno.EOPNOTSUPP
EINVAL, ENOTCONN, ENODEV, EADDRNOTAVAIL = errno.EINVAL, errno.ENOTCONN, errno.ENODEV, errno.EADDRNOTAVAIL


@hot
def udp_set_option(worker: Worker, number: int, level: int, option: int, value: int, octets: int) -> int:
    """Set an option to the value of so many octets at the address `value`: 0 or -errno."""
    endpoint = endpoint_of(worker, number)
    if is_member_option(level, option):
        return member_option(worker, endpoint, level, option, value, octets)
    if level == linux.SOL_IP and option == linux.IP_MULTICAST_IF:
        return _set_multicast_interface4(worker, endpoint, value, octets)
    asked = option_value(value, octets)
    if level == linux.SOL_IP and asked == UNREADABLE:
        if option != linux.IP_TOS and option != linux.IP_MTU_DISCOVER:
            known = option != linux.IP_MTU and _get_ip(worker, endpoint, 0, option) != -ENOPROTOOPT
            return -EINVAL if known else -ENOPROTOOPT
        asked = 0
    if level == linux.SOL_IPV6 and octets < 4:
        known = option != linux.IPV6_MTU and _get_ipv6(worker, endpoint, 0, option) != -ENOPROTOOPT
        return -EINVAL if known else -ENOPROTOOPT
    if octets < 4 and (level == linux.SOL_SOCKET or level == linux.SOL_UDP):
        return -EINVAL
    if level == linux.SOL_SOCKET:
        return _set_socket(worker, endpoint, option, asked)
    if level == linux.SOL_UDP:
        return _set_udp(worker, endpoint, option, asked)
    if level == linux.SOL_IP:
        return _set_ip(worker, endpoint, number, option, asked)
    return _set_ipv6(worker, endpoint, number, option, asked) if level == linux.SOL_IPV6 else -ENOPROTOOPT


@leaf
def _flag(endpoint: Endpoint, flag: int, on: int) -> int:
    endpoint.flags = endpoint.flags | flag if on != 0 else endpoint.flags & ~flag
    return 0


@hot
def _set_socket(worker: Worker, endpoint: Endpoint, option: int, asked: int) -> int:
    if option == linux.SO_RCVBUF:
        endpoint.receive_limit = buffer_limit(asked, RECEIVE_LEAST, BUFFER_MOST)
        return 0
    if option == linux.SO_SNDBUF:
        endpoint.send_limit = buffer_limit(asked, SEND_LEAST, BUFFER_MOST)
        return 0
    if option == linux.SO_RCVBUFFORCE:
        endpoint.receive_limit = buffer_limit(max(asked, 0), RECEIVE_LEAST, FORCED_MOST)
        return 0
    if option == linux.SO_SNDBUFFORCE:
        endpoint.send_limit = buffer_limit(max(asked, 0), SEND_LEAST, FORCED_MOST)
        return 0
    if option == linux.SO_NO_CHECK:
        return _flag(endpoint, NO_CHECK, asked)
    if option == linux.SO_BINDTOIFINDEX:
        if asked != 0 and not _is_interface(worker, asked):
            return -ENODEV
        endpoint.interface = asked
        endpoint.way.generation = 0
        return 0
    return -ENOPROTOOPT


@leaf
def _is_interface(worker: Worker, asked: int) -> bool:
    """Whether an interface's number plus 1, as applications name it, is one of ours."""
    net = net_of(worker)
    return 0 < asked <= net.interface_count and net.interfaces[asked - 1].flags & PRESENT != 0


@hot
def _set_udp(worker: Worker, endpoint: Endpoint, option: int, asked: int) -> int:
    if option == linux.UDP_SEGMENT:
        if asked < 0 or asked > 0xFFFF:
            return -EINVAL
        endpoint.segment = asked
        return 0
    if option == linux.UDP_CORK:
        _flag(endpoint, CORKED, asked)
        if asked == 0 and is_pending(endpoint):
            udp_uncork(worker, endpoint)
        return 0
    if option == linux.UDP_GRO:
        return _flag(endpoint, COALESCE, asked)
    if option == linux.UDP_NO_CHECK6_TX:
        return _flag(endpoint, NO_CHECK6_TX, asked)
    return -ENOPROTOOPT


@hot
def _set_ip(worker: Worker, endpoint: Endpoint, number: int, option: int, asked: int) -> int:
    if option == linux.IP_TOS:
        endpoint.tos = asked & 0xFF
        return 0
    if option == linux.IP_TTL:
        if asked != -1 and (asked < 1 or asked > 255):
            return -EINVAL
        endpoint.ttl = max(asked, 0)
        return 0
    if option == linux.IP_MULTICAST_TTL:
        if asked < -1 or asked > 255:
            return -EINVAL
        endpoint.multicast_ttl = 1 if asked == -1 else asked
        return 0
    if option == linux.IP_MULTICAST_LOOP:
        return _flag(endpoint, MULTICAST_LOOP, asked)
    if option == linux.IP_MULTICAST_ALL:
        return _flag(endpoint, MULTICAST_ALL, asked) if 0 <= asked <= 1 else -EINVAL
    if option == linux.IP_RECVERR:
        return set_bit(endpoints_of(worker), number, RECEIVE_ERRORS, asked)
    if option == linux.IP_MTU_DISCOVER:
        if asked < 0 or asked > linux.IP_PMTUDISC_OMIT:
            return -EINVAL
        endpoint.discover = asked
        return 0
    return -ENOPROTOOPT


@hot
def _set_multicast_interface4(worker: Worker, endpoint: Endpoint, value: int, octets: int) -> int:
    """IP_MULTICAST_IF with an in_addr (an address of ours), an ip_mreq (a group, then that), or an ip_mreqn (an
    interface's number behind them, which then counts). Zeros go back to the route."""
    if octets < 4:
        return -EINVAL
    address = load_be32(value if octets < 8 else value + 4)
    asked = load32(value + 8) if octets >= 12 else 0
    if asked != 0 and not _is_interface(worker, asked):
        return -ENODEV
    own = 0
    if asked == 0 and address != 0:
        found = owned_find(net_of(worker), 0, MAPPED | address)
        if found < 0:
            return -EADDRNOTAVAIL
        asked, own = net_of(worker).owned[found].interface + 1, MAPPED | address
    endpoint.multicast_interface, endpoint.multicast_lo = asked, own
    endpoint.way.generation = 0
    return 0


@hot
def _set_ipv6(worker: Worker, endpoint: Endpoint, number: int, option: int, asked: int) -> int:
    endpoints = endpoints_of(worker)
    if option == linux.IPV6_V6ONLY:
        if endpoint.flags & BOUND != 0 or endpoint.family == 4:
            return -EINVAL
        endpoint.family = 6 if asked != 0 else 10
        endpoints.sockets[number].family = endpoint.family
        return set_bit(endpoints, number, ONLY_V6, asked)
    if option == linux.IPV6_TCLASS:
        if asked < -1 or asked > 255:
            return -EINVAL
        endpoint.traffic_class = max(asked, 0)
        return 0
    if option == linux.IPV6_UNICAST_HOPS:
        if asked < -1 or asked > 255:
            return -EINVAL
        endpoint.hops = max(asked, 0)
        return 0
    if option == linux.IPV6_MULTICAST_HOPS:
        if asked < -1 or asked > 255:
            return -EINVAL
        endpoint.multicast_hops = 1 if asked == -1 else asked
        return 0
    if option == linux.IPV6_MULTICAST_IF:
        if asked != 0 and not _is_interface(worker, asked):
            return -ENODEV
        endpoint.multicast_interface = asked
        endpoint.way.generation = 0
        return 0
    if option == linux.IPV6_MULTICAST_LOOP:
        return _flag(endpoint, MULTICAST_LOOP, asked) if 0 <= asked <= 1 else -EINVAL
    if option == linux.IPV6_MULTICAST_ALL:
        return _flag(endpoint, MULTICAST_ALL, asked)
    if option == linux.IPV6_RECVERR:
        return set_bit(endpoints, number, RECEIVE_ERRORS6, asked)
    if option == linux.IPV6_MTU_DISCOVER:
        if asked < 0 or asked > linux.IP_PMTUDISC_OMIT:
            return -EINVAL
        endpoint.discover6 = asked
        return 0
    return -ENOPROTOOPT


# --- reading ------------------------------------------------------------------------------------------------------


@hot
def udp_get_option(worker: Worker, number: int, level: int, option: int, value: int, octets: int) -> int:
    """Write the option's value to the address `value`: octets written, or -errno."""
    endpoint = endpoint_of(worker, number)
    options = endpoints_of(worker).sockets[number].options
    found = -ENOPROTOOPT
    if level == linux.SOL_SOCKET:
        found = _get_socket(endpoint, option)
    elif level == linux.SOL_UDP:
        found = _get_udp(endpoint, option)
    elif level == linux.SOL_IP:
        found = _get_ip(worker, endpoint, options, option)
    elif level == linux.SOL_IPV6:
        found = _get_ipv6(worker, endpoint, options, option)
    elif endpoint.family == 4:
        found = -EOPNOTSUPP
    return found if found < 0 else write_int(level, value, octets, found)


@leaf
def _bit(word: int, bit: int) -> int:
    return 1 if word & bit != 0 else 0


@hot
def _get_socket(endpoint: Endpoint, option: int) -> int:
    if option == linux.SO_RCVBUF:
        return endpoint.receive_limit
    if option == linux.SO_SNDBUF:
        return endpoint.send_limit
    if option == linux.SO_NO_CHECK:
        return _bit(endpoint.flags, NO_CHECK)
    return endpoint.interface if option == linux.SO_BINDTOIFINDEX else -ENOPROTOOPT


@hot
def _get_udp(endpoint: Endpoint, option: int) -> int:
    if option == linux.UDP_SEGMENT:
        return endpoint.segment
    if option == linux.UDP_CORK:
        return _bit(endpoint.flags, CORKED)
    if option == linux.UDP_GRO:
        return _bit(endpoint.flags, COALESCE)
    return _bit(endpoint.flags, NO_CHECK6_TX) if option == linux.UDP_NO_CHECK6_TX else -ENOPROTOOPT


@hot
def _get_ip(worker: Worker, endpoint: Endpoint, options: int, option: int) -> int:
    if option == linux.IP_TOS:
        return endpoint.tos
    if option == linux.IP_TTL:
        return endpoint.ttl if endpoint.ttl != 0 else 64
    if option == linux.IP_MULTICAST_TTL:
        return endpoint.multicast_ttl
    if option == linux.IP_MULTICAST_IF:
        return swap64(endpoint.multicast_lo << 32) & 0xFFFF_FFFF  # an in_addr
    if option == linux.IP_MULTICAST_LOOP:
        return _bit(endpoint.flags, MULTICAST_LOOP)
    if option == linux.IP_MULTICAST_ALL:
        return _bit(endpoint.flags, MULTICAST_ALL)
    if option == linux.IP_RECVERR:
        return _bit(options, RECEIVE_ERRORS)
    if option == linux.IP_MTU_DISCOVER:
        return endpoint.discover
    return _path_mtu(worker, endpoint) if option == linux.IP_MTU else -ENOPROTOOPT


@hot
def _get_ipv6(worker: Worker, endpoint: Endpoint, options: int, option: int) -> int:
    if option == linux.IPV6_V6ONLY:
        return _bit(options, ONLY_V6)
    if option == linux.IPV6_TCLASS:
        return endpoint.traffic_class
    if option == linux.IPV6_UNICAST_HOPS:
        return endpoint.hops if endpoint.hops != 0 else 64
    if option == linux.IPV6_MULTICAST_HOPS:
        return endpoint.multicast_hops
    if option == linux.IPV6_MULTICAST_IF:
        return endpoint.multicast_interface
    if option == linux.IPV6_MULTICAST_LOOP:
        return _bit(endpoint.flags, MULTICAST_LOOP)
    if option == linux.IPV6_MULTICAST_ALL:
        return _bit(endpoint.flags, MULTICAST_ALL)
    if option == linux.IPV6_RECVERR:
        return _bit(options, RECEIVE_ERRORS6)
    if option == linux.IPV6_MTU_DISCOVER:
        return endpoint.discover6
    return _path_mtu(worker, endpoint) if option == linux.IPV6_MTU else -ENOPROTOOPT


@hot
def _path_mtu(worker: Worker, endpoint: Endpoint) -> int:
    """What IP_MTU says of a connected socket."""
    if endpoint.flags & CONNECTED == 0:
        return -ENOTCONN
    result, way = find_way(worker, endpoint, endpoint.remote_hi, endpoint.remote_lo, endpoint.interface)
    if result != 0:
        return result
    return way_mtu(worker, way)
