"""Servers that fork, each in its own manner. Every answer names the process.

fork_servers.py PORT KIND
    beside-WAIT     the parent serves beside two children; WAIT: accept, epoll, poll, select
    master-WAIT     the children alone do; the parent waits for something else in that manner
    forking         socketserver.ForkingTCPServer
    processes       multiprocessing, processes that accept
    threads         a child that was forked while four threads used sockets
    user            two children that give up root before they use anything
    late            a child for each connection, which leaves it alone and ends or closes it: its parent hears of it
    never           a child that leaves its connection alone until there is another one, and says what it has then
    early           the same; its parent says when it has let go of the connection
    execl execlp execle fexecve spawn     another image serves the listener
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import select
import signal
import socket
import socketserver
import sys
import threading
import time

NOBODY = 65534


def serve(connection: socket.socket) -> None:
    connection.setblocking(True)
    with connection, contextlib.suppress(ConnectionError):
        while octets := connection.recv(1000):
            connection.sendall(octets + b" %d" % os.getpid())


def wait(listener: socket.socket, how: str, seconds: float | None = None) -> None:
    if how == "epoll":
        with select.epoll() as epoll:
            epoll.register(listener, select.EPOLLIN)
            epoll.poll(seconds)
    elif how == "poll":
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.poll(seconds and seconds * 1000)
    elif how == "select":
        select.select([listener], [], [], seconds)


def accept_always(listener: socket.socket, how: str = "accept") -> None:
    listener.setblocking(how == "accept")
    while True:
        wait(listener, how)
        with contextlib.suppress(BlockingIOError):
            serve(listener.accept()[0])


def ready(children: list[int] | None = None) -> None:
    print(json.dumps({"ready": os.getpid(), "children": children or []}), flush=True)


def fork(listener: socket.socket, count: int = 2, user: int = 0) -> list[int]:
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            if user:
                os.setgid(user)
                os.setuid(user)
            accept_always(listener)
        children.append(child)
    return children


def forking(port: int) -> None:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            serve(self.request)

    socketserver.ForkingTCPServer.allow_reuse_address = True
    with socketserver.ForkingTCPServer(("", port), Handler) as server:
        ready()
        server.serve_forever()


def processes(listener: socket.socket) -> None:
    made = [multiprocessing.get_context("fork").Process(target=accept_always, args=(listener,)) for _ in range(3)]
    for process in made:
        process.start()
    ready([process.pid or 0 for process in made])
    for process in made:
        process.join()


def threads(listener: socket.socket) -> None:
    def ask_always() -> None:
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.sendto(b"anybody", ("192.0.2.7", 9))
                asker.settimeout(0.001)
                with contextlib.suppress(OSError):
                    asker.recv(10)

    for _ in range(4):
        threading.Thread(target=ask_always, daemon=True).start()
    children = []
    for _ in range(4):
        time.sleep(0.02)
        children += fork(listener, 1)
    ready(children)
    signal.pause()


def late(listener: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for number in range(1 << 30):
        connection, _ = listener.accept()
        if os.fork() == 0:
            if number % 2:
                connection.close()
                time.sleep(30)
            time.sleep(0.3)
            os._exit(0)
        connection.close()


def never(listener: socket.socket, says: bool) -> None:
    connection, _ = listener.accept()
    connection.settimeout(8)
    told, tell = os.pipe()
    if os.fork() == 0:
        os.read(told, 1)
        try:
            print(json.dumps(connection.recv(10).decode()), flush=True)
        except OSError as error:
            print(json.dumps(type(error).__name__), flush=True)
        return
    connection.close()
    if says:
        ready()
    listener.accept()
    os.write(tell, b"x")
    os.wait()


def execute(listener: socket.socket, how: str) -> None:
    libc, me = ctypes.CDLL(None, use_errno=True), os.fsencode(sys.executable)
    os.set_inheritable(listener.fileno(), True)
    words = [me, os.fsencode(__file__), b"%d" % listener.fileno(), b"inherited"]
    if how == "fexecve":
        os.execve(os.open(me, os.O_RDONLY), words, os.environ)
    elif how == "spawn":
        os.posix_spawn(me, words, os.environ)
        listener.close()
        signal.pause()
    elif how == "execle":
        texts = [b"%s=%s" % (name, value) for name, value in os.environb.items()]
        libc.execle(me, *words, None, (ctypes.c_char_p * (len(texts) + 1))(*texts))
    else:
        getattr(libc, how)(me, *words, None)
    sys.exit(f"{how}: {os.strerror(ctypes.get_errno())}")


def main() -> None:
    port, kind = int(sys.argv[1]), sys.argv[2]
    if kind == "inherited":
        ready()
        accept_always(socket.socket(fileno=port))
    if kind == "forking":
        forking(port)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))
    listener.listen(64)
    kind, _, how = kind.partition("-")
    if kind == "processes":
        processes(listener)
    elif kind == "threads":
        threads(listener)
    elif kind in ("never", "early"):
        ready()
        never(listener, kind == "early")
    elif kind in ("late", "beside"):
        ready(fork(listener) if kind == "beside" else [])
        late(listener) if kind == "late" else accept_always(listener, how)
    elif kind in ("master", "user"):
        children = fork(listener, user=NOBODY if kind == "user" else 0)
        other = socket.create_server(("", port + 1000))
        wait(other, how or "select", 0.05)  # now it serves no more
        ready(children)
        wait(other, how or "select")
    else:
        execute(listener, kind)


if __name__ == "__main__":
    main()
