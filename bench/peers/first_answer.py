"""Ask until somebody answers: `python first_answer.py ADDRESS PORT SECONDS` prints when, in monotonic nanoseconds."""

import socket
import sys
import time

PATIENCE = 0.02  # for one attempt, in seconds; a round trip here takes far less than a millisecond


def attempt(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=PATIENCE) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(16).startswith(b"HTTP/1.")
    except OSError:
        return False


if __name__ == "__main__":
    end = time.monotonic() + float(sys.argv[3])
    while not attempt(sys.argv[1], int(sys.argv[2])):
        if time.monotonic() > end:
            sys.exit("no answer")
    print(time.monotonic_ns())
