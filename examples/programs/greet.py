"""A server that greets and a client that listens, with the standard module's calls and memory that is lent:
`greet.py serve PORT`, `greet.py ask ADDRESS PORT`. Start both with `pronghorn run --no-preload`."""

from __future__ import annotations

import sys

from pronghorn import socket


def serve(port: int) -> None:
    with socket.create_server(("", port)) as server:
        while True:
            connection, peer = server.accept()
            text = f"hello {peer[0]}\n".encode()
            with connection, connection.send_buffer(len(text)) as loan:  # memory of the send buffer itself
                octets = min(len(loan.memory), len(text))
                loan.memory[:octets] = text[:octets]
                loan.commit(octets)  # it goes out as it lies there


def ask(address: str, port: int) -> None:
    with socket.create_connection((address, port)) as connection:
        while True:
            with connection.receive_view() as loan:  # what has come, where it lies
                if not loan.memory:
                    return
                sys.stdout.write(bytes(loan.memory).decode())
                loan.release(len(loan.memory))  # read; what is not released comes again


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    if verb == "serve":
        serve(int(words[0]))
    else:
        ask(words[0], int(words[1]))
