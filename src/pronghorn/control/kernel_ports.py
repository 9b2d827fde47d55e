"""Whether the kernel's own sockets have an address and port: where a gateway shares an address with the host.

A socket of the kernel bound to the wildcard does not count: programs keep such a socket beside their own themselves.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from pathlib import Path

_TABLES = {(6, 4): "tcp", (6, 6): "tcp6", (17, 4): "udp", (17, 6): "udp6"}


def kernel_has(protocol: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
    """Whether a socket of the kernel is bound to exactly this. `protocol` is 6 or 17."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    kind = socket.SOCK_STREAM if protocol == 6 else socket.SOCK_DGRAM
    try:
        with socket.socket(family, kind) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if protocol == 6:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger do not count
            probe.bind((str(address), port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE and _is_bound(_TABLES[protocol, address.version], address, port)
    return False


def _is_bound(table: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
    """Whether the kernel's table of sockets has it."""
    words = [address.packed[place : place + 4] for place in range(0, len(address.packed), 4)]
    place = "".join(word[::-1].hex() if sys.byteorder == "little" else word.hex() for word in words).upper()
    try:
        lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    except OSError:
        return False
    return any(line.split()[1] == f"{place}:{port:04X}" for line in lines)
