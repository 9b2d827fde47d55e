"""epoll, poll and select, call by call: run on the kernel's sockets and on ours, the two lists must be the same.

ready_cases.py ADDRESS PORT       peer.py listens there
"""

import contextlib
import ctypes
import errno
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

ADDRESS, PORT = sys.argv[1], int(sys.argv[2])
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
LIBC = ctypes.CDLL(None, use_errno=True)
IN, OUT, RDHUP, HUP, ERR = select.EPOLLIN, select.EPOLLOUT, select.EPOLLRDHUP, select.EPOLLHUP, select.EPOLLERR
ADD, DELETE, CHANGE = 1, 2, 3


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


def names(found: list[tuple[int, int]], **numbers: Any) -> list[tuple[str, int]]:
    """Events with names for numbers."""
    by_number = {n if isinstance(n, int) else n.fileno(): name for name, n in numbers.items()}
    return sorted((by_number.get(number, "?"), events) for number, events in found)


def control(epoll: int, operation: int, number: int, events: int = IN, null: bool = False) -> Any:
    """epoll_ctl with any arguments."""
    room = ctypes.create_string_buffer(struct.pack("=IQ", events & 0xFFFFFFFF, number & 0xFFFFFFFF))
    done = LIBC.epoll_ctl(epoll, operation, number, None if null else room)
    return done if done == 0 else errno.errorcode[ctypes.get_errno()]


def wait(epoll: int, room: int, timeout: int = 0, null: bool = False) -> Any:
    target = ctypes.create_string_buffer(12 * max(min(room, 64), 1))
    done = LIBC.epoll_wait(epoll, None if null else target, room, timeout)
    return done if done >= 0 else errno.errorcode[ctypes.get_errno()]


def level() -> Any:
    with connected() as s, select.epoll() as e:
        e.register(s, IN)
        nothing = e.poll(0)
        s.sendall(b"abc")
        first = names(e.poll(5), s=s)
        again = names(e.poll(5), s=s)
        s.recv(2)
        left = names(e.poll(5), s=s)
        s.recv(10)
        return nothing, first, again, left, e.poll(0.01)


def edge() -> Any:
    with connected() as s, select.epoll() as e:
        s.setblocking(False)
        e.register(s, IN | OUT | select.EPOLLET)
        first = names(e.poll(5), s=s)
        again = e.poll(0.01)
        s.sendall(b"abc")
        came = names(e.poll(5), s=s)
        while not (came[0][1] & IN):
            came = names(e.poll(5), s=s)
        over = e.poll(0.01)
        s.recv(1)
        return first, again, came[0][1] & IN, over, e.poll(0.01)


def once() -> Any:
    with connected() as s, select.epoll() as e:
        e.register(s, IN | select.EPOLLONESHOT)
        s.sendall(b"abc")
        first = names(e.poll(5), s=s)
        again = e.poll(0.01)
        e.modify(s, IN | select.EPOLLONESHOT)
        return first, again, names(e.poll(5), s=s), e.poll(0.01)


def wrong_arguments() -> Any:
    with connected() as s, select.epoll() as e:
        n, number = e.fileno(), s.fileno()
        file = os.open("/etc/hostname", os.O_RDONLY)
        said = [
            control(n, ADD, number, null=True),
            control(n, DELETE, number),
            control(n, CHANGE, number),
            control(n, 77, number),
            control(n, ADD, number),
            control(n, ADD, number),
            control(n, CHANGE, number, OUT),
            control(n, ADD, n),
            control(n, ADD, 999),
            control(n, ADD, -1),
            control(999, ADD, number),
            control(number, ADD, n),
            control(file, ADD, number),
            control(n, ADD, file),
            control(n, CHANGE, number, IN | select.EPOLLEXCLUSIVE),
            control(n, DELETE, number, null=True),
            control(n, DELETE, number),
            control(n, ADD, number, IN | select.EPOLLEXCLUSIVE | select.EPOLLONESHOT),
            control(n, ADD, number, IN | select.EPOLLEXCLUSIVE),
            control(n, CHANGE, number, IN),
            wait(n, 0),
            wait(n, -1),
            wait(n, 1 << 30),
            wait(number, 1),
            wait(file, 1),
            wait(999, 1),
            tried(select.epoll, -1, 0x12345),
        ]
        os.close(file)
        return said[:-1]


def kernels_and_ours_together() -> Any:
    reader, writer = os.pipe()
    with connected() as s, select.epoll() as e:
        e.register(s, IN)
        e.register(reader, IN)
        e.register(writer, OUT)
        e.modify(writer, 0)
        os.write(writer, b"x")
        pipe = names(e.poll(5), s=s, reader=reader)
        s.sendall(b"abc")
        both: set[str] = set()
        end = time.monotonic() + 5
        while len(both) < 2 and time.monotonic() < end:
            both |= {name for name, _ in names(e.poll(5), s=s, reader=reader)}
        one = {number for _ in range(300) for number, _ in e.poll(5, 1)}
        os.close(writer)
        hung = dict(names(e.poll(5), s=s, reader=reader))
        while "reader" not in hung:
            hung = dict(names(e.poll(5), s=s, reader=reader))
        os.close(reader)
        return pipe, sorted(both), len(one), hung["reader"], names(e.poll(1), s=s)


def neither_starves() -> Any:
    """A pipe that is always ready and a socket that always answers: both are heard of."""
    reader, writer = os.pipe()
    os.write(writer, b"x")
    with connected() as s, select.epoll() as e:
        e.register(s, IN)
        e.register(reader, IN)
        seen = {"s": 0, "reader": 0}
        end = time.monotonic() + 5
        while min(seen.values()) < 20 and time.monotonic() < end:
            for name, _ in names(e.poll(5), s=s, reader=reader):
                seen[name] += 1
            s.sendall(b"x")
        os.closerange(reader, writer + 1)
        return min(seen.values()) >= 20


def nested() -> Any:
    reader, writer = os.pipe()
    with connected() as s, select.epoll() as inner, select.epoll() as outer:
        outer.register(inner, IN)
        inner.register(reader, IN)
        inner.register(s, IN)
        quiet = outer.poll(0.01)
        s.sendall(b"abc")
        loud = names(outer.poll(5), inner=inner)
        by_poll = len(select.select([inner], [], [], 5)[0])
        s.recv(10)
        quiet_again = outer.poll(0.01)
        os.write(writer, b"x")
        pipe = names(outer.poll(5), inner=inner)
        loop = control(inner.fileno(), ADD, outer.fileno())
        os.closerange(reader, writer + 1)
        return quiet, loud, by_poll, quiet_again, pipe, loop


def before_connect() -> Any:
    with socket.socket(FAMILY) as s, select.epoll() as e:
        s.setblocking(False)
        e.register(s, IN | OUT | RDHUP)
        fresh = names(e.poll(0), s=s)
        first = tried(s.connect, (ADDRESS, PORT))
        found = names(e.poll(5), s=s)
        return fresh, first, found, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def the_others_end() -> Any:
    with connected("parts 5 1") as s, select.epoll() as e:
        s.recv(10)
        e.register(s, IN | RDHUP)
        ended = names(e.poll(5), s=s)
        s.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        return ended, names(e.poll(5), s=s)


def closed_while_in_a_set() -> Any:
    with select.epoll() as e:
        s = connected()
        e.register(s, IN)
        s.sendall(b"x")
        before = len(e.poll(5))
        s.close()
        with connected() as other:
            number = other.fileno()
            return before, e.poll(0), tried(e.unregister, number), tried(e.register, number, IN)


def closed_set() -> Any:
    with connected() as s:
        e = select.epoll()
        e.register(s, IN)
        number = e.fileno()
        e.close()
        return wait(number, 1), control(number, ADD, s.fileno())


def a_thread_adds_while_another_waits() -> Any:
    with connected() as s, select.epoll() as e:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.extend(names(e.poll(5), s=s)))
        thread.start()
        time.sleep(0.1)
        s.sendall(b"abc")
        time.sleep(0.05)
        e.register(s, IN)
        thread.join()
        return found


def several_threads_on_one_set() -> Any:
    with connected() as s, select.epoll() as e:
        e.register(s, IN | select.EPOLLET)
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(len(e.poll(0.5)))) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        s.sendall(b"abc")
        for thread in threads:
            thread.join()
        return sorted(found)


def time_is_kept() -> Any:
    with connected() as s, select.epoll() as e:
        e.register(s, IN)
        kept = []
        for seconds in (0.02, 0.2):
            calls: list[Callable[[float], Any]] = [e.poll, lambda t: select.select([s], [], [], t)[0]]
            for waits in calls:
                began = time.monotonic()
                found = waits(seconds)
                kept.append((seconds <= time.monotonic() - began, time.monotonic() - began < 5, found == []))
        return kept


def signals_end_it() -> Any:
    got: list[int] = []
    signal.signal(signal.SIGALRM, lambda number, frame: got.append(number))
    with connected() as s, select.epoll() as e:
        e.register(s, IN)
        said = []
        calls: list[Callable[[], Any]] = [lambda: wait(e.fileno(), 1, 9000), lambda: LIBC.poll(None, 0, 9000)]
        for call in calls:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            began = time.monotonic()
            said.append((call(), time.monotonic() - began < 6))
        return said, len(got)


def masks() -> Any:
    """epoll_pwait lets a blocked signal in, and it is blocked again afterwards."""
    got: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    with connected() as s, select.epoll() as e:
        e.register(s, IN)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # no other thread's, which does not block it
        blocked = wait(e.fileno(), 1, 50)
        target = ctypes.create_string_buffer(12)
        empty = ctypes.create_string_buffer(128)
        done = LIBC.epoll_pwait(e.fileno(), target, 1, 5000, empty)
        name = errno.errorcode.get(ctypes.get_errno()) if done < 0 else done
        mask = signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    return blocked, name, mask, len(got)


def poll_of_everything() -> Any:
    reader, writer = os.pipe()
    file = os.open("/etc/hostname", os.O_RDONLY)
    with connected() as s:
        numbers = {"s": s.fileno(), "reader": reader, "writer": writer, "file": file, "none": -3, "closed": 999}
        order = [*numbers, "s"]
        fds = b"".join(struct.pack("=ihh", numbers[name], 0x7, 0) for name in order)

        def asked() -> Any:
            room = ctypes.create_string_buffer(fds, len(fds))
            count = LIBC.poll(room, len(order), 100)
            return count, [struct.unpack_from("=ihh", room, 8 * place)[2] for place in range(len(order))]

        first = asked()
        s.sendall(b"abc")
        select.select([s], [], [], 5)
        os.write(writer, b"x")
        second = asked()
        for number in (reader, writer, file):
            os.close(number)
        return first, second


def select_of_everything() -> Any:
    reader, writer = os.pipe()
    with connected() as s:
        sets: tuple[list[Any], list[Any], list[Any]] = [s, reader], [s, writer], [s]
        first = [len(found) for found in select.select(*sets, 5)]
        s.sendall(b"abc")
        os.write(writer, b"x")
        select.select([s], [], [], 5)
        second = [len(found) for found in select.select(*sets, 5)]
        os.closerange(reader, writer + 1)
        return first, second, tried(select.select, [s, reader], [], [], 0)


def select_says_what_is_left() -> Any:
    with connected() as s:
        s.sendall(b"abc")
        read = ctypes.create_string_buffer(128)
        read[s.fileno() // 8] = bytes([1 << s.fileno() % 8])
        left = ctypes.create_string_buffer(struct.pack("ll", 5, 0), 16)
        count = LIBC.select(s.fileno() + 1, read, None, None, left)
        seconds, micro = struct.unpack("ll", left.raw)
        bad = ctypes.create_string_buffer(struct.pack("ll", -1, 0), 16)
        wrong = LIBC.select(s.fileno() + 1, read, None, None, bad), errno.errorcode[ctypes.get_errno()]
        return count, 4 <= seconds + micro / 1e6 < 5, read.raw[s.fileno() // 8] != 0, wrong


def full_socket() -> Any:
    with connected("hold 10") as s, select.epoll() as e:
        s.setblocking(False)
        e.register(s, OUT)
        while e.poll(0.05):
            with contextlib.suppress(BlockingIOError):
                while True:
                    s.send(bytes(65536))
        return e.poll(0.05), select.select([], [s], [], 0.05)[1]


def listener() -> Any:
    with socket.socket(FAMILY) as s, select.epoll() as e:
        e.register(s, IN)
        s.bind((ADDRESS if ADDRESS.startswith("127") or ADDRESS == "::1" else "", 0))
        s.listen()
        return e.poll(0.01), select.select([s], [], [], 0.01)[0], names(e.poll(0), s=s)


HELPERS = {"tried", "connected", "names", "control", "wait", "main"}


def main() -> None:
    functions = {name: found for name, found in globals().items() if getattr(found, "__module__", "") == __name__}
    cases = {name: found for name, found in functions.items() if name not in HELPERS}
    wanted = sys.argv[3:] or list(cases)
    said = {}
    for name in wanted:
        watch = threading.Timer(20, lambda name=name: os.write(2, f"{name} hangs\n".encode()) and os._exit(3))
        watch.start()
        try:
            said[name] = cases[name]()
        except Exception as error:
            said[name] = repr(error)
        finally:
            watch.cancel()
    print(json.dumps(said, default=repr), flush=True)


if __name__ == "__main__":
    main()
