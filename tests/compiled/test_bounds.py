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
from pronghorn.compiled import Array, View, array_at, bounds, copy, fetch_add64, fill, hot, u8, u32, load32, move, same

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

@hot
def ranges(target: int, source: int, octets: int, which: int) -> None:
    if which == 0:
        copy(target, source, octets)
    if which == 1:
        move(target, source, octets)
    if which == 2:
        fill(target, source, octets)
    if which == 3:
        same(target, source, octets)
    if which == 4:
        fetch_add64(target, octets)

@hot
def divide(a: int, b: int) -> int:
    return a // b

memory = (ctypes.c_uint8 * 4096)()
start = (ctypes.addressof(memory) + 63) // 64 * 64
bounds.register(start, 8 * Flow.SIZE, Flow.SIZE, "flows")
bounds.register(start + 2048, 100, 0, "octets")
flows = array_at(Flow, start)
for which in range(5):
    ranges(start, start + 2048, 16, which)
    ranges(start + 16, start, 96, which)
    ranges(start + 16, 0 if which < 4 else start, 0, which)
divide(7, 2)
fill(start, 0, 8 * Flow.SIZE)
print(touch(flows, 7), raw(start + 2048 + 96), flush=True)
if sys.argv[1] == "beyond":
    touch(flows, 8)
elif sys.argv[1] == "before":
    touch(flows, -1)
elif sys.argv[1] == "across":
    across(start + 10)
elif sys.argv[1] == "raw":
    raw(start + 2048 + 97)
elif sys.argv[1].isdigit():
    case = int(sys.argv[1])
    octets, target, source = ((200, 0, 0), (101, 0, 2048), (129, 0, 0), (16, 8, 2048), (1, 12, 0))[case]
    ranges(start + target, start + source, octets, case)
elif sys.argv[1] == "negative":
    ranges(start, start + 2048, -1, 0)
elif sys.argv[1] == "zero":
    divide(1, 0)
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
        ("0", "copy()"),
        ("1", "move()"),
        ("2", "fill()"),
        ("3", "same()"),
        ("4", "fetch_add64()"),
        ("negative", "copy()"),
    ],
)
def test_an_access_outside_aborts_with_its_place(tmp_path: Path, case: str, place: str) -> None:
    done = run(tmp_path, case, "1")
    assert done.returncode == -signal.SIGABRT
    assert done.stdout == "1 0\n"
    assert place in done.stderr
    if mode() == "jit":
        assert "script.py:" in done.stderr


def test_a_division_by_zero_ends_with_its_place(tmp_path: Path) -> None:
    done = run(tmp_path, "zero", "1")
    assert done.returncode == (1 if mode() == "interpreted" else -signal.SIGABRT)
    assert "script.py" in done.stderr
    assert "by zero" in done.stderr


def test_accesses_inside_are_let_through(tmp_path: Path) -> None:
    assert run(tmp_path, "none", "1").stdout == "1 0\nsurvived\n"


def test_without_the_mode_nothing_is_checked(tmp_path: Path) -> None:
    assert run(tmp_path, "raw", "0").stdout == "1 0\nsurvived\n"
