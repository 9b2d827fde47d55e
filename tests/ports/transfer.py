"""Both ends of a checked transfer over TCP or UDP: `python transfer.py serve|fetch tcp|udp ADDRESS OCTETS`.

tcp: the client sends OCTETS, the server sends them back; the client compares. udp: datagrams of up to 1,200 octets, one
at a time, echoed. Nothing but the standard library, so that it starts quickly in any namespace.
"""

import socket
import sys
import threading

PORT = 5000
PIECE = 1 << 16


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(kind: str, address: str) -> None:
    if kind == "udp":
        with socket.socket(family(address), socket.SOCK_DGRAM) as one:
            one.bind((address, PORT))
            print("ready", flush=True)
            while True:
                octets, client = one.recvfrom(2048)
                one.sendto(octets, client)
    with socket.create_server((address, PORT), family=socket.AddressFamily(family(address))) as listener:
        print("ready", flush=True)
        connection, _ = listener.accept()
        with connection:
            while octets := connection.recv(PIECE):
                connection.sendall(octets)


def fetch_tcp(address: str, count: int) -> None:
    wanted = bytes(range(251)) * (count // 251 + 1)
    with socket.create_connection((address, PORT), 20) as one:

        def send() -> None:
            one.sendall(wanted)
            one.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = bytearray()
        while octets := one.recv(PIECE):
            got += octets
        sender.join()
    assert got == wanted


def fetch_udp(address: str, count: int) -> None:
    with socket.socket(family(address), socket.SOCK_DGRAM) as one:
        one.settimeout(20)
        one.connect((address, PORT))
        for number in range(max(3, count // 1200)):
            octets = bytes([number & 255]) * (1 + number * 37 % 1200)
            one.send(octets)
            assert one.recv(2048) == octets


if __name__ == "__main__":
    side, how, where, octets_count = sys.argv[1:]
    if side == "serve":
        serve(how, where)
    elif how == "udp":
        fetch_udp(where, int(octets_count))
    else:
        fetch_tcp(where, int(octets_count))
