"""A client of memcached's text protocol, over TCP and UDP: stores values, reads them back, several at a time."""

import os
import socket
import sys


def answer(stream: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        more = stream.recv(1 << 16)
        assert more, data[-100:]
        data += more
    return data


def main(address: str, port: int) -> None:
    streams = [socket.create_connection((address, port), 10) for _ in range(20)]
    values = [os.urandom(100 + 20_000 * place) for place in range(len(streams))]
    for place, (stream, value) in enumerate(zip(streams, values, strict=True)):
        stream.sendall(b"set key%d 0 0 %d\r\n%s\r\n" % (place, len(value), value))
    for stream in streams:
        assert answer(stream, b"\r\n") == b"STORED\r\n"
    for place, value in enumerate(values):
        stream = streams[-1 - place]
        stream.sendall(b"get key%d\r\n" % place)
        head = b"VALUE key%d 0 %d\r\n" % (place, len(value))
        assert answer(stream, b"\r\nEND\r\n") == head + value + b"\r\nEND\r\n"
    with socket.socket(streams[0].family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(5)
        datagrams.connect((address, port))
        datagrams.send(bytes.fromhex("0007000000010000") + b"get key0\r\n")
        reply = datagrams.recv(1500)
        assert reply[:2] == b"\x00\x07", reply
        assert reply[8:] == b"VALUE key0 0 100\r\n" + values[0] + b"\r\nEND\r\n", reply
    print("stored and read")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
