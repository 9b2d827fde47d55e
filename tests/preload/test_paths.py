"""Which path sockets take, what is said about it, and what others can read of it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from pronghorn.compiled import Array, mode
from pronghorn.state import register
from pronghorn.state.register import Record, Register
from tests.preload.link import finish, linked, say

pytestmark = pytest.mark.skipif(mode() == "interpreted", reason="programs run the same library in every mode")

PROGRAM = """
import errno, json, os, socket, sys

def tried(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno)

kept = []

def bound(address, port, kind=socket.SOCK_STREAM, listen=False):
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    kept.append(made)
    result = tried(made.bind, (address, port))
    return result if result else (tried(made.listen) if listen else None)

said = {
    "own": bound("10.77.0.1", 7001, listen=True),
    "any": bound("0.0.0.0", 7002, listen=True),
    "loopback": bound("127.0.0.1", 0, listen=True),
    "foreign": bound("127.9.9.9", 0),
    "datagrams": bound("0.0.0.0", 7003, socket.SOCK_DGRAM),
}
out = socket.socket()
out.settimeout(0.2)
said["far"] = tried(out.connect, ("198.51.100.1", 9)) in ("ENETUNREACH", "EHOSTUNREACH", "ETIMEDOUT", None)
said["refused"] = tried(out.connect, ("198.51.100.1", 9))
print(json.dumps([os.getpid(), said]), flush=True)
sys.stdin.read()
"""


def records(file: Path) -> tuple[Register, list[Record], Any]:
    """The table of a program, and the memory that it lies in."""
    content = file.read_bytes()
    memory = ctypes.create_string_buffer(len(content) + 64)
    start = -(-ctypes.addressof(memory) // 64) * 64
    ctypes.memmove(start, content, len(content))
    head = Register(start)
    rows: Array[Record] = Array(Record, start + Register.SIZE)
    return head, [rows[place] for place in range(head.used)], memory


def test_paths_are_chosen_reported_and_listed(interposer: Path, tmp_path: Path) -> None:
    with linked(interposer, tmp_path) as link:
        program = link.python(1, PROGRAM, stdin=-1)
        pid, said = say(program)
        assert [said[name] for name in ("own", "any", "loopback", "foreign", "datagrams")] == [None] * 5
        file = tmp_path / "programs" / str(pid)
        assert file.stat().st_mode & 0o777 == 0o600
        head, rows, _ = records(file)
        assert (head.magic, head.version, head.pid) == (register.MAGIC, register.VERSION, pid)
        found = {row.own_port: (row.path, row.state) for row in rows if row.path != register.FREE}
        assert found[7001] == (register.OURS, register.LISTENING)
        assert found[7002] == (register.BOTH, register.LISTENING)
        assert found[7003] == (register.BOTH, register.BOUND)
        reasons = {bytes(row.reason[place] for place in range(64)).rstrip(b"\0").decode() for row in rows}
        assert {"loopback", "not reached by the link"} <= reasons
        _, _, err = finish(program)
        assert "a socket is the kernel's: not reached by the link" in err
        assert "loopback" not in err
        assert not file.exists()


def test_strict_refuses_what_the_link_does_not_reach(interposer: Path, tmp_path: Path) -> None:
    with linked(interposer, tmp_path) as link:
        program = link.python(1, PROGRAM, "--strict", stdin=-1)
        _, said = say(program)
        assert said["refused"] == "ENETUNREACH"
        assert said["loopback"] is None
        assert "--strict" in finish(program)[2]


def test_only_chosen_ports_are_ours(interposer: Path, tmp_path: Path) -> None:
    with linked(interposer, tmp_path) as link:
        program = link.python(1, PROGRAM, "--only-ports", "7002-7003", stdin=-1)
        pid, said = say(program)
        assert said["own"] == "EADDRNOTAVAIL"  # the kernel's, which has no such address
        _, rows, _ = records(tmp_path / "programs" / str(pid))
        found = {row.own_port: row.path for row in rows if row.path != register.FREE}
        assert found[7002] == register.BOTH
        finish(program)
