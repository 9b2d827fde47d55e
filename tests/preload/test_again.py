"""Programs that come one after the other: a server's TIME-WAIT of one lets connections of the next pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import native
from pronghorn.compiled import mode
from tests.preload.link import finish, linked, say

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")

PORTS = 512  # for outgoing connections: each is used again and again
CONNECTIONS = 1500
STALL = 0.5  # s; a SYN that TIME-WAIT does not let pass is sent again after one second

SERVER = """
import json, socket
listener = socket.create_server(("10.77.0.1", 6030), backlog=64)
print(json.dumps("ready"), flush=True)
while True:
    listener.accept()[0].close()
"""

CLIENT = f"""
import json, socket, time
longest = 0
for _ in range({CONNECTIONS}):
    begun = time.monotonic()
    connection = socket.create_connection(("10.77.0.1", 6030))
    assert connection.recv(1) == b""
    connection.close()
    longest = max(longest, time.monotonic() - begun)
print(json.dumps(longest))
"""


def test_programs_that_follow_each_other_never_stall(interposer: Path, tmp_path: Path) -> None:
    config = tmp_path / "ports.toml"
    config.write_text(f'[sockets]\nlocal_ports = "20000-{20000 + PORTS - 1}"\n')
    with linked(interposer, tmp_path) as link:
        say(link.python(1, SERVER))
        for _ in range(4):
            status, out, err = finish(link.python(2, CLIENT, "--config", str(config)))
            assert (status, err) == (0, "")
            assert json.loads(out) < STALL


def test_an_interposer_of_another_library_is_refused(interposer: Path, tmp_path: Path) -> None:
    for name in ("libpronghorn.so", "pronghorn.h"):
        (tmp_path / name).symlink_to(interposer.with_name(name))
    library = tmp_path / "libpronghorn.so"
    native.build_interposer(library, tmp_path / "libpronghorn-preload.so", ('-DLIBRARY_HASH="0123456789abcdef"',))
    code = "import socket\nsocket.create_server(('10.77.0.1', 6031))"
    with linked(library, tmp_path) as link:
        status, _, err = finish(link.python(1, code, "--strict"))
    assert status != 0
    assert "libpronghorn.so is another build" in err
    assert "0123456789ab" in err
