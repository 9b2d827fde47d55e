"""A DNS server that knows one name, and its client: UDP with the standard library (RFC 1035 section 4).

    python3 dns.py serve 10.1.0.1 5300
    python3 dns.py ask 10.1.0.1 5300 www.example.test

Every name below example.test has the address 192.0.2.7; of any other the server says that there is none.
"""

from __future__ import annotations

import socket
import struct
import sys

ADDRESS, SUFFIX = "192.0.2.7", b"\x07example\x04test\x00"
HEADER = struct.Struct("!HHHHHH")


def answer(query: bytes) -> bytes:
    """The answer to a query with one question; other datagrams get none."""
    number, flags, questions, *_ = HEADER.unpack_from(query)
    end = query.index(b"\0", HEADER.size) + 1
    question = query[HEADER.size : end + 4]
    known = questions == 1 and query[:end].endswith(SUFFIX) and query[end : end + 4] == b"\0\x01\0\x01"
    head = HEADER.pack(number, flags & 0x0100 | (0x8480 if known else 0x8483), 1, int(known), 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(ADDRESS)
    return head + question + (record if known else b"")


def serve(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        while True:
            query, client = server.recvfrom(512)
            try:
                server.sendto(answer(query), client)
            except (struct.error, ValueError):
                continue


def ask(address: str, port: int, name: str) -> str:
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\x01\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(HEADER.pack(7, 0x0100, 1, 0, 0, 0) + question, (address, port))
        reply = client.recv(512)
    count = HEADER.unpack_from(reply)[3]
    return socket.inet_ntoa(reply[-4:]) if count else f"there is no {name}"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        print(ask(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
