"""The kernel's side of a stream that is checked: `stream_peer.py serve PORT SEND RECEIVE` or `connect HOST PORT SEND
RECEIVE`.

Sends SEND octets of the stream of bench/tcp/pattern_app.py, ends its direction, and compares all it receives with the
same stream. At the end it writes a line of JSON: octets received, how many were wrong, seconds, and what the kernel
says about the connection (TCP_INFO). CONGESTION in the environment names the congestion control, as far as the kernel
grants it. Needs nothing but Python's own library.
"""

import contextlib
import json
import os
import random
import socket
import struct
import sys
import threading
import time

PERIOD = 8_388_593
CHUNK = 1 << 17
PATIENCE = 120.0
INFO = "8B24I4Q"  # the beginning of struct tcp_info, linux/tcp.h
FIELDS = {"retransmits_total": 8 + 23, "rtt_us": 8 + 15, "mss": 8 + 2, "lost": 8 + 6, "cwnd": 8 + 18}


def stream() -> memoryview:
    octets = random.Random(9293).randbytes(PERIOD)
    return memoryview(octets + octets[:CHUNK])


def send(own: socket.socket, octets: memoryview, count: int) -> None:
    done = 0
    while done < count:
        place = done % PERIOD
        done += own.send(octets[place : place + min(CHUNK, count - done)])
    own.shutdown(socket.SHUT_WR)


def receive(own: socket.socket, octets: memoryview) -> tuple[int, int]:
    """How many octets came, and how many of them were wrong."""
    done, wrong, room = 0, 0, bytearray(CHUNK)
    view = memoryview(room)
    while count := own.recv_into(room):
        expected = octets[done % PERIOD : done % PERIOD + count]
        if bytes(view[:count]) != bytes(expected):
            wrong += sum(a != b for a, b in zip(view[:count], expected, strict=True))
        done += count
    return done, wrong


def exchange(own: socket.socket, count: int) -> dict[str, object]:
    octets = stream()
    with contextlib.suppress(OSError):
        if name := os.environ.get("CONGESTION"):
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
    own.settimeout(PATIENCE)
    begin = time.monotonic()
    sender = threading.Thread(target=send, args=(own, octets, count))
    sender.start()
    received, wrong = receive(own, octets)
    sender.join()
    seconds = time.monotonic() - begin
    info = struct.unpack_from(INFO, own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))
    facts = {name: info[place] for name, place in FIELDS.items()}
    control = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    return {
        "received": received, "wrong": wrong, "seconds": seconds, **facts, "options": info[5], "congestion": control,
    }  # fmt: skip


def main(verb: str, *words: str) -> None:
    if verb == "serve":
        with socket.create_server(("::", int(words[0])), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
            own, _ = listener.accept()
    else:
        own = socket.create_connection((words[0], int(words[1])), PATIENCE)
    with own:
        result = exchange(own, int(words[-2]))
    if result["received"] != int(words[-1]):
        result["missing"] = int(words[-1]) - int(str(result["received"]))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
