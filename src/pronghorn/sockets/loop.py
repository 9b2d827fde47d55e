"""An asyncio event loop over the user-space stack: it turns the stack itself, in the thread that runs it.

    pronghorn.run(main())                                # as asyncio.run
    asyncio.set_event_loop_policy(pronghorn.EventLoopPolicy())

Servers, connections and datagram endpoints are the stack's, except on loopback addresses, which are the kernel's;
pipes, signals, subprocesses and Unix sockets are asyncio's own. One call takes what all connections have received, and
the protocols are called from there, without a handle in between; a write goes to the stack at once. TLS, streams
(`asyncio.open_connection`) and everything else that stands on transports works as with asyncio's loop.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.sslproto
import collections
import contextlib
import ipaddress
import select
import socket as standard
import struct
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from pronghorn.engine.batches import DELIVER, Delivery
from pronghorn.sockets import stack as stacks
from pronghorn.sockets.datagrams import Datagrams
from pronghorn.sockets.endpoint import Name
from pronghorn.sockets.memory import Memory
from pronghorn.sockets.plain import Called, PlainSockets
from pronghorn.sockets.selector import Selector
from pronghorn.sockets.sendfile import Source
from pronghorn.sockets.socket import socket
from pronghorn.sockets.streams import Stream

T = TypeVar("T")

IN, OUT, RDHUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLRDHUP
_ADD, _DEL, _MOD = 1, 2, 3
_ROOM = 256
"""Sockets that are served in one turn."""

_BUFFER = 1 << 20
"""Octets that are received in one turn."""

_RECORD = struct.Struct("<QIIqQ")


class Loop(PlainSockets):
    """See above."""

    _ready: collections.deque[asyncio.Handle]

    def __init__(self) -> None:
        own = stacks.stack()
        self.worker = own.worker
        self._set = stacks.epoll_open(self.worker)
        self._memory, self._target = Memory(_BUFFER), Memory(_ROOM * Delivery.SIZE)
        self._octets = self._memory.content
        self._records = self._target.content
        self._called: dict[int, Called] = {}
        super().__init__(Selector(self._serve, self._is_waiting))

    def _is_waiting(self) -> bool:
        return bool(self._ready)

    def _serve(self) -> int:
        """One turn, and everybody who has something told; how much work it was."""
        worker = self.worker
        work = stacks.poll(worker)
        count = stacks.deliver(worker, self._set, self._target.address, _ROOM, self._memory.address, _BUFFER)
        if count <= 0:
            return work
        called, octets_of = self._called, self._octets
        for handle, events, _, octets, place in _RECORD.iter_unpack(self._records[: count * _RECORD.size]):
            who = called.get(handle)
            if who is not None:
                who(events, octets, octets_of[place : place + octets] if octets > 0 else octets_of[:0])
        return work + count

    # --- who is told ----------------------------------------------------------------------------------------------

    def watch(self, handle: int, events: int, called: Called, deliver: bool = False) -> None:
        """Tell `called` of the events of the engine's socket from now on; `deliver`: with what it has received."""
        word = handle | DELIVER if deliver else handle
        known = handle in self._called
        self._called[handle] = called
        result = stacks.epoll_control(self.worker, self._set, _MOD if known else _ADD, handle, events, word)
        if result < 0:
            del self._called[handle]
            raise OSError(-result, "epoll_control")

    def forget(self, handle: int) -> None:
        """Tell nobody any more."""
        if self._called.pop(handle, None) is not None:
            stacks.epoll_control(self.worker, self._set, _DEL, handle, 0, 0)

    # --- servers --------------------------------------------------------------------------------------------------

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, **options: Any
    ) -> asyncio.base_events.Server:
        """As asyncio's. Several hosts, or none for all addresses of both families, make several listeners."""
        hosts = [host] if host is None or isinstance(host, str) else list(host)
        if sock is not None or all(map(_is_loopback, hosts)):
            made: asyncio.base_events.Server = await super().create_server(
                protocol_factory, host, port, sock=sock, **options
            )
            return made
        names = await asyncio.gather(
            *(
                self.getaddrinfo(one, port, family=options.get("family", 0), type=standard.SOCK_STREAM, flags=_PASSIVE)
                for one in hosts
            )
        )
        listeners: list[socket] = []
        try:
            for family, _, _, _, name in dict.fromkeys(found for several in names for found in several):
                listeners.append(_listener(family, name, options))
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        server = asyncio.base_events.Server(
            self,
            listeners,  # type: ignore[arg-type]
            protocol_factory,
            options.get("ssl"),
            options.get("backlog", 100),
            options.get("ssl_handshake_timeout"),
            options.get("ssl_shutdown_timeout"),
        )
        if options.get("start_serving", True):
            await server.start_serving()
        return server

    def _start_serving(
        self,
        protocol_factory: Any,
        sock: Any,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        *timeouts: Any,
    ) -> None:
        if not isinstance(sock, socket):
            super()._start_serving(protocol_factory, sock, sslcontext, server, backlog, *timeouts)  # type: ignore[misc]
            return

        def called(events: int, octets: int, data: memoryview) -> None:
            for _ in range(backlog):
                try:
                    connection, _peer = sock.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    return
                except OSError as error:
                    self.call_exception_handler({"message": "accept failed", "exception": error, "socket": sock})
                    return
                self._serve_one(protocol_factory(), connection, sslcontext, server, timeouts)

        self.watch(sock.handle, IN, called)

    def _serve_one(self, protocol: Any, connection: socket, context: Any, server: Any, timeouts: Sequence[Any]) -> None:
        connection.setblocking(False)
        if context is None:
            self._make_socket_transport(connection, protocol, server=server)
            return
        waits = dict(zip(("ssl_handshake_timeout", "ssl_shutdown_timeout"), timeouts, strict=False))
        self._make_ssl_transport(connection, protocol, context, server_side=True, server=server, **waits)

    def _stop_serving(self, sock: Any) -> None:
        if isinstance(sock, socket):
            self.forget(sock.handle)
            sock.close()
        else:
            super()._stop_serving(sock)  # type: ignore[misc]

    # --- connections ----------------------------------------------------------------------------------------------

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        """As asyncio's; a name's addresses are tried one after the other."""
        if sock is not None or host is None or _is_loopback(host):
            return await super().create_connection(protocol_factory, host, port, sock=sock, **options)
        family, local = options.pop("family", 0), options.pop("local_addr", None)
        found = await self.getaddrinfo(host, port, family=family, type=standard.SOCK_STREAM)
        last: OSError | None = None
        for one, _, _, _, name in found:
            made = socket(one, standard.SOCK_STREAM)
            made.setblocking(False)
            try:
                if local is not None:
                    made.bind(local)
                await self.sock_connect(made, name)
            except OSError as error:
                made.close()
                last = error
            except BaseException:
                made.close()
                raise
            else:
                if options.get("ssl") and options.get("server_hostname") is None:
                    options["server_hostname"] = host
                over: tuple[Any, Any] = await super().create_connection(
                    protocol_factory,
                    sock=made,  # type: ignore[call-overload]
                    **options,
                )
                return over
        raise last or OSError(f"getaddrinfo found nothing for {host}")

    async def create_datagram_endpoint(
        self,
        protocol_factory: Any,
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        sock: Any = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        """As asyncio's."""
        known = local_addr or remote_addr
        if sock is not None or known is None or _is_loopback(known[0]):
            return await super().create_datagram_endpoint(
                protocol_factory, local_addr, remote_addr, sock=sock, **options
            )
        family = options.pop("family", 0)
        found = await self.getaddrinfo(known[0], known[1], family=family, type=standard.SOCK_DGRAM, flags=_PASSIVE)
        made = socket(found[0][0], standard.SOCK_DGRAM)
        made.setblocking(False)
        try:
            if options.pop("reuse_port", False):
                made.setsockopt(standard.SOL_SOCKET, standard.SO_REUSEPORT, 1)
            if options.pop("allow_broadcast", False):
                made.setsockopt(standard.SOL_SOCKET, standard.SO_BROADCAST, 1)
            if local_addr is not None:
                made.bind(tuple(local_addr))
            if remote_addr is not None:
                made.connect(tuple(remote_addr))
            return await super().create_datagram_endpoint(
                protocol_factory,
                sock=made,  # type: ignore[arg-type]
                **options,
            )
        except BaseException:
            made.close()
            raise

    def _make_socket_transport(
        self, sock: Any, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None
    ) -> Any:
        if isinstance(sock, socket):
            return Stream(self, sock, protocol, waiter, extra, server)
        return super()._make_socket_transport(sock, protocol, waiter, extra=extra, server=server)  # type: ignore[misc]

    async def _sendfile_native(self, transp: Any, file: Any, offset: int, count: int | None) -> int:
        if isinstance(transp, Stream):
            return await transp.send_file(Source(file, offset, count))
        return await super()._sendfile_native(transp, file, offset, count)  # type: ignore[misc, no-any-return]

    def _make_ssl_transport(self, rawsock: Any, protocol: Any, sslcontext: Any, waiter: Any = None, **rest: Any) -> Any:
        if not isinstance(rawsock, socket):
            return super()._make_ssl_transport(rawsock, protocol, sslcontext, waiter, **rest)  # type: ignore[misc]
        extra, server = rest.pop("extra", None), rest.pop("server", None)
        rest.pop("call_connection_made", None)
        over = asyncio.sslproto.SSLProtocol(self, protocol, sslcontext, waiter, **rest)
        Stream(self, rawsock, over, None, extra, server)
        return over._get_app_transport()  # type: ignore[attr-defined]

    def _make_datagram_transport(
        self, sock: Any, protocol: Any, address: Any = None, waiter: Any = None, extra: Any = None
    ) -> Any:
        if isinstance(sock, socket):
            return Datagrams(self, sock, protocol, address, waiter, extra)
        return super()._make_datagram_transport(sock, protocol, address, waiter, extra)  # type: ignore[misc]


_PASSIVE = standard.AI_PASSIVE


def _is_loopback(host: Any) -> bool:
    """Whether the kernel is to serve it."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    return False


def _listener(family: int, name: Name, options: dict[str, Any]) -> socket:
    made = socket(family, standard.SOCK_STREAM)
    try:
        made.setblocking(False)
        if options.get("reuse_address") is not False:
            made.setsockopt(standard.SOL_SOCKET, standard.SO_REUSEADDR, 1)
        if options.get("reuse_port"):
            made.setsockopt(standard.SOL_SOCKET, standard.SO_REUSEPORT, 1)
        if family == standard.AF_INET6:
            made.setsockopt(standard.IPPROTO_IPV6, standard.IPV6_V6ONLY, 1)
        made.bind(name)
    except BaseException:
        made.close()
        raise
    return made


class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
    """asyncio's own, with this loop."""

    def _loop_factory(self) -> Loop:
        return Loop()


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """As asyncio.run, on this loop."""
    with asyncio.Runner(debug=debug, loop_factory=Loop) as runner:
        return runner.run(main)
