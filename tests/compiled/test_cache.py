"""The cache of compiled code: damage is seen, a place that cannot be written is done without, growth is bounded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn.compiled import mode

pytestmark = pytest.mark.skipif(mode() != "jit", reason="about the compiler")

SCRIPT = """
from pronghorn.compiled import hot, leaf

@leaf
def inner(a: int) -> int:
    return a * 3

@hot
def outer(a: int) -> int:
    return inner(a) + 1

print(outer(5))
"""


def start(folder: Path, cache: str | None = None, **more: str | None) -> subprocess.Popen[str]:
    path = folder / "script.py"
    if not path.exists():
        path.write_text(SCRIPT)
    wanted = {
        "PRONGHORN_MODE": "jit",
        "PRONGHORN_BOUNDS": "",
        "PRONGHORN_CACHE": cache or str(folder / "cache"),
        **more,
    }
    environment = {name: value for name, value in {**os.environ, **wanted}.items() if value is not None}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, str(path)], env=environment, stdout=pipe, stderr=pipe, text=True)


def answer(folder: Path, cache: str | None = None, **more: str | None) -> str:
    """Run the script; what it wrote on standard error."""
    out, errors = start(folder, cache, **more).communicate(timeout=60)
    assert out == "16\n", errors
    return errors


def files(folder: Path, kind: str) -> list[Path]:
    return list((folder / "cache" / kind).glob("*/*"))


def test_damaged_files_are_made_anew(tmp_path: Path) -> None:
    assert answer(tmp_path) == ""
    whole = {path: path.read_bytes() for kind in ("ir", "objects") for path in files(tmp_path, kind)}
    assert len(whole) == 3
    for path, content in whole.items():
        path.write_bytes(content[: len(content) // 2] if "objects" in str(path) else b"")
    assert answer(tmp_path) == ""
    for path, content in whole.items():
        if "objects" in str(path):
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    assert answer(tmp_path) == ""
    assert {path: path.read_bytes() for path in whole} == whole


def test_two_processes_compile_at_the_same_time(tmp_path: Path) -> None:
    running = [start(tmp_path) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in running] == ["16\n"] * 3
    assert len(files(tmp_path, "ir")) == 2


def test_a_place_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert answer(tmp_path, str(tmp_path / "file" / "below")).count("compiled code is not kept") == 1
    if Path("/dev/full").exists():
        assert "compiled code is not kept" in answer(tmp_path, "/proc/self/nothing")


def test_files_go_that_are_old_or_too_many(tmp_path: Path) -> None:
    from pronghorn.compiled.backend import cache

    now = 1_000_000_000.0
    for number in range(10):
        path = tmp_path / "objects" / "ab" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, (now, now - number * 5 * cache.DAY))
    cache.prune(tmp_path, now)
    left = sorted(int(path.name) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [0, 1, 2, 3, 4, 5, 6]
    cache.prune(tmp_path, now, limit=600)
    left = sorted(int(path.name) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [0, 1, 2, 3]


def test_without_a_home_directory_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pronghorn.compiled.backend import cache

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("PRONGHORN_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(cache, "_said", ["already"])
    assert cache.folder.__wrapped__() is None
