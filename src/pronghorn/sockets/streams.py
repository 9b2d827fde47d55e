"""asyncio's transport over a connection of the user-space stack (sockets/loop.py calls it with what has come)."""

from __future__ import annotations

import asyncio
import asyncio.constants
import contextlib
import contextvars
import errno
import os
import select
import socket as standard
from typing import TYPE_CHECKING, Any

from pronghorn.sockets import stack as stacks
from pronghorn.sockets.endpoint import failure

if TYPE_CHECKING:
    from pronghorn.sockets.loop import Loop
    from pronghorn.sockets.sendfile import Source
    from pronghorn.sockets.socket import socket

IN, OUT, RDHUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLRDHUP
_BROKEN = select.EPOLLERR | select.EPOLLHUP
_HIGH = 64 << 10


class Stream(asyncio.Transport):
    """One connection. Writes go to the stack at once; what it does not take waits here and is sent as there is room."""

    def __init__(
        self, loop: Loop, sock: socket, protocol: asyncio.BaseProtocol, waiter: Any, extra: Any, server: Any
    ) -> None:
        super().__init__(extra)
        self._loop, self._sock, self._server = loop, sock, server
        self._worker, self._handle = loop.worker, sock.handle
        self._pending = bytearray()
        self._high, self._low = _HIGH, _HIGH // 4
        self._reading, self._ended, self._closing, self._full = True, False, False, False
        self._finishing = False  # write_eof was called
        self._room: asyncio.Future[None] | None = None  # send_file waits for room
        self._context = contextvars.copy_context()
        self._run = self._context.run
        self._extra.update({"socket": sock, "sockname": sock.getsockname()})
        try:
            self._extra["peername"] = sock.getpeername()
        except OSError:
            self._extra["peername"] = None
        self.set_protocol(protocol)
        if server is not None:
            server._attach()
        sock.setsockopt(standard.IPPROTO_TCP, standard.TCP_NODELAY, 1)
        loop.call_soon(self._begin, waiter)

    _extra: dict[str, Any]
    _sendfile_compatible = asyncio.constants._SendfileMode.TRY_NATIVE

    def _begin(self, waiter: Any) -> None:
        self._run(self._protocol.connection_made, self)
        if not self._closing:
            self._watch()
        if waiter is not None and not waiter.cancelled():
            waiter.set_result(None)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who is told of data from now on."""
        self._protocol: Any = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._received = getattr(protocol, "data_received", None)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told."""
        return self._protocol  # type: ignore[no-any-return]

    def _watch(self) -> None:
        reading = self._reading and not self._ended
        events = (IN | RDHUP if reading else 0) | (OUT if self._pending or self._room is not None else 0)
        self._loop.watch(self._handle, events, self._happened, reading)

    # --- receiving --------------------------------------------------------------------------------------------------

    def _happened(self, events: int, octets: int, data: memoryview) -> None:
        """The loop has found the socket ready, and received `octets` of its stream."""
        try:
            if octets > 0:
                if self._buffered:
                    self._run(self._fill, data)
                else:
                    self._run(self._received, bytes(data))  # type: ignore[arg-type]
            elif octets == 0:
                self._end_of_stream()
            elif octets != -errno.EAGAIN:
                self._break(failure(octets))
                return
            if events & OUT and self._pending:
                self._flush()
            if events & (OUT | _BROKEN) and self._room is not None and not self._pending:
                self._room_found()
            if events & _BROKEN and octets < 0 and not self._closing:
                self._look_at_error()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._loop.call_exception_handler(
                {"message": "a protocol failed", "exception": error, "transport": self, "protocol": self._protocol}
            )
            self._break(error if isinstance(error, Exception) else None)

    def _fill(self, data: memoryview) -> None:
        """Into a BufferedProtocol's own buffers."""
        while data:
            room = memoryview(self._protocol.get_buffer(len(data))).cast("B")
            if not room:
                raise RuntimeError("get_buffer() returned an empty buffer")
            octets = min(len(room), len(data))
            room[:octets] = data[:octets]
            self._protocol.buffer_updated(octets)
            data = data[octets:]

    def _end_of_stream(self) -> None:
        if self._ended:
            return
        self._ended = True
        if not self._run(self._protocol.eof_received):
            self.close()
        elif not self._closing:
            self._watch()

    def _look_at_error(self) -> None:
        """Both directions are over, or there is an error."""
        error = self._sock.getsockopt(standard.SOL_SOCKET, standard.SO_ERROR)
        if error:
            self._break(OSError(error, os.strerror(error)))
        elif self._ended or not self._reading:
            self._break(
                ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) if self._pending else None
            )

    def pause_reading(self) -> None:
        """No more data_received until resume_reading; the other side is slowed down by its window."""
        if self._closing or not self._reading:
            return
        self._reading = False
        self._watch()

    def resume_reading(self) -> None:
        """Undo pause_reading."""
        if self._closing or self._reading:
            return
        self._reading = True
        self._watch()

    def is_reading(self) -> bool:
        """Whether data is received."""
        return self._reading and not self._closing

    # --- sending ----------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send it, at once as far as there is room."""
        if self._finishing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._room is not None:
            raise RuntimeError("unable to write; sendfile is in progress")
        if self._handle < 0 or not data:
            return
        if not isinstance(data, bytes):
            data = bytes(data)
        sent = 0
        if not self._pending:
            sent = stacks.send(self._worker, self._handle, data, len(data), 0)
            if sent == len(data):
                return
            if sent < 0:
                if sent != -errno.EAGAIN:
                    self._break(failure(sent))
                    return
                sent = 0
        self._pending += memoryview(data)[sent:]
        if not self._closing:
            self._watch()
        if len(self._pending) > self._high and not self._full:
            self._full = True
            self._tell(self._protocol.pause_writing)

    def writelines(self, list_of_data: Any) -> None:
        """All of them, as one."""
        self.write(b"".join(list_of_data))

    def _flush(self) -> None:
        """There is room: what waits."""
        while self._pending:
            part = bytes(memoryview(self._pending)[: 1 << 18])
            sent = stacks.send(self._worker, self._handle, part, len(part), 0)
            if sent == -errno.EAGAIN:
                break
            if sent < 0:
                self._break(failure(sent))
                return
            del self._pending[:sent]
        if self._full and len(self._pending) <= self._low:
            self._full = False
            self._tell(self._protocol.resume_writing)
        if self._pending:
            return
        if self._closing:
            self._lose(None)
        else:
            if self._finishing:
                self._sock.shutdown(standard.SHUT_WR)
            self._watch()

    async def send_file(self, source: Source) -> int:
        """Octets of a file, after what waits; nothing else can be written meanwhile. How many."""
        if self._room is not None:
            raise RuntimeError("sendfile is in progress")
        try:
            while True:
                self._room = self._loop.create_future()
                self._watch()
                await self._room  # let others in between, too
                with contextlib.suppress(BlockingIOError):
                    if not source.step(self._sock):
                        return source.sent
        finally:
            self._room = None
            source.end()
            if self._handle >= 0 and not self._closing:
                self._watch()

    def _room_found(self, error: Exception | None = None) -> None:
        """Who sends a file may go on, or has to stop."""
        if self._room is None or self._room.done():
            return
        if error is not None:
            self._room.set_exception(error)
        else:
            self._room.set_result(None)

    def _tell(self, method: Any) -> None:
        try:
            method()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._loop.call_exception_handler(
                {"message": "a protocol failed", "exception": error, "transport": self, "protocol": self._protocol}
            )

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As asyncio's: when the protocol is told to stop writing, and to go on."""
        high = (4 * low if low is not None else _HIGH) if high is None else high
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be >= low ({low}) must be >= 0")
        self._high, self._low = high, low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Low and high."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Octets that the stack has not taken yet."""
        return len(self._pending)

    def can_write_eof(self) -> bool:
        """A connection can be closed in one direction."""
        return True

    def write_eof(self) -> None:
        """Send no more; receiving goes on."""
        if self._finishing or self._closing:
            return
        self._finishing = True
        if not self._pending:
            self._sock.shutdown(standard.SHUT_WR)

    # --- ending -----------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether close or abort was called, or the connection broke."""
        return self._closing

    def close(self) -> None:
        """Receive no more; end when everything is sent."""
        if self._closing:
            return
        self._closing = True
        if self._pending:
            self._loop.watch(self._handle, OUT, self._happened)
        else:
            self._loop.forget(self._handle)
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """End at once, by a reset; what waits is dropped."""
        if self._handle >= 0:
            self._sock.setsockopt(standard.SOL_SOCKET, standard.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._break(None)

    def _break(self, error: Exception | None) -> None:
        if self._handle < 0:
            return
        self._pending.clear()
        self._loop.forget(self._handle)
        self._closing = True
        self._loop.call_soon(self._lose, error)

    def _lose(self, error: Exception | None) -> None:
        """It is over: once."""
        if self._handle < 0:
            return
        self._loop.forget(self._handle)
        self._handle = -1
        self._room_found(error or ConnectionAbortedError(errno.ECONNABORTED, "the transport was closed"))
        try:
            self._run(self._protocol.connection_lost, error)
        finally:
            self._sock.close()
            if self._server is not None:
                self._server._detach()
                self._server = None
