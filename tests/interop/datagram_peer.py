"""The kernel's side of a conversation in datagrams: `python datagram_peer.py ROLE ADDRESS PORT [MORE]`.

echo     answers every datagram with its octets, for ever
ask      sends datagrams of many lengths and says whether all came back as they were
group    sends three datagrams to the group ADDRESS by the interface of the address MORE
hear     joins the group ADDRESS and prints the first datagram to it
"""

from __future__ import annotations

import socket
import sys

SIZES = [0, 1, 100, 1472, 1473, 3000, 9000]


def main(role: str, address: str, port: int, more: str = "") -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as own:
        own.settimeout(5)
        if role == "echo":
            own.settimeout(None)
            own.bind((address, port))
            print("ready", flush=True)
            while True:
                octets, sender = own.recvfrom(65536)
                own.sendto(octets, sender)
        if role == "ask":
            own.connect((address, port))
            for size in SIZES:
                octets = bytes((size + place) & 0xFF for place in range(size))
                own.send(octets)
                if own.recv(65536) != octets:
                    print(f"{size} octets came back otherwise")
                    return 1
        elif role == "group":
            if family == socket.AF_INET:
                own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(more))
            else:
                own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(more))
            for _ in range(3):
                own.sendto(b"to the group", (address, port))
        elif role == "hear":
            own.bind(("", port))
            own.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(address) + socket.inet_aton(more)
            )
            print("ready", flush=True)
            print(own.recv(100).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
