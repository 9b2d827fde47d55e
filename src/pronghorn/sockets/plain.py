"""asyncio's `loop.sock_*` calls for sockets of the user-space stack; those of the kernel's go to asyncio's own."""

from __future__ import annotations

import asyncio
import errno
import select
import socket as standard
from collections.abc import Callable
from typing import Any, TypeVar

from pronghorn.sockets import stack as stacks
from pronghorn.sockets.endpoint import Name
from pronghorn.sockets.sendfile import Source
from pronghorn.sockets.socket import socket

T = TypeVar("T")
Called = Callable[[int, int, memoryview], None]  # events, octets, what was delivered

IN, OUT = select.EPOLLIN, select.EPOLLOUT


class PlainSockets(asyncio.SelectorEventLoop):
    """The part of the loop that serves sockets without transports."""

    def watch(self, handle: int, events: int, called: Called, deliver: bool = False) -> None:
        """Tell `called` of the events of the engine's socket from now on; `deliver`: with what it has received."""
        raise NotImplementedError

    def forget(self, handle: int) -> None:
        """Tell nobody any more."""
        raise NotImplementedError

    async def _patiently(self, sock: socket, events: int, call: Callable[[], T]) -> T:
        """The call's result once it does not have to wait."""
        while True:
            try:
                return call()
            except BlockingIOError:
                pass
            future = self.create_future()

            def called(events: int, octets: int, data: memoryview, future: asyncio.Future[None] = future) -> None:
                if not future.done():
                    future.set_result(None)
                self.forget(sock.handle)

            self.watch(sock.handle, events, called)
            try:
                await future
            finally:
                self.forget(sock.handle)

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """As asyncio's."""
        if not isinstance(sock, socket):
            await super().sock_connect(sock, address)
            return
        try:
            sock.connect(address)
        except BlockingIOError:
            await self._patiently(sock, OUT, lambda: _connected(sock))

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        """As asyncio's."""
        if not isinstance(sock, socket):
            return await super().sock_recv(sock, n)
        return await self._patiently(sock, IN, lambda: sock.recv(n))

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """As asyncio's."""
        if not isinstance(sock, socket):
            return await super().sock_recv_into(sock, buf)
        return await self._patiently(sock, IN, lambda: sock.recv_into(buf))

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> tuple[bytes, Any]:
        """As asyncio's."""
        if not isinstance(sock, socket):
            return await super().sock_recvfrom(sock, bufsize)
        return await self._patiently(sock, IN, lambda: sock.recvfrom(bufsize))

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """As asyncio's."""
        if not isinstance(sock, socket):
            await super().sock_sendall(sock, data)
            return
        rest = memoryview(data).cast("B")
        while rest:
            part = rest
            rest = rest[await self._patiently(sock, OUT, lambda part=part: sock.send(part)) :]  # type: ignore[misc]

    async def sock_sendto(self, sock: Any, data: Any, address: Any) -> int:
        """As asyncio's."""
        if not isinstance(sock, socket):
            return await super().sock_sendto(sock, data, address)
        return await self._patiently(sock, OUT, lambda: sock.sendto(data, address))

    async def sock_sendfile(
        self, sock: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool | None = True
    ) -> int:
        """As asyncio's; octets are read straight into the send buffer."""
        if not isinstance(sock, socket):
            return await super().sock_sendfile(sock, file, offset, count, fallback=fallback)
        source = Source(file, offset, count)
        try:
            while await self._patiently(sock, OUT, lambda: source.step(sock)):
                await asyncio.sleep(0)
        finally:
            source.end()
        return source.sent

    async def sock_accept(self, sock: Any) -> tuple[Any, Name]:
        """As asyncio's."""
        if not isinstance(sock, socket):
            return await super().sock_accept(sock)
        connection, peer = await self._patiently(sock, IN, sock.accept)
        connection.setblocking(False)
        return connection, peer


def _connected(sock: socket) -> None:
    """Raises BlockingIOError while the connection is not there yet, and what became of it."""
    if not stacks.socket_events(sock.stack.worker, sock.handle) & (OUT | select.EPOLLERR | select.EPOLLHUP):
        raise BlockingIOError(errno.EINPROGRESS, "")
    if error := sock.getsockopt(standard.SOL_SOCKET, standard.SO_ERROR):
        raise OSError(error, f"connect: {errno.errorcode.get(error, error)}")
