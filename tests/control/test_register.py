"""Tables of sockets as programs write them: read whole, filtered, hostile ones survived, those of the dead removed."""

from __future__ import annotations

import ctypes
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pronghorn.control.register import hash_place, sockets
from pronghorn.state.register import BOTH, CONNECTED, KERNEL, LISTENING, MAGIC, OURS, VERSION, Record, Register
from tests.cli.conftest import run
from tests.engine.links import halves

__all__ = ["run"]


def table(folder: Path, pid: int, *records: dict[str, Any], **head: Any) -> Path:
    """The table of a process."""
    octets = bytearray(Register.SIZE + len(records) * Record.SIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(octets))
    values = {"magic": MAGIC, "version": VERSION, "pid": pid, "room": 65536, "used": len(records)}
    fill(Register(start), {**values, "started": time.time_ns(), "name": b"redis-server", **head})
    for number, values in enumerate(records):
        fill(Record(start + Register.SIZE + number * Record.SIZE), values)
    folder = folder / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(pid)).write_bytes(octets)
    return folder / str(pid)


def fill(view: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, bytes):
            for place, octet in enumerate(value):
                getattr(view, name)[place] = octet
        elif name in ("own", "far"):
            address, _, port = value.rpartition(":")
            hi, lo, family = halves(address)
            for field, part in (("hi", hi), ("lo", lo), ("family", family), ("port", int(port))):
                setattr(view, f"{name}_{field}", part)
        else:
            setattr(view, name, value)


LISTENER = {"fd": 6, "path": BOTH, "type": 1, "state": LISTENING, "own": "0.0.0.0:6379"}
CLIENT = {"fd": 9, "path": OURS, "type": 1, "state": CONNECTED, "own": "fd00::1:6379", "far": "fd00::2:40000"}
LOOKUP = {"fd": 10, "path": KERNEL, "type": 2, "protocol": 17, "reason": b"loopback \x1b[31m"}


def test_sockets_are_read(runtime_directory: Path) -> None:
    table(runtime_directory, os.getpid(), LISTENER, {"path": 0}, CLIENT, LOOKUP, {**CLIENT, "changes": 3}, wakeup=1)
    listener, client, lookup = sockets()
    assert (listener.program, listener.pid, listener.mode, listener.fd) == ("redis-server", os.getpid(), "wakeup", 6)
    assert (listener.protocol, listener.state, listener.local, listener.remote) == (
        "tcp",
        "listening",
        "0.0.0.0:6379",
        None,
    )
    assert (listener.path, listener.reason) == ("both", None)
    assert (client.local, client.remote, client.path) == ("[fd00::1]:6379", "[fd00::2]:40000", "ours")
    assert (lookup.protocol, lookup.local, lookup.reason) == ("udp", None, "loopback ?[31m")


def test_tables_of_the_dead_are_removed(runtime_directory: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    of_dead = table(runtime_directory, ended.pid, LISTENER)
    earlier = table(runtime_directory, os.getppid(), LISTENER, started=1_000_000_000)  # of a process of the same number
    living = table(runtime_directory, os.getpid(), LISTENER)
    assert len(list(sockets())) == 1
    assert (of_dead.exists(), earlier.exists(), living.exists()) == (False, False, True)


def test_what_is_no_table_is_passed_over(runtime_directory: Path) -> None:
    place = table(runtime_directory, os.getpid(), LISTENER)
    whole = place.read_bytes()
    (place.parent / "1").symlink_to("/etc/passwd")
    os.mkfifo(place.parent / "2")
    (place.parent / "3").mkdir()
    (place.parent / "4").write_bytes(b"short")
    assert len(list(sockets())) == 1
    place.write_bytes(whole[: Register.SIZE + 5])
    assert list(sockets()) == []
    draw = random.Random(7)
    for _ in range(300):
        octets = bytearray(whole)
        for _ in range(20):
            octets[draw.randrange(16, len(octets))] = draw.randrange(256)
        place.write_bytes(octets)
        assert len(list(sockets())) <= 1
        place.write_bytes(whole)


def test_tables_of_users_who_keep_them_elsewhere(runtime_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that belong to the directory that was chosen."""
    other = runtime_directory / "other" / "pronghorn"
    monkeypatch.setattr("pronghorn.control.register._others", lambda: [other / "programs"])
    table(other, os.getpid(), CLIENT, place=hash_place(str(runtime_directory)))
    table(other, os.getppid(), CLIENT, place=hash_place("/run/pronghorn"))
    table(runtime_directory, os.getppid(), LISTENER)
    assert [(view.pid, view.fd) for view in sockets()] == [(os.getppid(), 6), (os.getpid(), 9)]
    monkeypatch.delenv("PRONGHORN_RUNTIME_DIR")
    assert (os.getppid(), 9) in [(view.pid, view.fd) for view in sockets()]


@pytest.mark.parametrize(
    ("options", "descriptors"),
    [
        ([], [6, 9, 10]),
        (["-t"], [6, 9]),
        (["-u"], [10]),
        (["-t", "-u", "-l"], [6]),
        (["--connected"], [9]),
        (["--path", "kernel"], [10]),
        (["--port", "40000"], [9]),
        (["--port", "6379"], [6, 9]),
        (["--pid", "1"], []),
        (["--program", "redis-server"], [6, 9, 10]),
        (["--program", "nginx"], []),
    ],
)
def test_filters(run: Any, runtime_directory: Path, options: list[str], descriptors: list[int]) -> None:
    table(runtime_directory, os.getpid(), LISTENER, CLIENT, LOOKUP)
    code, out, complaints = run("sockets", "--json", *options)
    assert (code, complaints) == (0, "")
    assert [view["fd"] for view in json.loads(out)["sockets"]] == descriptors


def test_the_table_for_people(run: Any, runtime_directory: Path) -> None:
    table(runtime_directory, os.getpid(), LISTENER, CLIENT, LOOKUP)
    out = run("sockets")[1]
    assert all(len(line) <= 80 for line in out.splitlines())
    for text in (
        "redis-server",
        f"{os.getpid()}/6",
        "listening",
        "0.0.0.0:6379",
        "both",
        "[fd00::2]:40000",
        "loopback",
    ):
        assert text in out
    (runtime_directory / "programs" / str(os.getpid())).unlink()
    assert run("sockets")[1] == "no sockets\n"


def test_checks_are_told(run: Any) -> None:
    code, out, _ = run("check", sys.executable)
    assert code == 0
    assert "can run on the user-space stack" in out
    assert json.loads(run("check", "--json", sys.executable)[1])["verdict"] in ("yes", "partly")
    assert run("check", "no-such-program")[0] == 1
