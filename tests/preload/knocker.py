"""The client of server_cases.py: connects where a line on standard input says, and says what it says."""

import contextlib
import json
import socket
import sys
import threading


def visit(address: str, port: int, text: str) -> None:
    with contextlib.suppress(OSError), socket.create_connection((address, port), 5) as connection:
        connection.sendall(text.encode())
        while connection.recv(100):
            pass


def main() -> None:
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        threading.Thread(target=visit, args=(sys.argv[1], task["port"], task["say"]), daemon=True).start()


if __name__ == "__main__":
    main()
