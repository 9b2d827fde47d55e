"""Socket options that mean the same for every protocol: the bits of Socket.options, and what describes a socket.

A value is an int of 4 octets, as in getsockopt(2); options of the levels IP and IPv6 take one octet, too. A function
returns -ENOPROTOOPT for an option that it does not know, so that the caller asks the next one.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, leaf, load8, load32, store8, store32
from pronghorn.state.endpoints import (
    BROADCAST_ALLOWED,
    ECHO,
    KEEP_ALIVE,
    LISTENER,
    OOB_INLINE,
    REUSE_ADDRESS,
    REUSE_PORT,
    STREAM,
    Endpoints,
)
from pronghorn.state.error_queue import error_taken
from pronghorn.state.linux import (
    AF_INET,
    AF_INET6,
    SO_ACCEPTCONN,
    SO_BROADCAST,
    SO_DOMAIN,
    SO_ERROR,
    SO_KEEPALIVE,
    SO_OOBINLINE,
    SO_PROTOCOL,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SO_TYPE,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_IP,
    SOL_SOCKET,
)
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP

ENOPROTOOPT, EINVAL = errno.ENOPROTOOPT, errno.EINVAL

RECEIVE_LEAST, SEND_LEAST = 2304, 4608
"""SOCK_MIN_RCVBUF and SOCK_MIN_SNDBUF of Linux."""
BUFFER_MOST = 4 << 20
"""Linux's net.core.rmem_max and wmem_max, since 6.16."""
FORCED_MOST = 0x3FFF_FFFF
"""What SO_RCVBUFFORCE and SO_SNDBUFFORCE may ask for."""

UNREADABLE = -(1 << 40)
"""What `option_value` returns for a value that is too short."""


@leaf
def option_value(value: int, octets: int) -> int:
    """The int at the address `value` (of 4 octets, or of one); UNREADABLE when there are none."""
    if octets >= 4:
        return (load32(value) ^ 0x8000_0000) - 0x8000_0000
    return load8(value) if octets >= 1 else UNREADABLE


@hot
def write_int(level: int, value: int, octets: int, number: int) -> int:
    """Write a C int into the first `octets` octets at `value`: how many were written, at most 4. SOL_IP's options are
    one octet for whoever has room for less than an int, where they fit it."""
    if octets >= 4:
        store32(value, number)
        return 4
    if octets < 0:
        return -EINVAL
    if octets > 0 and level == SOL_IP and 0 <= number <= 255:
        store8(value, number)
        return 1
    for place in range(octets):
        store8(value + place, number >> 8 * place)
    return octets


@leaf
def write_option(value: int, octets: int, number: int) -> int:
    """The same for levels other than SOL_IP."""
    return write_int(SOL_SOCKET, value, octets, number)


@leaf
def buffer_limit(asked: int, least: int, most: int) -> int:
    """What SO_RCVBUF or SO_SNDBUF sets: double of what is asked for, since it counts the bookkeeping too. A negative
    value asks for all there is (Linux takes it for an unsigned one)."""
    return max(2 * min(asked & 0xFFFF_FFFF, most), least)


@leaf
def socket_bit(option: int) -> int:
    """The bit of Socket.options for an option of SOL_SOCKET, or 0."""
    if option == SO_REUSEADDR:
        return REUSE_ADDRESS
    if option == SO_REUSEPORT:
        return REUSE_PORT
    if option == SO_BROADCAST:
        return BROADCAST_ALLOWED
    if option == SO_KEEPALIVE:
        return KEEP_ALIVE
    return OOB_INLINE if option == SO_OOBINLINE else 0


@leaf
def set_bit(endpoints: Endpoints, number: int, bit: int, on: int) -> int:
    """Set or clear a bit of Socket.options; 0."""
    socket = endpoints.sockets[number]
    socket.options = socket.options | bit if on != 0 else socket.options & ~bit
    return 0


@hot
def common_set(endpoints: Endpoints, number: int, level: int, option: int, value: int, octets: int) -> int:
    """Set an option that is a bit of Socket.options: 0, -EINVAL, or -ENOPROTOOPT."""
    if level != SOL_SOCKET:
        return -ENOPROTOOPT
    bit = socket_bit(option)
    if bit == 0:
        return -ENOPROTOOPT
    if octets < 4:
        return -EINVAL
    return set_bit(endpoints, number, bit, load32(value))


@hot
def common_get(endpoints: Endpoints, number: int, level: int, option: int, value: int, octets: int) -> int:
    """Read one: octets written, or -ENOPROTOOPT. SO_ERROR is thereby reported."""
    if level != SOL_SOCKET:
        return -ENOPROTOOPT
    socket = endpoints.sockets[number]
    kind = socket.kind
    stream = kind == STREAM or kind == LISTENER
    bit = socket_bit(option)
    if bit != 0:
        return write_option(value, octets, 1 if socket.options & bit != 0 else 0)
    if option == SO_ERROR:
        return write_option(value, octets, error_taken(endpoints, number))
    if option == SO_TYPE:
        return write_option(value, octets, SOCK_STREAM if stream else SOCK_DGRAM)
    if option == SO_DOMAIN:
        return write_option(value, octets, AF_INET if socket.family == 4 else AF_INET6)
    if option == SO_ACCEPTCONN:
        return write_option(value, octets, 1 if kind == LISTENER else 0)
    if option == SO_PROTOCOL:
        protocol = PROTOCOL_TCP if stream else PROTOCOL_UDP
        if kind == ECHO:
            protocol = PROTOCOL_ICMP if socket.family == 4 else PROTOCOL_ICMPV6
        return write_option(value, octets, protocol)
    return -ENOPROTOOPT
