"""The sockets of a checker: those of the kernel, or of the stack at the end of a link; asyncio serves both alike.

A checker is told which: rooms of one floor do not know each other, so the class of the stack's sockets comes from above
(cli/checker.py). Sockets are reset when a check is over (SO_LINGER 0): nothing stays in TIME-WAIT, and a port is free
again for the next check.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from ssl import SSLContext
from typing import Any

from pronghorn.control.endpoint import Address

RESET = struct.pack("ii", 1, 0)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Failed(Exception):
    """The check has failed; the text says why."""


class Way:
    """How a checker reaches servers."""

    def __init__(self, make: Callable[..., Any] = socket.socket) -> None:
        self._make = make

    def socket(self, address: Address, kind: int, protocol: int = 0) -> Any:
        """A socket of the address's family that does not wait. OSError."""
        made = self._make(socket.AF_INET if address.version == 4 else socket.AF_INET6, kind, protocol)
        made.setblocking(False)
        return made

    @contextlib.asynccontextmanager
    async def connection(
        self, address: Address, port: int, tls: SSLContext | None = None, name: str | None = None
    ) -> AsyncIterator[Streams]:
        """A TCP connection, with TLS on it when there is a context. OSError, ssl.SSLError."""
        loop, made = asyncio.get_running_loop(), self.socket(address, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            await loop.sock_connect(made, (str(address), port))
        except BaseException:
            made.close()
            raise
        options = {"ssl": tls, "server_hostname": name or str(address)} if tls else {}
        reader, writer = await asyncio.open_connection(sock=made, limit=1 << 20, **options)  # type: ignore[arg-type]
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def datagrams(self, address: Address, port: int, protocol: int = 0) -> AsyncIterator[Any]:
        """A connected datagram socket. What ICMP says about it comes as OSError."""
        made = self.socket(address, socket.SOCK_DGRAM, protocol)
        try:
            made.connect((str(address), port))  # nothing to wait for
            yield made
        finally:
            made.close()


async def answer_with(reader: asyncio.StreamReader, expected: bytes, most: int = 65_536) -> None:
    """Read until what is expected has come. Failed when it does not."""
    found = b""
    while expected not in found:
        octets = await reader.read(4096)
        if not octets or len(found) > most:
            raise Failed(f"the answer does not contain what is expected: {shown(found)}")
        found += octets


def shown(octets: bytes) -> str:
    """The beginning of an answer, for people."""
    text = octets[:60].decode(errors="replace")
    return repr(text) + ("..." if len(octets) > 60 else "") if octets else "nothing came"
