"""Wait until a TCP port accepts: `python await_port.py ADDRESS PORT SECONDS`; exit status 1 when it never does."""

import socket
import sys
import time


def await_port(address: str, port: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection((address, port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.002)
    return False


if __name__ == "__main__":
    if not await_port(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])):
        sys.exit(f"{sys.argv[1]} port {sys.argv[2]} did not accept a connection within {sys.argv[3]} s")
