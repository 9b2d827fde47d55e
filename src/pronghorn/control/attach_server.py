"""The socket that programs attach to, in the control thread's loop: Hello and Welcome, Claims and Answers, and ends.

A process ends in one of three ways, and each is noticed at once: its socket is closed, its pidfd becomes readable, it
says what cannot be true. Nobody can make the gateway wait or grow: messages have one size and are read without
ancillary data (but for the kernel's word on who has sent them), connections that say nothing are closed, claims and
attachments of one process and of one user have a rate, and an Answer that the socket does not take ends the attachment.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import ipaddress
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pronghorn.control import runtime
from pronghorn.control.gateway import Gateway
from pronghorn.control.keeper import Attached, Keeper, Refused, Violation, tell
from pronghorn.control.log import say
from pronghorn.control.numbers import user_secret
from pronghorn.control.views import PortView
from pronghorn.control.welcome import Interface, refusal, send_welcome
from pronghorn.control.who import NOBODY, Peer, peer_of, process_of, receive_from
from pronghorn.state.attach import Answer, Claim, Hello

WAITING = 64  # connections that have not said Hello yet
GREETING = 2.0  # s that one may take for it
AT_ONCE = 16  # messages or connections before others have their turn
CLAIMS = (1000.0, 512.0)  # a second, and at once: of one process
ATTACHMENTS = (500.0, 500.0)  # of one user
USERS = 1024  # whose rates are remembered


class Bucket:
    """So many a second, and a few more at once."""

    def __init__(self, rate: float, most: float) -> None:
        self._rate, self._most, self._left, self._then = rate, most, most, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left, self._then = min(self._most, self._left + (now - self._then) * self._rate), now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Connection:
    """One process that has connected."""

    def __init__(self, link: socket.socket, peer: Peer, process: int) -> None:
        self.link, self.peer, self.process = link, peer, process
        self.claims = Bucket(*CLAIMS)
        self.program: Attached | None = None
        self.late: asyncio.TimerHandle | None = None

    def has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self.process, select.POLLIN)
        return bool(poll.poll(0))


class AttachServer:
    """Lives in one loop from `start` to `close`."""

    def __init__(self, keeper: Keeper, path: Path) -> None:
        self.keeper, self.path = keeper, path
        self._connections: set[Connection] = set()
        self._users: dict[int, Bucket] = {}
        keeper.reap = self.reap

    def start(self, loop: asyncio.AbstractEventLoop, mode: int) -> None:
        """Take programs. OSError when the socket cannot be made."""
        self._loop = loop
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # connections inherit it
        self.path.unlink(missing_ok=True)
        mask = os.umask(0o777)
        try:
            self._listener.bind(str(self.path))
        finally:
            os.umask(mask)
        self.admit(mode)
        self._listener.listen(128)
        loop.add_reader(self._listener, self._accept)

    def admit(self, mode: int) -> None:
        """Who may connect at all; who may attach is asked of the kernel and the configuration then."""
        self.path.chmod(mode)

    def close(self) -> None:
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for connection in list(self._connections):
            self._end(connection)
        self.path.unlink(missing_ok=True)

    def reap(self) -> None:
        """End what has died and was not noticed yet."""
        for connection in [one for one in self._connections if one.has_ended()]:
            self._end(connection)

    # --- connections --------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                link, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no descriptor is free: look again later
                say(f"no program can attach for a second: {error.strerror}")
                self._loop.remove_reader(self._listener)
                self._loop.call_later(1.0, self._resume_listening)
                return
            self._take(link)

    def _resume_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _take(self, link: socket.socket) -> None:
        """A connection; closed at once when too many wait, or when its process has gone."""
        link.setblocking(False)
        silent = sum(1 for one in self._connections if one.program is None)
        try:
            peer = peer_of(link)
            if len(self._users) > USERS:
                self._users.clear()
            if silent >= WAITING or not self._users.setdefault(peer.user, Bucket(*ATTACHMENTS)).take():
                raise BlockingIOError(errno.EAGAIN, "too many at once")
            process = process_of(link, peer)
        except OSError as error:
            with contextlib.suppress(OSError):
                link.send(refusal(error.errno or errno.EAGAIN))
            link.close()
            return
        connection = Connection(link, peer, process)
        self._connections.add(connection)
        connection.late = self._loop.call_later(GREETING, self._end, connection)
        self._loop.add_reader(link, self._greet, connection)
        self._loop.add_reader(process, self._end, connection)

    def _end(self, connection: Connection) -> None:
        """Of the attachment, whatever the reason."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._loop.remove_reader(connection.link)
        self._loop.remove_reader(connection.process)
        if connection.late is not None:
            connection.late.cancel()
        os.close(connection.process)
        connection.link.close()
        if connection.program is not None:
            self.keeper.detach(connection.program)

    def _message(self, connection: Connection, size: int) -> tuple[bytes, int] | None:
        """The next message and the real user of its process; None: there is none. One of another size, or of another
        process, to which the socket was left, or the end of the socket, is a Violation."""
        try:
            octets, sender = receive_from(connection.link, size + 1)
        except BlockingIOError:
            return None
        except OSError:
            octets, sender = b"", NOBODY
        if len(octets) != size:
            raise Violation("" if not octets else f"a message of {len(octets)} octets, not {size}")
        if sender.pid != connection.peer.pid:
            raise Violation(f"process {sender.pid} speaks for it")
        return octets, sender.user

    def _greet(self, connection: Connection) -> None:
        """A Hello, which is answered by a Welcome."""
        try:
            message = self._message(connection, Hello.SIZE)
            if message is None:
                return
            with _view(message[0]) as address:
                connection.program, grant = self.keeper.attach(connection.peer, Hello(address))
            send_welcome(connection.link, grant)
        except Refused as refused:
            say(f"process {connection.peer.pid} of user {connection.peer.user} may not attach: {refused}")
            with contextlib.suppress(OSError):
                connection.link.send(refusal(refused.error))
            self._end(connection)
            return
        except (Violation, OSError) as error:
            self._break(connection, error)
            return
        connection.program.lanes.shared()
        if connection.late is not None:
            connection.late.cancel()
        self._loop.add_reader(connection.link, self._claims, connection)
        tell(connection.program)

    def _claims(self, connection: Connection) -> None:
        """Claims, each answered."""
        try:
            for _ in range(AT_ONCE):
                message = self._message(connection, Claim.SIZE)
                if message is None or connection.program is None:
                    return
                with _view(message[0]) as address:
                    claim = Claim(address)
                    error = self.keeper.claim(connection.program, claim, message[1])
                    answer = bytearray(Answer.SIZE)
                    with _view(answer) as place:
                        Answer(place).number, Answer(place).error = claim.number, error
                connection.link.send(answer)
                if not connection.claims.take():
                    self._loop.remove_reader(connection.link)
                    self._loop.call_later(0.05, self._resume, connection)
                    return
        except (Violation, OSError) as error:
            self._break(connection, error)

    def _resume(self, connection: Connection) -> None:
        if connection in self._connections:
            self._loop.add_reader(connection.link, self._claims, connection)

    def _break(self, connection: Connection, error: Exception) -> None:
        """It has gone, or it is to go."""
        if connection in self._connections and str(error):
            say(f"the attachment of process {connection.peer.pid} ends: {error}")
        self._end(connection)


@contextlib.contextmanager
def _view(octets: bytes | bytearray) -> Iterator[int]:
    """The address of octets that can be written to; a bytearray is written through."""
    buffer = octets if isinstance(octets, bytearray) else bytearray(octets)
    yield ctypes.addressof(ctypes.c_char.from_buffer(buffer))


@contextlib.contextmanager
def attaching(gateway: Gateway) -> Iterator[Keeper | None]:
    """Programs may attach while the block runs, when the gateway takes programs."""
    plane = gateway.engine.program_plane()
    if plane is None:
        yield None
        return
    interfaces = lambda: interfaces_of(gateway.engine.ports())  # noqa: E731
    keeper = Keeper(plane, lambda: gateway.running, interfaces, user_secret())
    server = AttachServer(keeper, runtime.attach_path(gateway.running.gateway.name))
    server.start(asyncio.get_running_loop(), _mode(gateway))
    change: Callable[[], None] = lambda: server.admit(_mode(gateway))  # noqa: E731
    gateway.changed.append(change)
    try:
        yield keeper
    finally:
        gateway.changed.remove(change)
        server.close()


def interfaces_of(ports: Sequence[PortView]) -> list[tuple[Interface, int]]:
    """The addresses of the ports, each with its port's MTU."""
    return [(ipaddress.ip_interface(text), port.mtu) for port in ports for text in port.addresses]


def _mode(gateway: Gateway) -> int:
    """Of the socket: open to all when others than the gateway's user are listed; each is asked for its user then."""
    programs = gateway.running.programs
    return 0o666 if programs.users or programs.groups else 0o600
