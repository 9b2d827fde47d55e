"""setsockopt of streams, by Linux's numbers (tcp(7), socket(7), ip(7)); reading is in get_option.py.

Values are C ints, most of them. What means the same for all sockets is in engine/options.py.

A value outside the range that Linux takes is -EINVAL; an option that is not known, -ENOPROTOOPT.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, load32, load64
from pronghorn.state import linux
from pronghorn.state.endpoints import ANY_NUMBER, EINVAL, ENOMEM, KEEP_ALIVE, ONLY_V6, Socket, endpoints_of
from pronghorn.state.options import (
    BUFFER_MOST,
    ENOPROTOOPT,
    FORCED_MOST,
    RECEIVE_LEAST,
    SEND_LEAST,
    UNREADABLE,
    buffer_limit,
    option_value,
    socket_bit,
)
from pronghorn.state.wishes import THIN
from pronghorn.state.worker import Worker
from pronghorn.tcp.bind import shares
from pronghorn.tcp.congestion.names import congestion_of_name
from pronghorn.tcp.output import output
from pronghorn.tcp.pacing import congestion_change
from pronghorn.tcp.pending import look_at
from pronghorn.tcp.receive import ack_now
from pronghorn.tcp.tcb import CLOSED, CORKED, ESTABLISHED, NO_DELAY, PING_PONG, Tcb, Tuning, tcp_of
from pronghorn.tcp.timers import start_keep_alive
from pronghorn.tcp.transfer import record_of
from pronghorn.tcp.tuning import NO_FIN_WAIT, tuning_own

LINGER_OFF = 0xFFFF_FFFF
SOMAXCONN = 4096
NAME = 16
"""Octets of the name of a congestion control."""


@hot
def tcp_set_option(worker: Worker, number: int, level: int, option: int, value: int, octets: int) -> int:
    """`value` is the address of the value, `octets` its length. 0, or minus an errno."""
    socket = endpoints_of(worker).sockets[number]
    if level == linux.SOL_TCP and option == linux.TCP_CONGESTION:
        return _set_congestion(worker, number, value, octets)
    if level == linux.SOL_TCP and option == linux.TCP_FASTOPEN_KEY:
        return _set_keys(worker, number, value, octets)
    if level == linux.SOL_IP:
        wanted = option_value(value, octets)
        return _set_ip(worker, number, option, 0 if wanted == UNREADABLE else wanted, octets)
    if level != linux.SOL_SOCKET and level != linux.SOL_TCP and level != linux.SOL_IPV6:
        return -ENOPROTOOPT
    if octets < 4:
        known = level != linux.SOL_IPV6 or is_known6(option)
        return -EINVAL if known else -ENOPROTOOPT
    wanted = option_value(value, octets)
    if level == linux.SOL_SOCKET:
        if option == linux.SO_LINGER:
            return _set_linger(worker, number, value, octets)
        return _set_socket(worker, number, socket, option, wanted)
    if level == linux.SOL_TCP:
        return _set_tcp(worker, number, socket, option, wanted)
    return _set_ipv6(worker, number, socket, option, wanted)


@hot
def is_known6(option: int) -> bool:
    """Whether `_set_ipv6` knows the option."""
    if linux.IPV6_UNICAST_HOPS <= option <= linux.IPV6_MULTICAST_LOOP:
        return option != linux.IPV6_MULTICAST_IF and option != linux.IPV6_MULTICAST_HOPS
    named = option == linux.IPV6_V6ONLY or option == linux.IPV6_MTU_DISCOVER or option == linux.IPV6_TCLASS
    return named or option == linux.IPV6_MULTICAST_ALL or option == linux.IPV6_JOIN_GROUP


@hot
def _set_linger(worker: Worker, number: int, value: int, octets: int) -> int:
    """SO_LINGER: a struct linger."""
    if octets < 8:
        return -EINVAL
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    tuning.linger = min(load32(value + 4), LINGER_OFF - 1) if load32(value) != 0 else LINGER_OFF
    return 0


@hot
def _set_socket(worker: Worker, number: int, socket: Socket, option: int, wanted: int) -> int:
    """SOL_SOCKET."""
    bit = socket_bit(option)
    if bit != 0:
        socket.options = socket.options | bit if wanted != 0 else socket.options & ~bit
        tcb = record_of(worker, number)
        if bit == KEEP_ALIVE and wanted != 0 and tcb.address != 0 and tcb.state == ESTABLISHED:
            start_keep_alive(worker, tcp_of(worker), tcb)
        if socket.bound != 0:
            tcp_of(worker).listeners[socket.bound - 1].reuse = shares(socket)
        return 0
    receives = option == linux.SO_RCVBUF or option == linux.SO_RCVBUFFORCE
    sends = option == linux.SO_SNDBUF or option == linux.SO_SNDBUFFORCE
    if not receives and not sends and option != linux.SO_RCVLOWAT:
        return -ENOPROTOOPT
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    if option == linux.SO_RCVLOWAT:
        most = tuning.receive_limit if tuning.fixed_buffers & 1 != 0 else tcp_of(worker).receive_max >> 1
        tuning.receive_low = max(min(0x7FFF_FFFF if wanted < 0 else wanted, most), 1)
        return 0
    forced = option == linux.SO_RCVBUFFORCE or option == linux.SO_SNDBUFFORCE
    asked, most = max(wanted, 0) if forced else wanted, FORCED_MOST if forced else BUFFER_MOST
    if receives:
        tuning.receive_limit = buffer_limit(asked, RECEIVE_LEAST, most) >> 1
        tuning.fixed_buffers |= 1
        tcb = record_of(worker, number)
        if tcb.address != 0:
            tcb.receive_limit = tuning.receive_limit
    else:
        tuning.send_limit = buffer_limit(asked, SEND_LEAST, most) >> 1
        tuning.fixed_buffers |= 2
    return 0


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
        if tcb.address == 0:
            return _set_flag_later(worker, number, PING_PONG, 0 if wanted != 0 else 1)
        if wanted & 1 != 0:
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
    if (wanted < low or wanted > high) and (option != linux.TCP_MAXSEG or wanted != 0):
        return -EINVAL
    begun = tcb.address != 0
    if begun and (option == linux.TCP_FASTOPEN or option == linux.TCP_FASTOPEN_NO_COOKIE):
        return -EINVAL
    if option == linux.TCP_FASTOPEN_CONNECT and (begun or tcp_of(worker).fast_open & 1 == 0):
        return -EINVAL if begun else -errno.EOPNOTSUPP
    if option == linux.TCP_WINDOW_CLAMP and begun and wanted == 0:
        return -EINVAL
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    if option == linux.TCP_WINDOW_CLAMP:
        _set_clamp(tuning, tcb, wanted)
    elif option == linux.TCP_THIN_LINEAR_TIMEOUTS:
        tuning.wishes.bits = tuning.wishes.bits | THIN if wanted != 0 else tuning.wishes.bits & ~THIN
    elif option != linux.TCP_THIN_DUPACK:
        _keep(tuning, option, wanted)
    socket = endpoints_of(worker).sockets[number]
    if option == linux.TCP_KEEPIDLE and begun and tcb.state == ESTABLISHED and socket.options & KEEP_ALIVE != 0:
        start_keep_alive(worker, tcp_of(worker), tcb)
    return 0


@hot
def _keep(tuning: Tuning, option: int, wanted: int) -> None:
    """What is a field of the tuning."""
    if option == linux.TCP_KEEPIDLE:
        tuning.keep_idle = wanted
    elif option == linux.TCP_KEEPINTVL:
        tuning.keep_interval = wanted
    elif option == linux.TCP_KEEPCNT:
        tuning.keep_count = wanted
    elif option == linux.TCP_SYNCNT:
        tuning.syn_retries = wanted
    elif option == linux.TCP_LINGER2:
        tuning.fin_timeout = NO_FIN_WAIT if wanted < 0 else (min(wanted, 120) if wanted > 0 else 60)
    elif option == linux.TCP_DEFER_ACCEPT:
        tuning.defer_accept = deferral(wanted)
    elif option == linux.TCP_MAXSEG:
        tuning.user_mss = wanted
    elif option == linux.TCP_USER_TIMEOUT:
        tuning.user_timeout = wanted
    elif option == linux.TCP_NOTSENT_LOWAT:
        tuning.low_water = wanted & 0xFFFF_FFFF
    elif option == linux.TCP_FASTOPEN_CONNECT:
        tuning.fast_connect = wanted
    elif option == linux.TCP_FASTOPEN_NO_COOKIE:
        tuning.keys.no_cookie = wanted
    else:
        tuning.fast_open, tuning.keys.told = min(wanted, 255), min(wanted, SOMAXCONN)


@hot
def deferral(seconds: int) -> int:
    """TCP_DEFER_ACCEPT in seconds, rounded up to what retransmissions of a SYN-ACK take: 1 s, 3 s, 7 s ..."""
    if seconds <= 0:
        return 0
    total, wait = 1, 1
    for _ in range(254):
        if seconds <= total:
            break
        wait = min(wait * 2, 120)
        total += wait
    return total


@hot
def _set_clamp(tuning: Tuning, tcb: Tcb, wanted: int) -> None:
    """TCP_WINDOW_CLAMP: the window does not get larger than that, and does not grow by itself; 0 undoes it."""
    clamp = max(wanted, RECEIVE_LEAST >> 1) if wanted != 0 else 0
    tuning.window_clamp = clamp
    if clamp == 0:
        tuning.fixed_buffers &= ~4
        return
    tuning.fixed_buffers |= 4
    tuning.receive_limit = min(tuning.receive_limit, clamp)
    if tcb.address != 0:
        tcb.receive_limit = min(tcb.receive_limit, clamp)


@hot
def _range_of(option: int) -> tuple[int, int]:
    """What an option may be; (0, -1) for one that is not known."""
    if option == linux.TCP_KEEPIDLE or option == linux.TCP_KEEPINTVL:
        return 1, 32767
    if option == linux.TCP_KEEPCNT or option == linux.TCP_SYNCNT:
        return 1, 127
    if option == linux.TCP_LINGER2 or option == linux.TCP_NOTSENT_LOWAT or option == linux.TCP_DEFER_ACCEPT:
        return -0x8000_0000, 0x7FFF_FFFF
    if option == linux.TCP_WINDOW_CLAMP:
        return -0x8000_0000, 0x7FFF_FFFF
    if option == linux.TCP_MAXSEG:
        return 88, 32767
    if option == linux.TCP_FASTOPEN_CONNECT or option == linux.TCP_FASTOPEN_NO_COOKIE:
        return 0, 1
    if option == linux.TCP_THIN_LINEAR_TIMEOUTS or option == linux.TCP_THIN_DUPACK:
        return 0, 1
    if option == linux.TCP_USER_TIMEOUT or option == linux.TCP_FASTOPEN:
        return 0, 0x7FFF_FFFF
    return 0, -1


@hot
def _set_ip(worker: Worker, number: int, option: int, wanted: int, octets: int) -> int:
    """SOL_IP."""
    if linux.IP_ADD_MEMBERSHIP <= option <= linux.IP_DROP_MEMBERSHIP:
        return -errno.EPROTO
    if option == linux.IP_MULTICAST_IF or option == linux.IP_MULTICAST_TTL:
        return -EINVAL
    if option == linux.IP_MULTICAST_LOOP or option == linux.IP_MULTICAST_ALL:
        return 0 if octets > 0 else -EINVAL
    known = option == linux.IP_TOS or option == linux.IP_TTL or option == linux.IP_MTU_DISCOVER
    if not known:
        return -ENOPROTOOPT
    if option == linux.IP_TTL and (octets < 1 or (wanted != -1 and (wanted < 1 or wanted > 255))):
        return -EINVAL
    if option == linux.IP_MTU_DISCOVER and (wanted < 0 or wanted > linux.IP_PMTUDISC_OMIT):
        return -EINVAL
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    if option == linux.IP_TOS:
        tuning.tos = wanted & 0xFC  # ECN is the connection's own
    elif option == linux.IP_TTL:
        tuning.ttl = wanted if wanted > 0 else 64
    else:
        tuning.wishes.discover = wanted + 1
    return 0


@hot
def _set_ipv6(worker: Worker, number: int, socket: Socket, option: int, wanted: int) -> int:
    """SOL_IPV6."""
    if option == linux.IPV6_V6ONLY:
        if socket.bound != 0 or socket.record != ANY_NUMBER:
            return -EINVAL
        socket.family = 6 if wanted != 0 else 10
        socket.options = socket.options | ONLY_V6 if wanted != 0 else socket.options & ~ONLY_V6
        return 0
    if option == linux.IPV6_JOIN_GROUP or option == linux.IPV6_LEAVE_GROUP:
        return -errno.EINVAL
    if option == linux.IPV6_MULTICAST_LOOP:
        return 0 if wanted == 0 or wanted == 1 else -EINVAL
    if option == linux.IPV6_MULTICAST_ALL:
        return 0
    known = option == linux.IPV6_TCLASS or option == linux.IPV6_UNICAST_HOPS or option == linux.IPV6_MTU_DISCOVER
    if not known:
        return -ENOPROTOOPT
    if option == linux.IPV6_MTU_DISCOVER and (wanted < 0 or wanted > linux.IP_PMTUDISC_OMIT):
        return -EINVAL
    if wanted < -1 or wanted > 255:
        return -EINVAL
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    if option == linux.IPV6_TCLASS:
        tuning.tos = max(wanted, 0) & 0xFC
    elif option == linux.IPV6_UNICAST_HOPS:
        tuning.ttl = wanted if wanted > 0 else 64
    else:
        tuning.wishes.discover6 = wanted + 1
    return 0


@hot
def _set_keys(worker: Worker, number: int, value: int, octets: int) -> int:
    """TCP_FASTOPEN_KEY: a key of 16 octets, or two of them: cookies made with the second are good, too."""
    if octets != 16 and octets != 32:
        return -EINVAL
    tuning = tuning_own(worker, number)
    if tuning.address == 0:
        return -ENOMEM
    tuning.keys.key, tuning.keys.key2, tuning.keys.count = load64(value), load64(value + 8), octets >> 4
    if octets == 32:
        tuning.keys.old, tuning.keys.old2 = load64(value + 16), load64(value + 24)
    return 0


@hot
def _set_congestion(worker: Worker, number: int, name: int, octets: int) -> int:
    """TCP_CONGESTION: a name."""
    if octets < 1:
        return -EINVAL
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
