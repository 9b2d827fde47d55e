"""A server of everything that these tests ask for, on IPv4 and IPv6: `python peer.py`.

TCP port 80    "GET n": n octets follow; "PUT n": takes n octets. Both end with the octets' SHA-256.
UDP port 53    sends back what comes
"""

import hashlib
import random
import socket
import threading

PIECE = 1 << 16


def listener(kind: int, port: int) -> socket.socket:
    own = socket.socket(socket.AF_INET6, kind)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    own.bind(("::", port))
    return own


def echo() -> None:
    with listener(socket.SOCK_DGRAM, 53) as own:
        while True:
            data, sender = own.recvfrom(70_000)
            own.sendto(data, sender)


def answer(client: socket.socket) -> None:
    with client, client.makefile("rb") as lines:
        verb, number = lines.readline().split()
        left, digest = int(number), hashlib.sha256()
        while left:
            data = random.randbytes(min(left, PIECE)) if verb == b"GET" else lines.read(min(left, PIECE))
            if verb == b"GET":
                client.sendall(data)
            digest.update(data)
            left -= len(data)
        client.sendall(digest.digest())


if __name__ == "__main__":
    threading.Thread(target=echo, daemon=True).start()
    with listener(socket.SOCK_STREAM, 80) as streams:
        streams.listen(100)
        while True:
            threading.Thread(target=answer, args=(streams.accept()[0],)).start()
