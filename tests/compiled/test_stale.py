"""Stale code is impossible: an edit of a callee, a constant or a view in another file is seen by the next process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn.compiled import mode

LOW = """
from pronghorn.compiled import Array, View, {decorator}, u8, u16

LIMIT = {limit}

class Header(View):
    {fields}

class Holder(View, align=8):
    headers: Array[Header]

@{decorator}
def low(x: int) -> int:
    return x * {factor}
"""

MIDDLE = """
from pronghorn.compiled import hot
from low import low

@hot
def middle(x: int) -> int:
    return low(x) + 1
"""

HIGH = """
import ctypes
from pronghorn.compiled import hot
from low import LIMIT, Holder
from middle import middle

@hot
def high(address: int) -> int:
    return middle(Holder(address).headers[0].b) + LIMIT  # the view behind the pointer is not named here

memory = (ctypes.c_uint64 * 2)(0, 0x04030201)
memory[0] = ctypes.addressof(memory) + 8
print(high(ctypes.addressof(memory)))
"""

ORIGINAL = {"decorator": "hot", "limit": 1000, "factor": 10, "fields": "a: u8\n    b: u8"}


def run(folder: Path, mode: str) -> int:
    environment = {
        **os.environ,
        "PRONGHORN_MODE": mode,
        "PRONGHORN_CACHE": str(folder / "cache"),
        "PRONGHORN_BOUNDS": "",
        "PYTHONDONTWRITEBYTECODE": "1",  # Python itself does not see an edit within a second that keeps the size
    }
    command = [sys.executable, str(folder / "high.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


CHANGES: list[tuple[dict[str, object], int]] = [
    ({"factor": 11}, 1023),
    ({"limit": 2000}, 2021),
    ({"fields": "a: u16\n    b: u8"}, 1031),
    ({"decorator": "leaf"}, 1021),
    ({"decorator": "cold"}, 1021),
    ({"decorator": "leaf", "factor": 12}, 1025),
]


def write(folder: Path, **change: object) -> None:
    (folder / "middle.py").write_text(MIDDLE)
    (folder / "high.py").write_text(HIGH)
    (folder / "low.py").write_text(LOW.format(**{**ORIGINAL, **change}))


def test_an_edit_elsewhere_is_seen(tmp_path: Path) -> None:
    """In jit mode only what depends on the edit is compiled anew; interpreted, there is nothing to be stale."""
    write(tmp_path)
    assert run(tmp_path, mode()) == 1021
    before = {path.name for path in (tmp_path / "cache" / "ir").glob("*/*")}
    for change, answer in CHANGES:
        write(tmp_path, **change)
        assert run(tmp_path, mode()) == answer
        added = {path.name for path in (tmp_path / "cache" / "ir").glob("*/*")} - before
        assert len(added) <= 2, "an edit recompiles what depends on it and nothing else"
        before |= added


@pytest.mark.skipif(mode() != "jit", reason="about the compiler")
def test_a_second_run_compiles_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    run(tmp_path, "jit")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    run(tmp_path, "jit")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
