"""Addresses between Python's tuples and the engine's Address."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

from pronghorn.compiled import quick
from pronghorn.engine.network import engine_endpoint4, engine_endpoint6
from pronghorn.state.endpoints import Address

Name = tuple[Any, ...]

_LOW = (1 << 64) - 1
_endpoint4, _endpoint6 = quick(engine_endpoint4), quick(engine_endpoint6)


def fill(target: Address, family: int, name: Name) -> None:
    """Write ("host", port) or ("host", port, flow, scope) for a socket of the family. Names of hosts are asked of the
    system's resolver, as by the standard module. Raises OSError, TypeError, OverflowError."""
    if not isinstance(name, tuple) or len(name) < 2:
        raise TypeError(f"an address is a tuple of host and port, not {name!r}")
    host, port = str(name[0]), int(name[1])
    if not 0 <= port <= 65535:
        raise OverflowError("a port is a number from 0 to 65535")
    address = _resolve(family, host)
    if isinstance(address, ipaddress.IPv4Address):
        if family == socket.AF_INET6:
            raise OSError(f"{host} is no IPv6 address")
        _endpoint4(target.address, address.packed, port)
    else:
        _endpoint6(target.address, address.packed, port)
        target.interface = int(name[3]) if len(name) > 3 else 0


def _resolve(family: int, host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if host == "":
        return ipaddress.IPv4Address(0) if family == socket.AF_INET else ipaddress.IPv6Address(0)
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        found = socket.getaddrinfo(host, None, family=family, type=socket.SOCK_STREAM)
        return ipaddress.ip_address(str(found[0][4][0]).partition("%")[0])


def name_of(address: Address, family: int) -> Name:
    """The tuple for an Address, as the standard module writes it for a socket of this family."""
    hi, lo = address.hi & _LOW, address.lo & _LOW
    four = str(ipaddress.IPv4Address(lo & 0xFFFF_FFFF))
    if family == socket.AF_INET:
        return four, address.port
    text = f"::ffff:{four}" if address.family == 4 else str(ipaddress.IPv6Address(hi << 64 | lo))
    return text, address.port, 0, address.interface


def failure(result: int) -> OSError:
    """The exception for a call's result below 0: ConnectionRefusedError, BlockingIOError ... by its errno."""
    return OSError(-result, os.strerror(-result))


def checked(result: int) -> int:
    """The result of a call, when it is not below 0."""
    if result < 0:
        raise failure(result)
    return result
