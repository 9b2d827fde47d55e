"""Programs that mean harm to a gateway and to the others on it, or are simply broken.

hostile.py flood FAR PORT       datagrams to everybody, as fast as the processor allows
hostile.py bomb FAR PORT        processes that fork, each with connections that are opened and left, again and again
hostile.py deaf HERE PORT       accepts, and never reads
hostile.py breaker HERE PORT    sends much and dies in the middle; another process takes its place, again and again
hostile.py server HERE PORT     echoes: the one that is not to notice
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import sys
import threading
import time


def flood(far: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for number in itertools.count():
            with contextlib.suppress(OSError):
                sender.sendto(bytes(number % 1400), (far, port + number % 100))


def bomb(far: str, port: int) -> None:
    for _ in range(3):
        os.fork()  # eight processes
    kept: list[socket.socket] = []
    while True:
        made = socket.socket()
        made.setblocking(False)
        with contextlib.suppress(OSError):
            made.connect((far, port))
        kept.append(made)
        if len(kept) > 500:
            kept.clear()


def listen(here: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((here, port))
    listener.listen(64)
    print("listening", flush=True)
    return listener


def deaf(here: str, port: int) -> None:
    listener = listen(here, port)
    kept: list[object] = []
    while True:
        kept.append(listener.accept())


def breaker(here: str, port: int) -> None:
    while True:
        child = os.fork()
        if child == 0:
            connection, _ = listen(here, port).accept()
            connection.settimeout(0.2)
            with contextlib.suppress(OSError):
                connection.sendall(bytes(1 << 22))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)


def server(here: str, port: int) -> None:
    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while octets := connection.recv(65536):
                connection.sendall(octets)

    listener = listen(here, port)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def ask(far: str, port: int, seconds: float) -> None:
    """The server's client: how often it was served, how often not, and how long the slowest took."""
    end, served, failed, slowest = time.monotonic() + seconds, 0, 0, 0.0
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            with socket.create_connection((far, port), timeout=5) as asker:
                asker.sendall(b"hello")
                served += asker.recv(10) == b"hello"
        except OSError:
            failed += 1
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.01)
    print(served, failed, slowest)


def push(far: str, port: int, seconds: float) -> None:
    """Connections to a bad server, with more than it takes."""
    end = time.monotonic() + seconds
    kept: list[socket.socket] = []
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            made = socket.create_connection((far, port), timeout=0.3)
            kept = [*kept[-5:], made]
            made.sendall(bytes(1 << 22))
        time.sleep(0.02)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], int(sys.argv[3]), *map(float, sys.argv[4:]))
