"""A program behind a gateway and the kernel's sockets on the other side: both ways round, and the end of a process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.compiled import mode
from tests.peers.namespaces import Namespace, Stage, stage
from tests.preload.conftest import interposer

__all__ = ["interposer"]

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(300),  # the library may have to be built first
    pytest.mark.skipif(mode() == "interpreted", reason="the program's library is the same in every mode"),
]

SERVER = """
import socket, sys
listener = socket.create_server((sys.argv[1], 5000), reuse_port=False)
print("ready", flush=True)
while True:
    connection, peer = listener.accept()
    connection.sendall(peer[0].encode() + b" " + connection.recv(100))
    if not sys.argv[2:]:
        connection.close()
"""
CLIENT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 5000), timeout=None)
connection.sendall(b"hello")
print(connection.recv(100).decode(), flush=True)
try:
    print(connection.recv(100))
except OSError as error:
    print(error.errno)
"""
OURS, KERNEL = "10.9.0.1", "10.9.0.2"


class Place:
    """A namespace whose interface is a program's, and one of the kernel's."""

    def __init__(self, made: Stage, library: Path, folder: Path) -> None:
        self.program, self.kernel = made.namespace("program"), made.namespace("kernel")
        made.join(self.program, "eth0", self.kernel, "eth0")
        self.kernel.ip(f"address add {KERNEL}/24 dev eth0")
        more = {"PRONGHORN_LIBRARY": str(library), "PRONGHORN_RUNTIME_DIR": str(folder)}
        self._environment = {**made.marked(), **more}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, node: Namespace, *command: str) -> subprocess.Popen[str]:
        """Python code there; on the stack in the program's namespace."""
        run = [sys.executable, "-m", "pronghorn", "run", "--interface", "eth0", "--address", f"{OURS}/24", "--"]
        before = run if node is self.program else []
        process = subprocess.Popen(
            node.command(*before, sys.executable, "-c", *command),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    assert said, process.communicate()
    return said


@pytest.fixture
def place(interposer: Path, tmp_path: Path) -> Iterator[Place]:
    with stage() as made:
        here = Place(made, interposer, tmp_path)
        try:
            yield here
        finally:
            here.close()


def test_the_kernel_asks_a_program(place: Place) -> None:
    server = place.start(place.program, SERVER, OURS)
    assert line(server) == "ready"
    for _ in range(3):
        client = place.start(place.kernel, CLIENT, OURS)
        assert client.communicate(timeout=30)[0].split() == [KERNEL, "hello", "b''"]


def test_a_program_asks_the_kernel(place: Place) -> None:
    assert line(place.start(place.kernel, SERVER, KERNEL)) == "ready"
    client = place.start(place.program, CLIENT, KERNEL)
    assert client.communicate(timeout=60)[0].split() == [OURS, "hello", "b''"]


def test_the_peer_of_a_process_that_is_killed_hears_of_it(place: Place) -> None:
    server = place.start(place.program, SERVER, OURS, "keep")
    assert line(server) == "ready"
    client = place.start(place.kernel, CLIENT, OURS)
    assert line(client) == f"{KERNEL} hello"
    os.kill(server.pid, 9)
    assert int(client.communicate(timeout=30)[0]) == errno.ECONNRESET
