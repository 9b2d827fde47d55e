"""A server in the manner of nginx: the parent listens, its children serve. Every answer names the process.

prefork_server.py PORT CHILDREN [fork]      fork: a child for each connection, as PostgreSQL does it
"""

import json
import os
import select
import signal
import socket
import sys

PORT, CHILDREN = int(sys.argv[1]), int(sys.argv[2])


def serve(connection: socket.socket) -> None:
    with connection:
        while octets := connection.recv(1000):
            connection.sendall(octets + b" %d" % os.getpid())


def work(listener: socket.socket) -> None:
    with select.epoll() as epoll:
        epoll.register(listener, select.EPOLLIN)
        while True:
            epoll.poll()
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                continue
            connection.setblocking(True)
            serve(connection)


def fork_each(listener: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            serve(connection)
            os._exit(0)
        connection.close()


def main() -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", PORT))
    listener.listen(64)
    if sys.argv[3:] == ["fork"]:
        print(json.dumps({"ready": os.getpid()}), flush=True)
        fork_each(listener)
    listener.setblocking(False)
    children = []
    for _ in range(CHILDREN):
        child = os.fork()
        if child == 0:
            work(listener)
        children.append(child)
    print(json.dumps({"ready": os.getpid(), "children": children}), flush=True)
    os.wait()


if __name__ == "__main__":
    main()
