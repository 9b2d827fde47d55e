"""Stale code is impossible: an edit of a callee, a constant or a view in another file is seen by the next process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOW = """
from pronghorn.compiled import View, {decorator}, u8, u16

LIMIT = {limit}

class Header(View):
    {fields}

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
from low import LIMIT, Header
from middle import middle

@hot
def high(address: int) -> int:
    return middle(Header(address).b) + LIMIT

memory = (ctypes.c_uint8 * 8)(1, 2, 3, 4)
print(high(ctypes.addressof(memory)))
"""

ORIGINAL = {"decorator": "hot", "limit": 1000, "factor": 10, "fields": "a: u8\n    b: u8"}


def run(folder: Path, mode: str) -> int:
    environment = {
        **os.environ,
        "PRONGHORN_MODE": mode,
        "PRONGHORN_CACHE": str(folder / "cache"),
        "PRONGHORN_BOUNDS": "",
    }
    command = [sys.executable, str(folder / "high.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"factor": 11}, 1023),
        ({"limit": 2000}, 2021),
        ({"fields": "a: u16\n    b: u8"}, 1031),
        ({"decorator": "leaf"}, 1021),
        ({"decorator": "leaf", "factor": 12}, 1025),
    ],
)
def test_an_edit_elsewhere_is_seen(tmp_path: Path, change: dict[str, object], answer: int) -> None:
    (tmp_path / "middle.py").write_text(MIDDLE)
    (tmp_path / "high.py").write_text(HIGH)
    (tmp_path / "low.py").write_text(LOW.format(**ORIGINAL))
    assert run(tmp_path, "jit") == 1021
    before = {path.name for path in (tmp_path / "cache" / "ir").glob("*/*")}
    (tmp_path / "low.py").write_text(LOW.format(**{**ORIGINAL, **change}))
    assert run(tmp_path, "jit") == run(tmp_path, "interpreted") == answer
    added = {path.name for path in (tmp_path / "cache" / "ir").glob("*/*")} - before
    assert len(added) <= 2, "an edit recompiles what depends on it and nothing else"


def test_a_second_run_compiles_nothing(tmp_path: Path) -> None:
    (tmp_path / "middle.py").write_text(MIDDLE)
    (tmp_path / "high.py").write_text(HIGH)
    (tmp_path / "low.py").write_text(LOW.format(**ORIGINAL))
    run(tmp_path, "jit")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    run(tmp_path, "jit")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
