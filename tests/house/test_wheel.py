"""The wheel that a user installs: native code for one platform, running without Numba."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.source import ROOT

RUN_NATIVE = """
import ctypes, sys
sys.modules["numba"] = sys.modules["llvmlite"] = sys.modules["numpy"] = None  # importing them fails
from pronghorn.compiled import mode
from pronghorn.wire import checksum
assert mode() == "native", mode()
octets = ctypes.create_string_buffer(bytes(range(1, 9)), 8)
print(checksum.__file__, checksum.fold(checksum.add(ctypes.addressof(octets), 8)))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources; the native library is compiled only where the tree's own is stale."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "requirements.lock", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for folder in ("src", "tools", "preload"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = (copy / "dist").glob("*.whl")
    return path


@pytest.mark.timeout(300)
def test_the_wheel_is_native_and_holds_no_more_than_the_package(wheel: Path) -> None:
    assert "-py3-none-linux_" in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    native = {"pronghorn/libpronghorn.so", "pronghorn/libpronghorn-preload.so"}
    headers = {"pronghorn/pronghorn.h", "pronghorn/pronghorn-preload.h"}
    assert native | headers | {"pronghorn/py.typed"} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pronghorn"}


@pytest.mark.timeout(300)
def test_the_wheel_runs_native_without_numba(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    command = [sys.executable, "-c", RUN_NATIVE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    file, total = done.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert int(total) in (0x1014, 0x1410)  # 0102 + 0304 + 0506 + 0708, in the order that the module documents
