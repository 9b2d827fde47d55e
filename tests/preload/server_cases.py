"""What a server's sockets do: run on the kernel's and on ours, with client threads of `knocker.py` at the other end.

server_cases.py ADDRESS       prints each case's result; on standard input come the client's answers
"""

import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

ADDRESS = sys.argv[1]
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
ANY = "::" if ":" in ADDRESS else "0.0.0.0"
CASES: dict[str, Callable[[], Any]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    CASES[function.__name__] = function
    return function


def tried(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result, or the name of the error."""
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def listening(address: str, port: int = 0) -> socket.socket:
    made = socket.socket(FAMILY)
    made.bind((address, port))
    made.listen(10)
    return made


def knock(listener: socket.socket, text: str = "hello") -> None:
    """Have the other end connect and say something."""
    print(json.dumps({"port": listener.getsockname()[1], "say": text}), flush=True)


@case
def accept_and_talk() -> Any:
    with listening(ADDRESS) as s:
        knock(s)
        connection, peer = s.accept()
        with connection:
            said = connection.recv(100)
            return (
                said.decode(),
                peer[1] == connection.getpeername()[1],
                connection.getsockname()[1] == s.getsockname()[1],
            )


@case
def wildcard_takes_both() -> Any:
    with listening(ANY) as s:
        knock(s)
        first, _ = s.accept()
        here = socket.socket(FAMILY)
        here.connect(("::1" if ":" in ADDRESS else "127.0.0.1", s.getsockname()[1]))
        second, _ = s.accept()
        here.sendall(b"local")
        said = first.recv(100).decode(), second.recv(100).decode()
        for one in (first, second, here):
            one.close()
        return said, first.getsockname if False else s.getsockname()[0]


@case
def wildcard_does_not_block() -> Any:
    with listening(ANY) as s:
        s.setblocking(False)
        nothing = tried(s.accept)
        flags = fcntl.fcntl(s, fcntl.F_GETFL) & os.O_NONBLOCK != 0
        s.setblocking(True)
        back = fcntl.fcntl(s, fcntl.F_GETFL) & os.O_NONBLOCK != 0
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
        began = time.monotonic()
        return nothing, flags, back, tried(s.accept), time.monotonic() - began > 0.04


@case
def flags_of_accepted_ones() -> Any:
    with listening(ADDRESS) as s:
        s.setblocking(False)
        knock(s)
        select.select([s], [], [], 5)
        connection, _ = s.accept()
        with connection:
            one = fcntl.fcntl(connection, fcntl.F_GETFL), fcntl.fcntl(connection, fcntl.F_GETFD)
            stat = os.fstat(connection.fileno()).st_mode & 0o170000 == 0o140000
            return one, stat, connection.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)


@case
def addresses() -> Any:
    with listening(ADDRESS) as s, socket.socket(FAMILY) as other:
        port = s.getsockname()[1]
        taken = tried(other.bind, (ADDRESS, port))
        with socket.socket(FAMILY) as third:
            foreign = tried(third.bind, ("fd99::9" if ":" in ADDRESS else "198.51.100.9", 0))
        return (
            taken,
            foreign,
            tried(s.bind, (ADDRESS, 0)),
            tried(s.connect, (ADDRESS, port)),
            tried(s.recv, 1),
            tried(s.getpeername),
        )


@case
def interrupted_without_restart() -> Any:
    """A handler that raises ends the call."""

    class Stop(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, handler)
    with listening(ADDRESS) as s:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            s.accept()
        except Stop:
            return "stopped"
        finally:
            signal.signal(signal.SIGALRM, before)
    return "went on"


@case
def several_threads() -> Any:
    """Threads that wait in accept and recv at the same time are all served."""
    with listening(ADDRESS) as s:
        got: list[str] = []

        def serve() -> None:
            connection, _ = s.accept()
            with connection:
                got.append(connection.recv(100).decode())

        threads = [threading.Thread(target=serve) for _ in range(6)]
        for thread in threads:
            thread.start()
        for number in range(6):
            knock(s, f"{number}")
        for thread in threads:
            thread.join(5)
        return sorted(got)


@case
def closed_while_it_waits() -> Any:
    """Another thread shuts the connection down, and the one that waits wakes up."""
    with listening(ADDRESS) as s:
        knock(s, "")
        connection, _ = s.accept()
        with connection:
            threading.Timer(0.1, connection.shutdown, (socket.SHUT_RDWR,)).start()
            began = time.monotonic()
            return connection.recv(10).decode(), time.monotonic() - began < 10


def main() -> None:
    said = {}
    for name in sys.argv[2:] or list(CASES):
        watch = threading.Timer(20, lambda name=name: os.write(2, f"{name} hangs\n".encode()) and os._exit(3))
        watch.start()
        try:
            said[name] = CASES[name]()
        except Exception as error:
            said[name] = repr(error)
        finally:
            watch.cancel()
    print(json.dumps({"said": said}, default=repr), flush=True)


if __name__ == "__main__":
    main()
