"""Programs that give root up, at a gateway: what they may bind afterwards is what bind(2) lets them."""

from __future__ import annotations

import errno
import json
import os
import sys

import pytest

from pronghorn.compiled import mode
from pronghorn.control.register import sockets
from pronghorn.control.who import user_name
from tests.preload.link import finish
from tests.preload.test_fork import Programs, programs, running

__all__ = ["programs", "running"]

pytestmark = [
    pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it up"),
]

LEAVES = """
import json, os, socket, sys
def attempt(port, listens=True):
    s = socket.socket()
    try:
        s.bind((sys.argv[1], port))
        if listens:
            s.listen()
        kept.append(s)
    except OSError as error:
        return error.errno
    return 0
kept = []
said = [attempt(881), attempt(882, listens=False)]
if sys.argv[2] == "for a while":
    os.seteuid(65534)
    said += [attempt(883), attempt(8830)]
    os.seteuid(0)
    said += [attempt(883)]
else:
    os.setuid(65534)
    said += [attempt(883), attempt(8830)]
kept[1].listen()
print(json.dumps(said))
"""


@pytest.mark.parametrize(("how", "last"), [("for good", []), ("for a while", [0])])
@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.1"], ids=["ours", "kernel"])
def test_privileged_ports_are_for_who_has_rights_now(
    programs: Programs, address: str, how: str, last: list[int]
) -> None:
    """One that was bound before may be listened to afterwards."""
    status, out, err = finish(programs.start(sys.executable, "-c", LEAVES, address, how))
    assert status == 0, err
    assert json.loads(out) == [0, 0, errno.EACCES, 0, *last]


OTHER = """
import os, signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.setuid(65534)
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
signal.sigwait([signal.SIGTERM])
"""


@pytest.mark.parametrize("chosen", [True, False])
def test_sockets_of_a_program_whose_user_has_no_place_among_roots(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, chosen: bool
) -> None:
    """It keeps its table elsewhere, and root finds it: as one of the gateways that were chosen, or of any."""
    program = programs.start(sys.executable, "-c", OTHER, XDG_RUNTIME_DIR="/nonexistent")
    assert program.stdout is not None
    port = int(program.stdout.readline())
    if not chosen:
        monkeypatch.delenv("PRONGHORN_RUNTIME_DIR")
    (view,) = [view for view in sockets() if view.pid == program.pid]
    assert (view.local, view.path, view.reason) == (f"127.0.0.1:{port}", "kernel", "loopback")
    assert view.user == user_name(65534)
    program.terminate()
    assert finish(program)[0] == 0
    assert not [view for view in sockets() if view.pid == program.pid]
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", "/nonexistent")
    assert not [view for view in sockets() if view.pid == program.pid]
