"""The bounds-check mode: an access outside every table, or across two elements, aborts with its place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn.compiled import mode

SCRIPT = """
import ctypes, sys
from pronghorn.compiled import Array, View, array_at, bounds, hot, u8, u32, load32

class Flow(View, align=16, size=16):
    packets: u32
    octets: u32

@hot
def touch(flows: Array[Flow], index: int) -> int:
    flows[index].octets += 1
    return flows[index].octets

@hot
def across(address: int) -> int:
    return Flow(address).octets

@hot
def raw(address: int) -> int:
    return load32(address)

memory = (ctypes.c_uint8 * 4096)()
start = (ctypes.addressof(memory) + 63) // 64 * 64
bounds.register(start, 8 * Flow.SIZE, Flow.SIZE, "flows")
bounds.register(start + 2048, 100, 0, "octets")
flows = array_at(Flow, start)
print(touch(flows, 7), raw(start + 2048 + 96), flush=True)
if sys.argv[1] == "beyond":
    touch(flows, 8)
elif sys.argv[1] == "before":
    touch(flows, -1)
elif sys.argv[1] == "across":
    across(start + 10)
elif sys.argv[1] == "raw":
    raw(start + 2048 + 97)
elif sys.argv[1] == "forgotten":
    bounds.unregister(start)
    touch(flows, 0)
print("survived")
"""


def run(folder: Path, case: str, bounds: str) -> subprocess.CompletedProcess[str]:
    path = folder / "script.py"
    path.write_text(SCRIPT)
    environment = {**os.environ, "PRONGHORN_BOUNDS": bounds, "PRONGHORN_MODE": mode()}
    return subprocess.run(
        [sys.executable, str(path), case], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("case", "place"),
    [
        ("beyond", "Flow.octets"),
        ("before", "Flow.octets"),
        ("across", "Flow.octets"),
        ("raw", "32"),
        ("forgotten", "Flow"),
    ],
)
def test_an_access_outside_aborts_with_its_place(tmp_path: Path, case: str, place: str) -> None:
    done = run(tmp_path, case, "1")
    assert done.returncode == -signal.SIGABRT
    assert done.stdout == "1 0\n"
    assert place in done.stderr
    if mode() == "jit":
        assert "script.py:" in done.stderr


def test_accesses_inside_are_let_through(tmp_path: Path) -> None:
    assert run(tmp_path, "none", "1").stdout == "1 0\nsurvived\n"


def test_without_the_mode_nothing_is_checked(tmp_path: Path) -> None:
    assert run(tmp_path, "raw", "0").stdout == "1 0\nsurvived\n"
