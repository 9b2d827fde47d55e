"""The other end, in plain Python: takes connections and datagrams at one port, and does what the first line says."""

import contextlib
import os
import socket
import struct
import sys
import threading
import time


def serve(connection: socket.socket) -> None:
    """One connection. Its first line is a command."""
    line = b""
    while not line.endswith(b"\n"):
        octet = connection.recv(1)
        if not octet:
            return
        line += octet
    command, *arguments = line.decode().split()
    if command == "echo":
        while octets := connection.recv(65536):
            connection.sendall(octets)
    elif command == "parts":  # so many octets, again and again, with pauses
        for _ in range(int(arguments[1])):
            connection.sendall(b"p" * int(arguments[0]))
            time.sleep(0.02)
    elif command == "sink":
        total = 0
        while octets := connection.recv(65536):
            total += len(octets)
        connection.sendall(b"%d" % total)
    elif command == "hold":  # never reads
        time.sleep(float(arguments[0]))
    elif command == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def main() -> None:
    address, port = sys.argv[1], int(sys.argv[2])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(100)
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    datagrams.bind((address, port))

    def answer() -> None:
        while True:
            octets, source = datagrams.recvfrom(65536)
            datagrams.sendto(octets, source)

    def attend(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            serve(connection)

    threading.Thread(target=answer, daemon=True).start()
    print(f'{{"ready": {os.getpid()}}}', flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=attend, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
