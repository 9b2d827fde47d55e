"""A socket of the user-space stack, with the interface of the standard module's class.

Constants, exceptions and the functions around it are in pronghorn/socket.py. Only AF_INET and AF_INET6 with SOCK_STREAM
or SOCK_DGRAM exist here, the latter also with IPPROTO_ICMP and IPPROTO_ICMPV6: echo. Any thread may use any socket;
calls that wait turn the stack.

`fileno()` is a descriptor that stands for the socket: asyncio's loop of this package knows it; select() of the kernel
never finds it ready. Left out: ancillary data (sendmsg, recvmsg), socket pairs, sharing with other processes.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket as standard
from collections.abc import Callable
from socket import AF_INET, AF_INET6, MSG_DONTWAIT, MSG_WAITALL, SO_ERROR, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET
from types import TracebackType
from typing import Any

from pronghorn.net.state import MAPPED
from pronghorn.sockets import stack as stacks
from pronghorn.sockets.endpoint import Name, checked, failure, fill, name_of
from pronghorn.sockets.loans import ReceiveLoan, SendLoan
from pronghorn.sockets.memory import address_of, view_of
from pronghorn.sockets.sendfile import Source
from pronghorn.state.attach import CLAIM_BIND, CLAIM_CLOSE, CLAIM_LISTEN, Claim
from pronghorn.state.endpoints import DATAGRAM, ECHO, STREAM, Address

_IN, _OUT, _ERR, _HUP = 1, 4, 8, 16
_PART = 1 << 18
"""Octets that sendall offers at a time: what is not taken was copied for nothing."""

_KINDS: dict[int, tuple[int, int]] = {
    SOCK_STREAM: (STREAM, standard.IPPROTO_TCP),
    SOCK_DGRAM: (DATAGRAM, standard.IPPROTO_UDP),
}
_ECHO: dict[int, int] = {AF_INET: standard.IPPROTO_ICMP, AF_INET6: standard.IPPROTO_ICMPV6}
"""Of SOCK_DGRAM, as with Linux's ping sockets: echo requests out, their replies in."""

_WOULD_WAIT = (-errno.EAGAIN, -errno.EINPROGRESS, -errno.EALREADY)


class socket:
    """One socket. Methods do what those of the standard module's class do, and raise what they raise."""

    _timeout: float | None

    def __init__(self, family: int = AF_INET, type: int = SOCK_STREAM, proto: int = 0, fileno: None = None) -> None:
        if fileno is not None:
            raise OSError(errno.EOPNOTSUPP, "a descriptor of the kernel's cannot become a socket of this stack")
        kind = type & ~(standard.SOCK_NONBLOCK | standard.SOCK_CLOEXEC)
        if family not in (AF_INET, AF_INET6):
            raise OSError(errno.EAFNOSUPPORT, "sockets of this stack are AF_INET or AF_INET6")
        echo = kind == SOCK_DGRAM and proto == _ECHO[family]
        if kind not in _KINDS or (proto not in (0, _KINDS[kind][1]) and not echo):
            raise OSError(errno.EPROTONOSUPPORT, "sockets of this stack are SOCK_STREAM or SOCK_DGRAM")
        own = stacks.stack()
        with own.lock:
            version = 4 if family == AF_INET else 6 if echo else 10
            handle = stacks.open_socket(own.worker, version, ECHO if echo else _KINDS[kind][0])
        self._begin(own, handle, family, kind)
        if proto:
            self.proto = proto
        if type & standard.SOCK_NONBLOCK:
            self._timeout = 0.0

    def _begin(self, own: stacks.Stack, handle: int, family: int, kind: int) -> None:
        if handle < 0:
            raise failure(handle)
        self.stack, self.handle = own, handle
        self.family, self.type, self.proto = family, kind, _KINDS[kind][1]
        self._timeout = standard.getdefaulttimeout()
        self._number = -1  # descriptor that stands for the socket, once asked for
        self._files = 0  # of makefile, still open
        self._closing = False
        self._claim: Claim | None = None
        self.address = view_of(Address)

    @classmethod
    def _of(cls, own: stacks.Stack, handle: int, family: int) -> socket:
        made = cls.__new__(cls)
        made._begin(own, handle, family, SOCK_STREAM)
        return made

    # --- waiting ------------------------------------------------------------------------------------------------

    def _wait(self, call: Callable[[], int], events: int, flags: int = 0) -> int:
        """The call's result once it does not say EAGAIN any more, as far as this socket's timeout lets it."""
        with self.stack.lock:
            result = call()
        if result >= 0:
            return result
        patience = 0.0 if flags & MSG_DONTWAIT else self._timeout
        if result not in _WOULD_WAIT or patience == 0.0:
            raise failure(result)

        def ready() -> bool:
            nonlocal result
            if not stacks.socket_events(self.stack.worker, self.handle) & (events | _ERR | _HUP):
                return False
            result = call()
            return result not in _WOULD_WAIT

        if not self.stack.wait(ready, patience):
            raise TimeoutError("timed out")
        if result < 0:
            raise failure(result)
        return result

    # --- names --------------------------------------------------------------------------------------------------

    def bind(self, address: Name) -> None:
        """Take a local address; on a link to a gateway, once the gateway agrees."""
        fill(self.address, self.family, address)
        with self.stack.lock:
            checked(stacks.bind(self.stack.worker, self.handle, self.address.address))
            if self.proto == standard.IPPROTO_UDP:
                self._ask(CLAIM_BIND)

    def listen(self, backlog: int = 128) -> None:
        """Take connections, once the gateway agrees."""
        with self.stack.lock:
            self._ask(CLAIM_LISTEN)
            checked(stacks.listen(self.stack.worker, self.handle, backlog))

    def _ask(self, kind: int) -> None:
        """Claim what the socket is bound to. Lock held."""
        attachment = self.stack.attachment
        checked(stacks.socket_name(self.stack.worker, self.handle, self.address.address))
        claim = view_of(Claim)
        claim.kind, claim.flags, claim.protocol = kind, 0, self.proto
        claim.family, claim.port = (4 if self.family == AF_INET else 10), self.address.port
        hi, lo = self.address.hi, self.address.lo
        claim.hi, claim.lo = (0, 0) if hi == 0 and lo & ~MAPPED == 0 else (hi, lo)
        if error := attachment.claim(claim):
            raise OSError(error, os.strerror(error))
        self._claim = claim

    def accept(self) -> tuple[socket, Name]:
        """The next connection, and where it came from."""
        worker, peer = self.stack.worker, view_of(Address)
        handle = self._wait(lambda: stacks.accept(worker, self.handle, peer.address), _IN)
        return self._of(self.stack, handle, self.family), name_of(peer, self.family)

    def connect(self, address: Name) -> None:
        """Connect; a non-blocking socket says BlockingIOError and becomes writable or fails."""
        fill(self.address, self.family, address)
        worker = self.stack.worker
        self._wait(lambda: stacks.connect(worker, self.handle, self.address.address), _OUT)
        if error := self.getsockopt(SOL_SOCKET, SO_ERROR):
            raise OSError(error, os.strerror(error))

    def connect_ex(self, address: Name) -> int:
        """The same; an errno instead of an exception of the connection's."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or errno.EAGAIN
        return 0

    def getsockname(self) -> Name:
        """The socket's own address."""
        with self.stack.lock:
            checked(stacks.socket_name(self.stack.worker, self.handle, self.address.address))
            return name_of(self.address, self.family)

    def getpeername(self) -> Name:
        """The other side's."""
        with self.stack.lock:
            checked(stacks.peer_name(self.stack.worker, self.handle, self.address.address))
            return name_of(self.address, self.family)

    # --- data ---------------------------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0) -> int:
        """Send octets; how many were taken."""
        content = data if isinstance(data, bytes) else bytes(data)
        worker, handle = self.stack.worker, self.handle
        return self._wait(lambda: stacks.send(worker, handle, content, len(content), flags), _OUT, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all octets."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.send(rest[:_PART], flags) :]

    def sendto(self, data: Any, *arguments: Any) -> int:
        """sendto(data, address) or sendto(data, flags, address)."""
        flags, name = (0, arguments[0]) if len(arguments) == 1 else arguments
        content, target = bytes(data), view_of(Address)
        fill(target, self.family, name)
        worker, handle = self.stack.worker, self.handle
        return self._wait(
            lambda: stacks.send_to(worker, handle, content, len(content), flags, target.address), _OUT, flags
        )

    def recv(self, octets: int, flags: int = 0) -> bytes:
        """Octets that have come, at most so many; empty: the other side has ended."""
        buffer = bytearray(octets)
        got = self.recv_into(buffer, octets, flags)
        return bytes(memoryview(buffer)[:got])

    def recv_into(self, buffer: Any, octets: int = 0, flags: int = 0) -> int:
        """The same into a writable buffer: how many."""
        room = memoryview(buffer).cast("B")
        octets = min(octets or len(room), len(room))
        if flags & MSG_WAITALL and self._timeout != 0.0:
            return self._fill(room[:octets], flags & ~MSG_WAITALL)
        with address_of(room) as place:
            worker, handle = self.stack.worker, self.handle
            return self._wait(lambda: stacks.receive(worker, handle, place, octets, flags), _IN, flags)

    def _fill(self, room: memoryview, flags: int) -> int:
        had = 0
        while had < len(room):
            got = self.recv_into(room[had:], 0, flags)
            if got == 0:
                break
            had += got
        return had

    def recvfrom(self, octets: int, flags: int = 0) -> tuple[bytes, Name | None]:
        """A datagram and where it came from; of a stream, octets and None."""
        buffer, source = bytearray(octets), view_of(Address)
        with address_of(memoryview(buffer)) as place:
            worker, handle, at = self.stack.worker, self.handle, source.address
            got = self._wait(lambda: stacks.receive_from(worker, handle, place, octets, flags, at), _IN, flags)
        name = name_of(source, self.family) if self.type == SOCK_DGRAM else None
        return bytes(memoryview(buffer)[:got]), name

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file's octets, read straight into the send buffer; how many."""
        if self._timeout == 0.0:
            raise ValueError("non-blocking sockets are not supported")
        source = Source(file, offset, count)
        try:
            while source.step(self):
                pass
        finally:
            source.end()
        return source.sent

    def send_buffer(self, octets: int) -> SendLoan:
        """Writable memory of the send buffer, at most so many octets: write, then `commit(count)` sends it uncopied."""
        return SendLoan(self, octets)

    def receive_view(self) -> ReceiveLoan:
        """What has come, lent where it lies: read `memory`, then `release(count)` gives it back."""
        return ReceiveLoan(self)

    # --- ending -------------------------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """End one direction or both."""
        with self.stack.lock:
            checked(stacks.shutdown(self.stack.worker, self.handle, how))

    def close(self) -> None:
        """Be done with the socket, once its files are closed too."""
        self._closing = True
        if self._files == 0:
            self._close()

    def _close(self) -> None:
        handle, self.handle = self.handle, -1
        if handle < 0:
            return
        if self._number >= 0:
            os.close(self._number)
            self._number = -1
        with self.stack.lock:
            stacks.close_socket(self.stack.worker, handle)
            if self._claim is not None:
                self._claim.kind = CLAIM_CLOSE
                with contextlib.suppress(OSError):
                    self.stack.attachment.claim(self._claim)

    def _decref_socketios(self) -> None:
        """A file of makefile was closed (called by socket.SocketIO)."""
        self._files -= 1
        if self._closing and self._files == 0:
            self._close()

    def makefile(self, mode: str = "r", buffering: int | None = None, **options: Any) -> Any:
        """A file over the socket, as the standard module makes it."""
        self._files += 1
        raw = standard.SocketIO(self, mode.replace("b", "").replace("t", "") or "r")  # type: ignore[arg-type]
        size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 0 else buffering
        if size == 0:
            return raw
        writes, reads = "w" in mode, "r" in mode or not mode.strip("bt")
        buffer: Any = io.BufferedRWPair(raw, raw, size) if writes and reads else None
        buffer = buffer or (io.BufferedWriter(raw, size) if writes else io.BufferedReader(raw, size))
        return buffer if "b" in mode else io.TextIOWrapper(buffer, **options)

    # --- options ------------------------------------------------------------------------------------------------

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option; numbers as C ints."""
        content = value.to_bytes(4, "little", signed=True) if isinstance(value, int) else bytes(value)
        with self.stack.lock, address_of(memoryview(bytearray(content))) as place:
            checked(stacks.set_option(self.stack.worker, self.handle, level, option, place, len(content)))

    def getsockopt(self, level: int, option: int, octets: int = 0) -> Any:
        """An option's value: a number, or bytes where a length is given."""
        room = bytearray(octets or 4)
        with self.stack.lock, address_of(memoryview(room)) as place:
            got = checked(stacks.get_option(self.stack.worker, self.handle, level, option, place, len(room)))
        return bytes(room[:got]) if octets else int.from_bytes(room[:got], "little", signed=True)

    def settimeout(self, seconds: float | None) -> None:
        """How long calls wait: None for ever, 0 not at all."""
        if seconds is not None and seconds < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """What settimeout set."""
        return self._timeout

    def setblocking(self, blocking: bool) -> None:
        """settimeout(None) or settimeout(0)."""
        self.settimeout(None if blocking else 0.0)

    def getblocking(self) -> bool:
        """Whether calls wait at all."""
        return self._timeout != 0.0

    @property
    def timeout(self) -> float | None:
        """As gettimeout: io's SocketIO looks here."""
        return self._timeout

    def fileno(self) -> int:
        """A descriptor that stands for the socket; -1 once it is closed."""
        if self._number < 0 and self.handle >= 0:
            self._number = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return self._number

    def __enter__(self) -> socket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.handle < 0 else f"handle={self.handle:#x}"
        return f"<pronghorn.socket {state} family={self.family} type={self.type}>"
