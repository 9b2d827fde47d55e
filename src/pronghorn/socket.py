"""The standard `socket` module's interface over the user-space stack.

    from pronghorn import socket

    with socket.create_server(("", 8080)) as server:
        connection, peer = server.accept()

Constants, exceptions and name resolution are the standard module's own. What a socket does: sockets/socket.py.
"""

from __future__ import annotations

import socket as standard
from collections.abc import Iterable
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET
from typing import Any

from pronghorn.sockets.endpoint import Name
from pronghorn.sockets.socket import socket

__all__ = ["AF_INET", "SOCK_STREAM", "SOL_SOCKET", "SO_REUSEADDR", "create_connection", "create_server", "socket"]

_KERNEL = ("fromfd", "socketpair", "send_fds", "recv_fds", "fromshare", "SocketType", "has_dualstack_ipv6")


def create_server(
    address: Name, *, family: int = AF_INET, backlog: int | None = None, reuse_port: bool = False
) -> socket:
    """A listening TCP socket."""
    made = socket(family, SOCK_STREAM)
    try:
        made.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if reuse_port:
            made.setsockopt(SOL_SOCKET, standard.SO_REUSEPORT, 1)
        made.bind(address)
        made.listen(128 if backlog is None else backlog)
    except BaseException:
        made.close()
        raise
    return made


def create_connection(
    address: tuple[str, int], timeout: float | None = standard.getdefaulttimeout(), source_address: Name | None = None
) -> socket:
    """A connection to the host, by the first of its addresses that answers."""
    last: OSError | None = None
    found: Iterable[Any] = standard.getaddrinfo(address[0], address[1], type=SOCK_STREAM)
    for family, _, _, _, name in found:
        made = socket(family, SOCK_STREAM)
        try:
            made.settimeout(timeout)
            if source_address is not None:
                made.bind(source_address)
            made.connect(name)
        except OSError as error:
            last = error
            made.close()
        else:
            return made
    raise last or OSError(f"getaddrinfo found nothing for {address[0]}")


def __getattr__(name: str) -> Any:
    """Constants, exceptions and name resolution of the standard module."""
    if name in _KERNEL or name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(standard, name)
