"""Clients of peer.py: `python asker.py transfer HOST OCTETS`, `python asker.py datagrams HOST SIZE...`.

Exit status 0 when everything came back as it was; what did not is said.
"""

import hashlib
import random
import socket
import sys

PATIENCE = 20.0  # s


def transfer(host: str, octets: int) -> None:
    """So many octets down, then up; both sides' hashes agree."""
    for verb in ("GET", "PUT"):
        with socket.create_connection((host, 80), PATIENCE) as own, own.makefile("rb") as answer:
            own.sendall(f"{verb} {octets}\n".encode())
            digest, left = hashlib.sha256(), octets
            while left:
                data = answer.read(min(left, 1 << 16)) if verb == "GET" else random.randbytes(min(left, 1 << 16))
                if verb == "PUT":
                    own.sendall(data)
                digest.update(data)
                left -= len(data)
            if answer.read(32) != digest.digest():
                raise SystemExit(f"{verb}: the hashes differ")


def datagrams(host: str, sizes: list[int]) -> None:
    """One datagram of each size from a port of its own, and its echo."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for size in sizes:
        with socket.socket(family, socket.SOCK_DGRAM) as own:
            own.settimeout(PATIENCE)
            own.connect((host, 53))
            data = random.randbytes(size)
            own.send(data)
            try:
                back = own.recv(70_000)
            except OSError as error:
                raise SystemExit(f"{size} octets: {error}") from None
            if back != data:
                raise SystemExit(f"{size} octets: came back changed")


if __name__ == "__main__":
    what, host, *numbers = sys.argv[1:]
    if what == "transfer":
        transfer(host, int(numbers[0]))
    else:
        datagrams(host, [int(number) for number in numbers])
