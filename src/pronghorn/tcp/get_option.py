"""getsockopt of streams, by Linux's numbers (tcp(7), socket(7), ip(7)); setting is in set_option.py.

A value is cut to the caller's room. SO_RCVBUF and SO_SNDBUF read double of the octets that may wait, as Linux counts
its bookkeeping.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, store32, store64
from pronghorn.state import linux
from pronghorn.state.endpoints import LISTENER, Socket, endpoints_of
from pronghorn.state.options import ENOPROTOOPT, socket_bit, write_int
from pronghorn.state.wishes import THIN
from pronghorn.state.worker import Worker
from pronghorn.tcp.congestion.names import name_of_congestion
from pronghorn.tcp.emit import timestamp_now
from pronghorn.tcp.info import copy_bare_info, copy_info
from pronghorn.tcp.options import find_path_mtu
from pronghorn.tcp.set_option import LINGER_OFF, NAME
from pronghorn.tcp.tcb import CORKED, NO_DELAY, PING_PONG, Tcb, Tcp, Tuning, tcp_of
from pronghorn.tcp.transfer import record_of, take_error
from pronghorn.tcp.tuning import NO_FIN_WAIT

EINVAL, ENOTCONN, EOPNOTSUPP = errno.EINVAL, errno.ENOTCONN, errno.EOPNOTSUPP


@hot
def tcp_get_option(worker: Worker, number: int, level: int, option: int, value: int, octets: int) -> int:
    """Write the value, at most `octets`, to the address `value`; returns how many octets it was, or minus an errno."""
    if octets < 0:
        return -EINVAL
    tcp, tcb = tcp_of(worker), record_of(worker, number)
    socket = endpoints_of(worker).sockets[number]
    tuning = tcp.tunings[socket.tuning]
    if level == linux.SOL_TCP and option == linux.TCP_INFO:
        if tcb.address == 0:
            return copy_bare_info(tcp, socket, value, octets)
        return copy_info(worker, tcp, tcb, value, octets)
    if level == linux.SOL_TCP and option == linux.TCP_CONGESTION:
        own = tcb.congestion if tcb.address != 0 else tuning.congestion
        return name_of_congestion(own, value, min(octets, NAME))
    if level == linux.SOL_TCP and option == linux.TCP_FASTOPEN_KEY:
        return _get_keys(tuning, value, octets)
    if level == linux.SOL_TCP and option == linux.TCP_CC_INFO:
        return 0  # none of ours has any, as Linux's reno and cubic
    if level == linux.SOL_SOCKET and option == linux.SO_LINGER and octets >= 8:
        off = tuning.linger == LINGER_OFF
        store32(value, 0 if off else 1)
        store32(value + 4, 0 if off else tuning.linger)
        return 8
    if (level == linux.SOL_IP and option == linux.IP_MTU) or (level == linux.SOL_IPV6 and option == linux.IPV6_MTU):
        return write_int(level, value, octets, find_path_mtu(worker, tcb)) if tcb.address != 0 else -ENOTCONN
    known, answer = _get(worker, number, tcp, tcb, socket, tuning, level, option)
    if not known:
        outside = level != linux.SOL_SOCKET and level != linux.SOL_IP and level != linux.SOL_TCP
        return -EOPNOTSUPP if outside and socket.family == 4 else -ENOPROTOOPT
    return write_int(level, value, octets, answer)


@hot
def _get_keys(tuning: Tuning, value: int, octets: int) -> int:
    """TCP_FASTOPEN_KEY: the key, and the one before it."""
    if octets < 16 or tuning.keys.count == 0:
        return 0
    store64(value, tuning.keys.key)
    store64(value + 8, tuning.keys.key2)
    if octets < 32 or tuning.keys.count == 1:
        return 16
    store64(value + 16, tuning.keys.old)
    store64(value + 24, tuning.keys.old2)
    return 32


@hot
def _get(
    worker: Worker, number: int, tcp: Tcp, tcb: Tcb, socket: Socket, tuning: Tuning, level: int, option: int
) -> tuple[bool, int]:
    """Whether the option is known, and its value."""
    if level == linux.SOL_SOCKET:
        return _get_socket(worker, number, tcp, tcb, socket, tuning, option)
    if level == linux.SOL_IP or level == linux.SOL_IPV6:
        return _get_network(socket, tuning, level, option)
    if level != linux.SOL_TCP:
        return False, 0
    flags = tcb.flags if tcb.address != 0 else tuning.flags
    if option == linux.TCP_NODELAY:
        return True, 1 if flags & NO_DELAY != 0 else 0
    if option == linux.TCP_CORK:
        return True, 1 if flags & CORKED != 0 else 0
    if option == linux.TCP_QUICKACK:
        return True, 0 if flags & PING_PONG != 0 else 1
    if option == linux.TCP_TIMESTAMP:
        return True, timestamp_now(worker, tcb) if tcb.address != 0 else 0
    if option == linux.TCP_MAXSEG:
        connected = tcb.address != 0 and tcb.mss != 0
        return True, tcb.mss if connected else (tuning.user_mss if tuning.user_mss != 0 else 536)
    return _get_tuning(tuning, option)


@hot
def _get_network(socket: Socket, tuning: Tuning, level: int, option: int) -> tuple[bool, int]:
    """SOL_IP and SOL_IPV6."""
    six = level == linux.SOL_IPV6
    if six and option == linux.IPV6_V6ONLY:
        return True, 1 if socket.family == 6 else 0
    if option == (linux.IPV6_TCLASS if six else linux.IP_TOS):
        return True, tuning.tos
    if option == (linux.IPV6_UNICAST_HOPS if six else linux.IP_TTL):
        return True, tuning.ttl
    if option == (linux.IPV6_MTU_DISCOVER if six else linux.IP_MTU_DISCOVER):
        discover = tuning.wishes.discover6 if six else tuning.wishes.discover
        return True, discover - 1 if discover != 0 else linux.IP_PMTUDISC_WANT
    if option == (linux.IPV6_MULTICAST_IF if six else linux.IP_MULTICAST_IF):
        return True, 0
    if option == (linux.IPV6_MULTICAST_HOPS if six else linux.IP_MULTICAST_TTL):
        return True, 1
    loop = option == (linux.IPV6_MULTICAST_LOOP if six else linux.IP_MULTICAST_LOOP)
    return loop or option == (linux.IPV6_MULTICAST_ALL if six else linux.IP_MULTICAST_ALL), 1


@hot
def _get_tuning(tuning: Tuning, option: int) -> tuple[bool, int]:
    if option == linux.TCP_KEEPIDLE:
        return True, tuning.keep_idle
    if option == linux.TCP_KEEPINTVL:
        return True, tuning.keep_interval
    if option == linux.TCP_KEEPCNT:
        return True, tuning.keep_count
    if option == linux.TCP_SYNCNT:
        return True, tuning.syn_retries
    if option == linux.TCP_LINGER2:
        return True, -1 if tuning.fin_timeout == NO_FIN_WAIT else tuning.fin_timeout
    if option == linux.TCP_DEFER_ACCEPT:
        return True, tuning.defer_accept
    if option == linux.TCP_USER_TIMEOUT:
        return True, tuning.user_timeout
    if option == linux.TCP_NOTSENT_LOWAT:
        return True, tuning.low_water
    if option == linux.TCP_WINDOW_CLAMP:
        return True, tuning.window_clamp
    if option == linux.TCP_THIN_LINEAR_TIMEOUTS:
        return True, 1 if tuning.wishes.bits & THIN != 0 else 0
    if option == linux.TCP_THIN_DUPACK:
        return True, 0
    if option == linux.TCP_FASTOPEN_CONNECT:
        return True, tuning.fast_connect
    if option == linux.TCP_FASTOPEN_NO_COOKIE:
        return True, tuning.keys.no_cookie
    return option == linux.TCP_FASTOPEN, tuning.keys.told


@hot
def _get_socket(
    worker: Worker, number: int, tcp: Tcp, tcb: Tcb, socket: Socket, tuning: Tuning, option: int
) -> tuple[bool, int]:
    bit = socket_bit(option)
    if bit != 0:
        return True, 1 if socket.options & bit != 0 else 0
    if option == linux.SO_ERROR:
        return True, take_error(endpoints_of(worker), number)
    if option == linux.SO_RCVBUF:
        if tuning.fixed_buffers & 1 != 0:
            return True, 2 * tuning.receive_limit
        return True, 2 * (tcb.receive_limit if tcb.address != 0 else tuning.receive_limit) + 7 & ~7
    if option == linux.SO_SNDBUF:
        return True, 2 * tuning.send_limit if tuning.fixed_buffers & 2 != 0 else tuning.send_limit
    if option == linux.SO_RCVLOWAT:
        return True, tuning.receive_low
    if option == linux.SO_LINGER:
        return True, 0 if tuning.linger == LINGER_OFF else 1
    if option == linux.SO_ACCEPTCONN:
        return True, 1 if socket.kind == LISTENER else 0
    if option == linux.SO_TYPE:
        return True, linux.SOCK_STREAM
    if option == linux.SO_PROTOCOL:
        return True, linux.SOL_TCP
    return option == linux.SO_DOMAIN, linux.AF_INET if socket.family == 4 else linux.AF_INET6
