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
    FAILED,
    KEEP_ALIVE,
    LISTENER,
    OOB_INLINE,
    REUSE_ADDRESS,
    REUSE_PORT,
    STREAM,
    Endpoints,
    socket_quiet,
)
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
    SOL_SOCKET,
)
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP

ENOPROTOOPT, EINVAL = errno.ENOPROTOOPT, errno.EINVAL

UNREADABLE = -(1 << 40)
"""What `option_value` returns for a value that is too short."""


@leaf
def option_value(value: int, octets: int) -> int:
    """The int at the address `value` (of 4 octets, or of one); UNREADABLE when there are none."""
    if octets >= 4:
        return (load32(value) ^ 0x8000_0000) - 0x8000_0000
    return load8(value) if octets >= 1 else UNREADABLE


@leaf
def write_option(value: int, octets: int, number: int) -> int:
    """Write an int into so many octets at `value`. Returns how many were written."""
    if octets >= 4:
        store32(value, number)
        return 4
    if octets >= 1:
        store8(value, number)
        return 1
    return -EINVAL


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
        error = socket.error
        socket.error = 0
        socket_quiet(endpoints, number, FAILED)
        return write_option(value, octets, error)
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
