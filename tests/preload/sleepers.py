"""A server whose four threads each wait for the listener in an epoll set of their own.

sleepers.py PORT TIMES [exclusive]      after so many connections: how often a thread was woken, how many it accepted
"""

import contextlib
import json
import select
import socket
import sys
import threading

PORT, TIMES = int(sys.argv[1]), int(sys.argv[2])
EVENTS = select.EPOLLIN | (select.EPOLLEXCLUSIVE if sys.argv[3:] == ["exclusive"] else 0)

listener = socket.create_server(("192.0.2.1", PORT))
listener.setblocking(False)
counts = {"woken": 0, "accepted": 0}
changing, over = threading.Lock(), threading.Event()


def wait() -> None:
    with select.epoll() as epoll:
        epoll.register(listener, EVENTS)
        while True:
            epoll.poll()
            connection = None
            with contextlib.suppress(BlockingIOError):
                connection, _ = listener.accept()
            with changing:
                counts["woken"] += 1
                counts["accepted"] += connection is not None
            if connection is not None:
                connection.setblocking(True)
                with connection:
                    while octets := connection.recv(100):
                        connection.sendall(octets + b" %d" % threading.get_native_id())
                if counts["accepted"] == TIMES:
                    over.set()


for _ in range(4):
    threading.Thread(target=wait, daemon=True).start()
print(json.dumps({"ready": True}), flush=True)
over.wait()
print(json.dumps(counts), flush=True)
