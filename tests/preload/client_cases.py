"""What sockets do, call by call: run on the kernel's and on ours, the two lists must be the same.

client_cases.py ADDRESS PORT       peer.py listens there
"""

import array
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from typing import Any

ADDRESS, PORT = sys.argv[1], int(sys.argv[2])
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
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


def connected(command: str = "echo") -> socket.socket:
    made = socket.socket(FAMILY)
    made.connect((ADDRESS, PORT))
    made.sendall(command.encode() + b"\n")
    return made


@case
def echo() -> Any:
    with connected() as s:
        s.sendall(b"hello")
        return s.recv(100).decode(), s.getpeername()[1] == PORT, s.getsockname()[1] != 0


@case
def names_of_a_fresh_one() -> Any:
    with socket.socket(FAMILY) as s:
        s.setblocking(False)
        return s.getsockname()[1], tried(s.getpeername), tried(s.recv, 1), tried(s.accept), tried(s.shutdown, 1)


@case
def refused() -> Any:
    with socket.socket(FAMILY) as s:
        return tried(s.connect, (ADDRESS, PORT + 1)), tried(s.connect, (ADDRESS, PORT)) in (None, "ECONNABORTED")


@case
def nonblocking_connect() -> Any:
    with socket.socket(FAMILY) as s:
        s.setblocking(False)
        first = tried(s.connect, (ADDRESS, PORT))
        _, ready, _ = select.select([], [s], [], 5)
        return first, len(ready), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), tried(s.connect, (ADDRESS, PORT))


@case
def nonblocking_connect_refused() -> Any:
    with socket.socket(FAMILY) as s:
        s.setblocking(False)
        first = tried(s.connect, (ADDRESS, PORT + 1))
        poll = select.poll()
        poll.register(s, select.POLLOUT)
        events = poll.poll(5000)[0][1]
        return first, events, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@case
def connect_twice() -> Any:
    with connected() as s:
        return tried(s.connect, (ADDRESS, PORT)), tried(s.bind, (ADDRESS, 0)), tried(s.listen)


@case
def nothing_yet() -> Any:
    with connected() as s:
        again = tried(s.recv, 10, socket.MSG_DONTWAIT)
        s.setblocking(False)
        return again, tried(s.recv, 10), tried(s.recv, 0)


@case
def waitall() -> Any:
    rooms = [bytearray(30), bytearray(300), bytearray(40)]
    with connected("parts 100 5") as s:
        whole = [len(s.recv(octets, socket.MSG_WAITALL)) for octets in (350, 1000, 10)]
    with connected("parts 100 4") as s:
        return whole, s.recvmsg_into(rooms, 0, socket.MSG_WAITALL)[0], bytes(rooms[2])


@case
def peek() -> Any:
    with connected() as s:
        s.sendall(b"abcdef")
        while len(first := s.recv(3, socket.MSG_PEEK)) < 3:
            pass
        return first.decode(), s.recv(100).decode()


@case
def how_much() -> Any:
    with connected() as s:
        s.sendall(b"abcdef")
        select.select([s], [], [], 5)
        room = array.array("i", [0])
        fcntl.ioctl(s, termios.FIONREAD, room)
        return room[0], s.recv(100).decode(), fcntl.ioctl(s, termios.FIONREAD, room), room[0]


@case
def timeouts() -> Any:
    with connected() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100_000))
        began = time.monotonic()
        result = tried(s.recv, 10)
        took = time.monotonic() - began
        back = struct.unpack("ll", s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16))
        return result, 0.09 < took < 5, back


@case
def send_timeout() -> Any:
    with connected("hold 10") as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100_000))
        for _ in range(100):
            if not isinstance(result := tried(s.send, bytes(1 << 20)), int):
                return result
        return "never"


@case
def full() -> Any:
    with connected("hold 10") as s:
        s.setblocking(False)
        total, ready = 0, [s]
        while ready and total < 1 << 28:  # what is under way makes room for some time
            if isinstance(sent := tried(s.send, bytes(65536)), int):
                total += sent
                continue
            _, ready, _ = select.select([], [s], [], 0.1)
        return total > 1000, ready


@case
def much() -> Any:
    data = os.urandom(1 << 20)
    with connected() as s:
        thread = threading.Thread(target=s.sendall, args=(data,))
        thread.start()
        got = bytearray()
        while len(got) < len(data):
            got += s.recv(1 << 16)
        thread.join()
        return bytes(got) == data


@case
def ends() -> Any:
    with connected("sink") as s:
        s.sendall(b"x" * 1000)
        s.shutdown(socket.SHUT_WR)
        return s.recv(100).decode(), s.recv(100).decode(), tried(s.send, b"x"), tried(s.shutdown, 7)


@case
def broken_pipe() -> Any:
    got: list[int] = []
    before = signal.signal(signal.SIGPIPE, lambda number, frame: got.append(number))
    with connected() as s:
        s.shutdown(socket.SHUT_WR)
        quiet = tried(s.send, b"x", socket.MSG_NOSIGNAL), len(got)
        loud = tried(s.send, b"x"), len(got)
        wrote = tried(os.write, s.fileno(), b"x"), len(got)
    signal.signal(signal.SIGPIPE, before)
    return quiet, loud, wrote


@case
def reset_by_peer() -> Any:
    with connected("reset") as s:
        return tried(s.recv, 10), tried(s.recv, 10)


@case
def duplicates() -> Any:
    with connected() as s:
        number = os.dup(s.fileno())
        other = os.dup2(number, 77)
        third = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 90)
        s.sendall(b"abc")
        first = os.read(number, 1), os.read(other, 1), os.read(third, 1)
        flags = fcntl.fcntl(third, fcntl.F_GETFD), fcntl.fcntl(other, fcntl.F_GETFD)
        s.setblocking(False)
        shared = os.get_blocking(other)
        os.close(number)
        os.close(third)
        file = os.open("/dev/null", os.O_WRONLY)
        os.dup2(file, other)
        written = os.write(other, b"gone")
        os.close(file)
        os.close(other)
        return [octet.decode() for octet in first], third, flags, shared, written, tried(s.recv, 10)


@case
def flags() -> Any:
    with connected() as s:
        before = fcntl.fcntl(s, fcntl.F_GETFL)
        fcntl.fcntl(s, fcntl.F_SETFL, os.O_NONBLOCK)
        after = fcntl.fcntl(s, fcntl.F_GETFL)
        fcntl.ioctl(s, 0x5421, struct.pack("i", 0))
        return before, after, fcntl.fcntl(s, fcntl.F_GETFL), tried(fcntl.fcntl, s, fcntl.F_SETLK, bytes(32))


@case
def not_of_a_socket() -> Any:
    with connected() as s:
        n = s.fileno()
        return tried(os.lseek, n, 0, 0), tried(os.pread, n, 1, 0), tried(os.ftruncate, n, 0), os.isatty(n)


@case
def closed_number() -> Any:
    number = connected().detach()
    os.close(number)
    return tried(os.close, number), tried(os.read, number, 1), tried(os.dup, number)


@case
def interrupted() -> Any:
    got: list[int] = []
    signal.signal(signal.SIGALRM, lambda number, frame: got.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with connected("parts 10 1") as s:  # Python itself goes on after EINTR, when the handler raises nothing
        first = len(s.recv(10))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        second = s.recv(10).decode()
        signal.setitimer(signal.ITIMER_REAL, 0)
        return first, second, len(got) >= 0


@case
def from_a_file() -> Any:
    with tempfile.TemporaryFile() as file, connected("sink") as s:
        file.write(b"f" * 300_000)
        file.flush()
        file.seek(1000)
        sent = 0
        while sent < 200_000:
            sent += os.sendfile(s.fileno(), file.fileno(), 50 + sent, 200_000 - sent)
        place = file.seek(0, 1)
        reader, writer = os.pipe()
        wrong = tried(os.sendfile, s.fileno(), reader, None, 10), tried(os.sendfile, s.fileno(), s.fileno(), None, 10)
        os.close(reader)
        os.close(writer)
        s.shutdown(socket.SHUT_WR)
        return sent, place, wrong, s.recv(100).decode()


@case
def the_end_of_a_file() -> Any:
    with tempfile.TemporaryFile() as file, connected("hold 10") as s:
        file.write(b"f" * 70_000)
        file.flush()
        short = os.sendfile(s.fileno(), file.fileno(), 50_000, 1 << 20)
        after = os.sendfile(s.fileno(), file.fileno(), 70_000, 10), os.sendfile(s.fileno(), file.fileno(), 0, 0)
        wrong = [tried(os.sendfile, s.fileno(), number, place, 10) for number, place in ((file.fileno(), -1), (999, 0))]
        with tempfile.NamedTemporaryFile() as named, open(named.name, "wb") as unread:
            wrong.append(tried(os.sendfile, s.fileno(), unread.fileno(), 0, 10))
        file.seek(69_000)
        own = os.sendfile(s.fileno(), file.fileno(), None, 5000), file.seek(0, 1)
        s.setblocking(False)
        while isinstance(full := tried(os.sendfile, s.fileno(), file.fileno(), 0, 70_000), int):
            pass
        return short, after, wrong, own, full


@case
def through_a_pipe() -> Any:
    reader, writer = os.pipe()
    with connected() as s:
        number, now = s.fileno(), os.SPLICE_F_NONBLOCK
        nothing = [tried(os.splice, reader, number, 10, None, None, now)]
        s.setblocking(False)
        nothing.append(tried(os.splice, number, writer, 10))
        s.setblocking(True)
        os.write(writer, b"through")
        gone = os.splice(reader, number, 100)
        came = os.splice(number, writer, 100)
        while came < gone:
            came += os.splice(number, writer, 100)
        through = os.read(reader, 100).decode()
        os.set_blocking(writer, False)
        while isinstance(tried(os.write, writer, b"x" * 4096), int):
            pass
        os.set_blocking(writer, True)
        s.send(b"more")
        s.recv(4, socket.MSG_PEEK)
        full = tried(os.splice, number, writer, 10, None, None, now)
        wrong = tried(os.splice, reader, number, 10, 0), tried(os.splice, number, number, 10)
    os.close(writer)
    os.close(reader)
    return nothing, gone, came, through, full, wrong


@case
def gather_and_scatter() -> Any:
    with connected() as s:
        sent = s.sendmsg([b"abc", b"", b"defg"])
        rooms = [bytearray(2), bytearray(10)]
        got = os.readv(s.fileno(), rooms)
        while got < 7:
            got += len(s.recv(10))
        return sent, os.writev(s.fileno(), [b"x", b"yz"]), rooms[0].decode(), s.recv(1).decode()


@case
def datagrams() -> Any:
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(b"first", (ADDRESS, PORT))
        octets, source = s.recvfrom(100)
        s.sendto(b"second", (ADDRESS, PORT))
        short, _, how, _ = s.recvmsg(3)
        s.connect((ADDRESS, PORT))
        s.send(b"third")
        third = s.recv(100)
        s.send(b"")
        answers = octets.decode(), source[1] == PORT, short.decode(), how, third.decode(), len(s.recv(100))
        s.setblocking(False)
        return answers, tried(s.recv, 10)


@case
def datagram_errors() -> Any:
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as s:
        unconnected = tried(s.send, b"x"), tried(s.sendto, b"x" * 70_000, (ADDRESS, PORT))
        s.connect((ADDRESS, PORT + 1))
        s.send(b"x")
        refused, _, _ = select.select([s], [], [], 5)
        return unconnected, len(refused), tried(s.send, b"x"), tried(s.listen), tried(s.accept) == 1


@case
def options() -> Any:
    with connected() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        said = [s.getsockopt(socket.IPPROTO_TCP, name) for name in (socket.TCP_NODELAY, socket.TCP_CORK)]
        said += [s.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_TYPE, socket.SO_DOMAIN)]
        said += [s.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_PROTOCOL, socket.SO_ACCEPTCONN)]
        return said, tried(s.setsockopt, 12345, 1, 1), tried(s.getsockopt, socket.IPPROTO_TCP, 9999)


@case
def options_before() -> Any:
    with socket.socket(FAMILY) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
        s.connect((ADDRESS, PORT))
        names = (socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), [s.getsockopt(*name) for name in names]


def main() -> None:
    said = {}
    for name in sys.argv[3:] or CASES:
        watch = threading.Timer(20, lambda name=name: os.write(2, f"{name} hangs\n".encode()) and os._exit(3))
        watch.start()
        try:
            said[name] = CASES[name]()
        except Exception as error:
            said[name] = repr(error)
        finally:
            watch.cancel()
    print(json.dumps(said, default=repr), flush=True)


if __name__ == "__main__":
    main()
