"""asyncio's datagram transport over UDP of the user-space stack."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import select
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pronghorn.sockets.endpoint import Name
    from pronghorn.sockets.loop import Loop
    from pronghorn.sockets.socket import socket

_MOST = 64
"""Datagrams that one turn of the loop brings to a protocol, at most."""

_LONGEST = 65536
_HIGH = 64 << 10


class Datagrams(asyncio.DatagramTransport):
    """One socket."""

    _extra: dict[str, Any]

    def __init__(self, loop: Loop, sock: socket, protocol: Any, address: Any, waiter: Any, extra: Any) -> None:
        super().__init__(extra)
        self._loop, self._sock, self._protocol, self._address = loop, sock, protocol, address
        self._handle = sock.handle
        self._waiting: collections.deque[tuple[bytes, Name | None]] = collections.deque()
        self._octets, self._closing, self._full = 0, False, False
        self._run = contextvars.copy_context().run
        self._extra.update({"socket": sock, "sockname": sock.getsockname(), "peername": address})
        loop.call_soon(self._begin, waiter)

    def _begin(self, waiter: Any) -> None:
        self._run(self._protocol.connection_made, self)
        if not self._closing:
            self._watch()
        if waiter is not None and not waiter.cancelled():
            waiter.set_result(None)

    def _watch(self) -> None:
        events = select.EPOLLIN | (select.EPOLLOUT if self._waiting else 0)
        self._loop.watch(self._handle, events, self._happened)

    def _happened(self, events: int, octets: int, data: memoryview) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        for _ in range(_MOST):
            if self._closing:
                return
            try:
                content, source = self._sock.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            except OSError as error:
                self._run(self._protocol.error_received, error)
                return
            self._run(self._protocol.datagram_received, content, source)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send a datagram, or keep it until there is room."""
        if self._closing:
            return
        if self._waiting or not self._send(bytes(data), addr):
            self._waiting.append((bytes(data), addr))
            self._octets += len(data)
            self._watch()
            if self._octets > _HIGH and not self._full:
                self._full = True
                self._protocol.pause_writing()

    def _send(self, data: bytes, address: Name | None) -> bool:
        """False: there is no room."""
        try:
            if address is None:
                self._sock.send(data)
            else:
                self._sock.sendto(data, address)
        except BlockingIOError:
            return False
        except OSError as error:
            self._run(self._protocol.error_received, error)
        return True

    def _flush(self) -> None:
        while self._waiting and self._send(*self._waiting[0]):
            self._octets -= len(self._waiting.popleft()[0])
        if self._full and self._octets <= _HIGH // 4:
            self._full = False
            self._protocol.resume_writing()
        if not self._waiting:
            if self._closing:
                self._lose()
            else:
                self._watch()

    def get_write_buffer_size(self) -> int:
        """Octets that wait."""
        return self._octets

    def is_closing(self) -> bool:
        """Whether close or abort was called."""
        return self._closing

    def close(self) -> None:
        """Receive no more; end when everything is sent."""
        if self._closing:
            return
        self._closing = True
        if self._waiting:
            self._loop.watch(self._handle, select.EPOLLOUT, self._happened)
        else:
            self._loop.call_soon(self._lose)

    def abort(self) -> None:
        """End at once."""
        self._waiting.clear()
        self._closing = True
        self._loop.call_soon(self._lose)

    def _lose(self) -> None:
        if self._handle < 0:
            return
        self._loop.forget(self._handle)
        self._handle = -1
        try:
            self._run(self._protocol.connection_lost, None)
        finally:
            self._sock.close()
