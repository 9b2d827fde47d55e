"""setsockopt and getsockopt of streams, by Linux's numbers (tcp(7), socket(7)). Values are C ints, most of them.

A value outside the range that Linux takes is -EINVAL; an option that is not known, -ENOPROTOOPT.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf, load32, store32
from pronghorn.state import linux
from pronghorn.state.endpoints import (
    ANY_NUMBER,
    EINVAL,
    ENOMEM,
    KEEP_ALIVE,
    LISTENER,
    ONLY_V6,
    OOB_INLINE,
    REUSE_ADDRESS,
    REUSE_PORT,
    Socket,
    endpoints_of,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.bind import shares
from pronghorn.tcp.congestion.names import congestion_of_name, name_of_congestion
from pronghorn.tcp.info import copy_info
from pronghorn.tcp.output import output
from pronghorn.tcp.pacing import congestion_change
from pronghorn.tcp.pending import look_at
from pronghorn.tcp.receive import ack_now
from pronghorn.tcp.tcb import CLOSED, CORKED, ESTABLISHED, NO_DELAY, PING_PONG, Tcb, Tcp, Tuning, tcp_of
from pronghorn.tcp.timers import start_keep_alive
from pronghorn.tcp.transfer import record_of, take_error
from pronghorn.tcp.tuning import tuning_own

ENOPROTOOPT, EFAULT, EISCONN = errno.ENOPROTOOPT, errno.EFAULT, errno.EISCONN
LINGER_OFF = 0xFFFF_FFFF
LEAST_BUFFER, MOST_BUFFER = 2304, 1 << 30
NAME = 16
"""Octets of the name of a congestion control."""


@hot
def tcp_set_option(worker: Worker, number: int, level: int, option: int, value: int, octets: int) -> int:
    """`value` is the address of the value, `octets` its length. 0, or minus an errno."""
    socket = endpoints_of(worker).sockets[number]
    if level == linux.SOL_TCP and option == linux.TCP_CONGESTION:
        return _set_congestion(worker, number, value, octets)
    if octets < 4:
        return -EINVAL
    wanted = signed(load32(value))
    if level == linux.SOL_SOCKET:
        if option == linux.SO_LINGER:
            if octets < 8:
                return -EINVAL
            tuning = tuning_own(worker, number)
            if tuning.address == 0:
                return -ENOMEM
            tuning.linger = load32(value + 4) if wanted != 0 else LINGER_OFF
            return 0
        return _set_socket(worker, number, socket, option, wanted)
    if level == linux.SOL_TCP:
        return _set_tcp(worker, number, socket, option, wanted)
    return _set_ip(worker, number, socket, level, option, wanted)


@leaf
def signed(word: int) -> int:
    """A C int from the 32 bits of an unsigned one."""
    return word - (1 << 32) if word >= 1 << 31 else word


@hot
def _set_socket(worker: Worker, number: int, socket: Socket, option: int, wanted: int) -> int:
    """SOL_SOCKET."""
    bit = _bit_of(option)
    if bit != 0:
        socket.options = socket.options | bit if wanted != 0 else socket.options & ~bit
        tcb = record_of(worker, number)
        if bit == KEEP_ALIVE and wanted != 0 and tcb.address != 0 and tcb.state == ESTABLISHED:
            start_keep_alive(worker, tcp_of(worker), tcb)
        if socket.bound != 0:
            tcp_of(worker).listeners[socket.bound - 1].reuse = shares(socket)
        return 0
    if option != linux.SO_RCVBUF and option != linux.SO_SNDBUF and option != linux.SO_RCVLOWAT:
        return -ENOPROTOOPT
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    if option == linux.SO_RCVLOWAT:
        tuning.receive_low = max(wanted, 1)
    elif option == linux.SO_RCVBUF:
        tuning.receive_limit = max(min(wanted, MOST_BUFFER), LEAST_BUFFER)
        tuning.fixed_buffers |= 1
        tcb = record_of(worker, number)
        if tcb.address != 0:
            tcb.receive_limit = tuning.receive_limit
    else:
        tuning.send_limit = max(min(wanted, MOST_BUFFER), LEAST_BUFFER)
        tuning.fixed_buffers |= 2
    return 0


@leaf
def _bit_of(option: int) -> int:
    """The bit in Socket.options, for options of SOL_SOCKET that are one."""
    if option == linux.SO_REUSEADDR:
        return REUSE_ADDRESS
    if option == linux.SO_REUSEPORT:
        return REUSE_PORT
    if option == linux.SO_KEEPALIVE:
        return KEEP_ALIVE
    return OOB_INLINE if option == linux.SO_OOBINLINE else 0


@hot
def _set_tcp(worker: Worker, number: int, socket: Socket, option: int, wanted: int) -> int:
    """SOL_TCP: what is a state of the connection here, what is a tuning below."""
    tcp, tcb = tcp_of(worker), record_of(worker, number)
    if option == linux.TCP_NODELAY or option == linux.TCP_CORK:
        bit = NO_DELAY if option == linux.TCP_NODELAY else CORKED
        if tcb.address == 0:
            return _set_flag_later(worker, number, bit, wanted)
        tcb.flags = tcb.flags | bit if wanted != 0 else tcb.flags & ~bit
        if (option == linux.TCP_NODELAY) == (wanted != 0) and tcb.state != CLOSED:
            output(worker, tcp, tcb)
        return 0
    if option == linux.TCP_QUICKACK:
        if tcb.address != 0:
            if wanted != 0:
                tcb.flags &= ~PING_PONG
                tcb.quick = 16
                if tcb.rcv_acked != tcb.rcv_nxt:
                    ack_now(tcp, tcb)
            else:
                tcb.flags |= PING_PONG
        return 0
    return _set_tuning(worker, number, tcb, option, wanted)


@hot
def _set_flag_later(worker: Worker, number: int, bit: int, wanted: int) -> int:
    """A connection that is still to come gets the flag from its tuning."""
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    tuning.flags = tuning.flags | bit if wanted != 0 else tuning.flags & ~bit
    return 0


@hot
def _set_tuning(worker: Worker, number: int, tcb: Tcb, option: int, wanted: int) -> int:
    """SOL_TCP: options in the tuning. The ranges are Linux's."""
    low, high = _range_of(option)
    if high < 0:
        return -ENOPROTOOPT
    if wanted < low or wanted > high:
        return -EINVAL
    if option == linux.TCP_FASTOPEN_CONNECT and (tcb.address != 0 or tcp_of(worker).fast_open & 1 == 0):
        return -EINVAL if tcb.address != 0 else -errno.EOPNOTSUPP
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    if option == linux.TCP_KEEPIDLE:
        tuning.keep_idle = wanted
    elif option == linux.TCP_KEEPINTVL:
        tuning.keep_interval = wanted
    elif option == linux.TCP_KEEPCNT:
        tuning.keep_count = wanted
    elif option == linux.TCP_SYNCNT:
        tuning.syn_retries = wanted
    elif option == linux.TCP_LINGER2:
        tuning.fin_timeout = wanted if wanted > 0 else 60
    elif option == linux.TCP_DEFER_ACCEPT:
        tuning.defer_accept = wanted
    elif option == linux.TCP_MAXSEG:
        tuning.user_mss = wanted
    elif option == linux.TCP_USER_TIMEOUT:
        tuning.user_timeout = wanted
    elif option == linux.TCP_NOTSENT_LOWAT:
        tuning.low_water = wanted
    elif option == linux.TCP_FASTOPEN_CONNECT:
        tuning.fast_connect = wanted
    else:
        tuning.fast_open = min(wanted, 255)
    if option == linux.TCP_KEEPIDLE and tcb.address != 0 and tcb.state == ESTABLISHED:
        socket = endpoints_of(worker).sockets[number]
        if socket.options & KEEP_ALIVE != 0:
            start_keep_alive(worker, tcp_of(worker), tcb)
    return 0


@hot
def _range_of(option: int) -> tuple[int, int]:
    """What an option may be; (0, -1) for one that is not known."""
    if option == linux.TCP_KEEPIDLE or option == linux.TCP_KEEPINTVL:
        return 1, 32767
    if option == linux.TCP_KEEPCNT or option == linux.TCP_SYNCNT:
        return 1, 127
    if option == linux.TCP_LINGER2:
        return -1, 120
    if option == linux.TCP_DEFER_ACCEPT:
        return 0, 65535
    if option == linux.TCP_MAXSEG:
        return 88, 32767
    if option == linux.TCP_FASTOPEN_CONNECT:
        return 0, 1
    if option == linux.TCP_USER_TIMEOUT or option == linux.TCP_NOTSENT_LOWAT or option == linux.TCP_FASTOPEN:
        return 0, 0x7FFF_FFFF
    return 0, -1


@hot
def _set_ip(worker: Worker, number: int, socket: Socket, level: int, option: int, wanted: int) -> int:
    """SOL_IP and SOL_IPV6: type of service, time to live, dual stack."""
    if level == linux.SOL_IPV6 and option == linux.IPV6_V6ONLY:
        if socket.bound != 0 or socket.record != ANY_NUMBER or socket.family == 4:
            return -EINVAL
        socket.family = 6 if wanted != 0 else 10
        socket.options = socket.options | ONLY_V6 if wanted != 0 else socket.options & ~ONLY_V6
        return 0
    is_tos = level == linux.SOL_IP and option == linux.IP_TOS
    is_tos = is_tos or (level == linux.SOL_IPV6 and option == linux.IPV6_TCLASS)
    is_ttl = level == linux.SOL_IP and option == linux.IP_TTL
    is_ttl = is_ttl or (level == linux.SOL_IPV6 and option == linux.IPV6_UNICAST_HOPS)
    if not is_tos and not is_ttl:
        return -ENOPROTOOPT
    if wanted < -1 or wanted > 255 or (is_ttl and wanted == 0):
        return -EINVAL
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    if is_tos:
        tuning.tos = max(wanted, 0) & ~3  # ECN is the connection's own
    else:
        tuning.ttl = wanted if wanted > 0 else 64
    return 0


@hot
def _set_congestion(worker: Worker, number: int, name: int, octets: int) -> int:
    """TCP_CONGESTION: a name."""
    found = congestion_of_name(name, min(octets, NAME))
    if found < 0:
        return -errno.ENOENT
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    tuning.congestion = found
    tcb = record_of(worker, number)
    if tcb.address != 0:
        congestion_change(worker, tcb, found)
        look_at(tcp_of(worker), tcb)  # what was paced may go at once
    return 0


# --- reading ------------------------------------------------------------------------------------------------------


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
            return -EINVAL
        return copy_info(worker, tcp, tcb, value, octets)
    if level == linux.SOL_TCP and option == linux.TCP_CONGESTION:
        own = tcb.congestion if tcb.address != 0 else tuning.congestion
        return name_of_congestion(own, value, min(octets, NAME))
    if octets < 4:
        return -EINVAL
    if level == linux.SOL_SOCKET and option == linux.SO_LINGER:
        if octets < 8:
            return -EINVAL
        off = tuning.linger == LINGER_OFF
        store32(value, 0 if off else 1)
        store32(value + 4, 0 if off else tuning.linger)
        return 8
    known, answer = _get(worker, number, tcp, tcb, socket, tuning, level, option)
    if not known:
        return -ENOPROTOOPT
    store32(value, answer)
    return 4


@hot
def _get(
    worker: Worker, number: int, tcp: Tcp, tcb: Tcb, socket: Socket, tuning: Tuning, level: int, option: int
) -> tuple[bool, int]:
    """Whether the option is known, and its value."""
    if level == linux.SOL_SOCKET:
        return _get_socket(worker, number, tcp, tcb, socket, tuning, option)
    if level == linux.SOL_IPV6 and option == linux.IPV6_V6ONLY:
        return True, 1 if socket.family == 6 else 0
    if level == linux.SOL_IP or level == linux.SOL_IPV6:
        if option == (linux.IP_TOS if level == linux.SOL_IP else linux.IPV6_TCLASS):
            return True, tuning.tos
        return option == (linux.IP_TTL if level == linux.SOL_IP else linux.IPV6_UNICAST_HOPS), tuning.ttl
    if level != linux.SOL_TCP:
        return False, 0
    flags = tcb.flags if tcb.address != 0 else tuning.flags
    if option == linux.TCP_NODELAY:
        return True, 1 if flags & NO_DELAY != 0 else 0
    if option == linux.TCP_CORK:
        return True, 1 if flags & CORKED != 0 else 0
    if option == linux.TCP_QUICKACK:
        return True, 0 if flags & PING_PONG != 0 else 1
    if option == linux.TCP_MAXSEG:
        connected = tcb.address != 0 and tcb.mss != 0
        return True, tcb.mss if connected else (tuning.user_mss if tuning.user_mss != 0 else 536)
    return _get_tuning(tuning, option)


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
        return True, tuning.fin_timeout
    if option == linux.TCP_DEFER_ACCEPT:
        return True, tuning.defer_accept
    if option == linux.TCP_USER_TIMEOUT:
        return True, tuning.user_timeout
    if option == linux.TCP_NOTSENT_LOWAT:
        return True, tuning.low_water
    if option == linux.TCP_FASTOPEN_CONNECT:
        return True, tuning.fast_connect
    return option == linux.TCP_FASTOPEN, tuning.fast_open


@hot
def _get_socket(
    worker: Worker, number: int, tcp: Tcp, tcb: Tcb, socket: Socket, tuning: Tuning, option: int
) -> tuple[bool, int]:
    bit = _bit_of(option)
    if bit != 0:
        return True, 1 if socket.options & bit != 0 else 0
    if option == linux.SO_ERROR:
        return True, take_error(endpoints_of(worker), number)
    if option == linux.SO_RCVBUF:
        return True, tcb.receive_limit if tcb.address != 0 else tuning.receive_limit
    if option == linux.SO_SNDBUF:
        return True, tuning.send_limit
    if option == linux.SO_RCVLOWAT:
        return True, tuning.receive_low
    if option == linux.SO_ACCEPTCONN:
        return True, 1 if socket.kind == LISTENER else 0
    if option == linux.SO_TYPE:
        return True, linux.SOCK_STREAM
    if option == linux.SO_PROTOCOL:
        return True, linux.SOL_TCP
    return option == linux.SO_DOMAIN, linux.AF_INET if socket.family == 4 else linux.AF_INET6
