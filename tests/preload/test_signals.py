"""Signals while a program waits in a call, and calls from within handlers: as on the kernel's sockets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import native
from pronghorn.compiled import mode
from tests.preload.link import finish, kernel_port, linked, say
from tests.preload.test_calls import script

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")


@pytest.mark.parametrize("how", ["completion", "wakeup"])
def test_signals_mean_what_they_mean_to_the_kernel(interposer: Path, tmp_path: Path, how: str) -> None:
    program = tmp_path / "signals"
    source = Path(__file__).with_name("signals.c")
    subprocess.run([native.compiler(), "-O1", "-Wall", "-Werror", "-o", str(program), str(source)], check=True)
    port = str(kernel_port())
    with subprocess.Popen(script("peer", "127.0.0.1", port), stdout=subprocess.PIPE, text=True) as peer:
        say(peer)
        done = subprocess.run([program, "127.0.0.1", port], capture_output=True, text=True, timeout=20, check=True)
        peer.kill()
    assert "0 wrong" in done.stdout
    with linked(interposer, tmp_path, how) as link:
        say(link.start(1, script("peer", "10.77.0.1", "6021")))
        assert finish(link.start(2, [str(program), "10.77.0.1", "6021"])) == (0, done.stdout, "")


RIGHTS = """
import json, os, socket, time
listener = socket.create_server(("10.77.0.1", 6024))
for _ in range(20):
    time.sleep(0.01)
    os.setresuid(-1, -1, -1)
print(json.dumps(len(os.listdir("/proc/self/task"))), flush=True)
with listener.accept()[0] as connection:
    connection.sendall(connection.recv(100))
"""

ASK = """
import socket
with socket.create_connection(("10.77.0.1", 6024), timeout=10) as s:
    s.sendall(b"still there?")
    print(s.recv(100).decode())
"""


def test_a_change_of_rights_does_not_end_the_stacks_thread(interposer: Path, tmp_path: Path) -> None:
    """libc's setresuid() and its kind interrupt all threads (nptl(7)), also those that block all signals."""
    with linked(interposer, tmp_path, "wakeup") as link:
        server = link.python(1, RIGHTS)
        assert say(server) == 2
        assert finish(link.python(2, ASK)) == (0, "still there?\n", "")
        assert finish(server) == (0, "", "")
