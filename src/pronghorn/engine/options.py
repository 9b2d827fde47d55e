"""setsockopt and getsockopt of every kind of socket: what means the same for all here, the rest is the protocols' own.

    option_set, option_get       SOL_SOCKET, SOL_IP and SOL_IPV6 first; then tcp/set_option.py, udp/options.py
    interface_name               entry: what an interface is called, for SO_BINDTODEVICE

Refused, where Linux would take them: SO_ZEROCOPY (EOPNOTSUPP), IP_TRANSPARENT and IPV6_TRANSPARENT (EPERM, as for a
program without rights), IP options (EOPNOTSUPP), filters and time stamps of hardware (ENOPROTOOPT). Kept and read back,
of no effect: SO_PRIORITY, SO_MARK, SO_INCOMING_CPU, SO_BUSY_POLL, SO_DEBUG, SO_DONTROUTE and bits about packets that
never reach this stack. SO_RCVTIMEO and SO_SNDTIMEO are for whoever waits: calls here do not.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Const, copy, entry, fill, hot, leaf, load8, load32, store8, store32, store64, u8
from pronghorn.engine.wishes import is_stream, wishes_own, wishes_read
from pronghorn.net.state import PRESENT, net_of
from pronghorn.state import linux
from pronghorn.state.endpoints import (
    NAME_OCTETS,
    NAMED,
    RECEIVE_ERRORS,
    RECEIVE_ERRORS6,
    UNCHECKED,
    endpoints_of,
    socket_handle,
)
from pronghorn.state.options import ENOPROTOOPT, common_get, common_set, option_value, set_bit, write_int
from pronghorn.state.wish_options import is_wish, wish_get, wish_set
from pronghorn.state.wishes import TELL_INQ
from pronghorn.state.worker import Worker
from pronghorn.tcp.get_option import tcp_get_option
from pronghorn.tcp.set_option import tcp_set_option
from pronghorn.udp.endpoint import endpoint_of
from pronghorn.udp.options import udp_get_option, udp_set_option

EINVAL, ENODEV, ENOMEM, EPERM, EOPNOTSUPP = errno.EINVAL, errno.ENODEV, errno.ENOMEM, errno.EPERM, errno.EOPNOTSUPP


@hot
def option_set(worker: Worker, number: int, level: int, option: int, value: int, octets: int) -> int:
    """setsockopt of the open socket `number`."""
    if octets < 0:
        return -EINVAL
    result = -ENOPROTOOPT
    if level == linux.SOL_SOCKET:
        result = _set_socket(worker, number, option, value, octets)
    elif level == linux.SOL_IP or (level == linux.SOL_IPV6 and endpoints_of(worker).sockets[number].family != 4):
        result = _set_ip(worker, number, level, option, value, octets)
    elif level == linux.SOL_IPV6:
        return -ENOPROTOOPT
    elif level == linux.SOL_TCP and option == linux.TCP_INQ and is_stream(worker, number):
        return _set_inq(worker, number, value, octets)
    if result != -ENOPROTOOPT:
        return result
    if is_stream(worker, number):
        return tcp_set_option(worker, number, level, option, value, octets)
    return udp_set_option(worker, number, level, option, value, octets)


@hot
def _set_socket(worker: Worker, number: int, option: int, value: int, octets: int) -> int:
    """SOL_SOCKET; -ENOPROTOOPT: the protocol knows."""
    if option == linux.SO_BINDTODEVICE:
        return _bind_to_device(worker, number, value, octets)
    if octets < 4:
        return -EINVAL
    asked = option_value(value, octets)
    if is_wish(linux.SOL_SOCKET, option):
        wishes = wishes_own(worker, number)
        return -ENOMEM if wishes.address == 0 else wish_set(wishes, linux.SOL_SOCKET, option, value, octets)
    if option == linux.SO_ZEROCOPY:
        if asked < 0 or asked > 1:
            return -EINVAL
        return -EOPNOTSUPP if asked != 0 else 0
    if option == linux.SO_BINDTOIFINDEX:
        return _bind_to(worker, number, asked)
    if is_stream(worker, number):
        if option == linux.SO_BROADCAST:
            return common_set(endpoints_of(worker), number, linux.SOL_SOCKET, option, value, octets)
        if option == linux.SO_NO_CHECK:
            return set_bit(endpoints_of(worker), number, UNCHECKED, asked)
        return -ENOPROTOOPT
    if option == linux.SO_LINGER:
        if octets < 8:
            return -EINVAL
        endpoint_of(worker, number).wishes.linger = (load32(value + 4) & 0x7FFF_FFFF) + 1 if asked != 0 else 0
        return 0
    if option == linux.SO_RCVLOWAT:
        low = 0x7FFF_FFFF if asked < 0 else max(asked, 1)
        endpoint_of(worker, number).wishes.receive_low = low - 1
        return 0
    return common_set(endpoints_of(worker), number, linux.SOL_SOCKET, option, value, octets)


@hot
def _set_ip(worker: Worker, number: int, level: int, option: int, value: int, octets: int) -> int:
    """SOL_IP and SOL_IPV6; -ENOPROTOOPT: the protocol knows."""
    transparent = linux.IP_TRANSPARENT if level == linux.SOL_IP else linux.IPV6_TRANSPARENT
    if option == transparent:
        if level == linux.SOL_IPV6 and octets < 4:
            return -EINVAL
        asked = option_value(value, octets) if octets > 0 else 0
        return -EPERM if asked != 0 else 0
    if level == linux.SOL_IP and option == linux.IP_OPTIONS:
        return 0 if octets == 0 else -EOPNOTSUPP
    if option == (linux.IP_RECVERR if level == linux.SOL_IP else linux.IPV6_RECVERR):
        if level == linux.SOL_IPV6 and octets < 4:
            return -EINVAL
        bit = RECEIVE_ERRORS if level == linux.SOL_IP else RECEIVE_ERRORS6
        return set_bit(endpoints_of(worker), number, bit, option_value(value, octets) if octets > 0 else 0)
    if not is_wish(level, option):
        return -ENOPROTOOPT
    if is_stream(worker, number) and level == linux.SOL_IP and option == linux.IP_RECVFRAGSIZE:
        return -EINVAL
    wishes = wishes_own(worker, number)
    return -ENOMEM if wishes.address == 0 else wish_set(wishes, level, option, value, octets)


@hot
def _set_inq(worker: Worker, number: int, value: int, octets: int) -> int:
    asked = option_value(value, octets)
    if octets < 4 or asked < 0 or asked > 1:
        return -EINVAL
    wishes = wishes_own(worker, number)
    if wishes.address == 0:
        return -ENOMEM
    wishes.bits = wishes.bits | TELL_INQ if asked != 0 else wishes.bits & ~TELL_INQ
    return 0


# --- interfaces ---------------------------------------------------------------------------------------------------


@leaf
def _name_at(worker: Worker, interface: int) -> int:
    """Address of the interface's name, NAME_OCTETS long."""
    return endpoints_of(worker).names.address + NAME_OCTETS * interface


@entry
def interface_name(worker: Worker, interface: int, name: Const[u8]) -> int:
    """Call the interface `name` (at most 15 letters and a zero): SO_BINDTODEVICE knows it by that. 0 or -errno."""
    if interface < 0 or interface >= NAMED:
        return -ENODEV
    at, octets = _name_at(worker, interface), 0
    fill(at, 0, NAME_OCTETS)
    while octets < NAME_OCTETS - 1 and name[octets] != 0:
        store8(at + octets, name[octets])
        octets += 1
    return 0


@hot
def _bind_to_device(worker: Worker, number: int, value: int, octets: int) -> int:
    """SO_BINDTODEVICE: a name; none, or an empty one, undoes it."""
    length = min(octets, NAME_OCTETS - 1)
    if length == 0 or load8(value) == 0:
        return _bind_to(worker, number, 0)
    for interface in range(min(net_of(worker).interface_count, NAMED)):
        at, place = _name_at(worker, interface), 0
        while place < length and load8(at + place) == load8(value + place) and load8(at + place) != 0:
            place += 1
        ended = place == length or load8(value + place) == 0
        if ended and place > 0 and load8(at + place) == 0:
            return _bind_to(worker, number, interface + 1)
    return -ENODEV


@hot
def _bind_to(worker: Worker, number: int, asked: int) -> int:
    """Use the interface with this number, counted from 1, alone; 0: any."""
    net = net_of(worker)
    if asked < 0:
        return -EINVAL
    if asked != 0 and (asked > net.interface_count or net.interfaces[asked - 1].flags & PRESENT == 0):
        return -ENODEV
    if not is_stream(worker, number):
        endpoint = endpoint_of(worker, number)
        endpoint.interface = asked
        endpoint.way.generation = 0
        return 0
    wishes = wishes_own(worker, number)
    if wishes.address == 0:
        return -ENOMEM
    wishes.interface = asked
    return 0


@leaf
def _interface_of(worker: Worker, number: int) -> int:
    if is_stream(worker, number):
        return wishes_read(worker, number).interface
    return endpoint_of(worker, number).interface


# --- reading ------------------------------------------------------------------------------------------------------


@hot
def option_get(worker: Worker, number: int, level: int, option: int, value: int, octets: int) -> int:
    """getsockopt of the open socket `number`: octets written."""
    if octets < 0:
        return -EINVAL
    result, stream = -ENOPROTOOPT, is_stream(worker, number)
    if level == linux.SOL_SOCKET:
        result = _get_socket(worker, number, option, value, octets)
    elif level == linux.SOL_IP or level == linux.SOL_IPV6:
        result = _get_ip(worker, number, level, option, value, octets)
    elif level == linux.SOL_TCP and option == linux.TCP_INQ and stream:
        result = write_int(level, value, octets, 1 if wishes_read(worker, number).bits & TELL_INQ != 0 else 0)
    if result != -ENOPROTOOPT:
        return result
    if stream:
        result = tcp_get_option(worker, number, level, option, value, octets)
        if result != -ENOPROTOOPT:
            return result
    result = common_get(endpoints_of(worker), number, level, option, value, octets)
    if result != -ENOPROTOOPT or stream:
        return result
    return udp_get_option(worker, number, level, option, value, octets)


@hot
def _get_socket(worker: Worker, number: int, option: int, value: int, octets: int) -> int:
    if is_wish(linux.SOL_SOCKET, option):
        return wish_get(wishes_read(worker, number), linux.SOL_SOCKET, option, value, octets)
    if option == linux.SO_BINDTODEVICE:
        return _get_device(worker, number, value, octets)
    if option == linux.SO_BINDTOIFINDEX:
        return write_int(linux.SOL_SOCKET, value, octets, _interface_of(worker, number))
    if option == linux.SO_ZEROCOPY:
        return write_int(linux.SOL_SOCKET, value, octets, 0)
    if option == linux.SO_COOKIE:
        if octets < 8:
            return -EINVAL
        store64(value, socket_handle(endpoints_of(worker), number) + 1)
        return 8
    if is_stream(worker, number):
        kept = endpoints_of(worker).sockets[number].options & UNCHECKED != 0
        if option == linux.SO_NO_CHECK:
            return write_int(linux.SOL_SOCKET, value, octets, 1 if kept else 0)
        return -ENOPROTOOPT
    wishes = endpoint_of(worker, number).wishes
    if option == linux.SO_RCVLOWAT:
        return write_int(linux.SOL_SOCKET, value, octets, wishes.receive_low + 1)
    if option != linux.SO_LINGER:
        return -ENOPROTOOPT
    if octets >= 8:
        store32(value, 1 if wishes.linger != 0 else 0)
        store32(value + 4, max(wishes.linger - 1, 0))
        return 8
    return write_int(linux.SOL_SOCKET, value, octets, 1 if wishes.linger != 0 else 0)


@hot
def _get_device(worker: Worker, number: int, value: int, octets: int) -> int:
    """The name's length with its zero, and nothing when the socket uses any interface."""
    interface = _interface_of(worker, number)
    if interface == 0:
        return 0
    if octets < NAME_OCTETS:
        return -EINVAL
    at, length = _name_at(worker, interface - 1) if interface <= NAMED else 0, 0
    while at != 0 and load8(at + length) != 0:
        length += 1
    copy(value, at, length)
    store8(value + length, 0)
    return length + 1


@hot
def _get_ip(worker: Worker, number: int, level: int, option: int, value: int, octets: int) -> int:
    socket = endpoints_of(worker).sockets[number]
    if level == linux.SOL_IPV6 and socket.family == 4:
        return -EOPNOTSUPP
    if level == linux.SOL_IP and option == linux.IP_OPTIONS:
        return 0
    if option == (linux.IP_TRANSPARENT if level == linux.SOL_IP else linux.IPV6_TRANSPARENT):
        return write_int(level, value, octets, 0)
    if option == (linux.IP_RECVERR if level == linux.SOL_IP else linux.IPV6_RECVERR):
        bit = RECEIVE_ERRORS if level == linux.SOL_IP else RECEIVE_ERRORS6
        return write_int(level, value, octets, 1 if socket.options & bit != 0 else 0)
    if not is_wish(level, option):
        return -ENOPROTOOPT
    return wish_get(wishes_read(worker, number), level, option, value, octets)
