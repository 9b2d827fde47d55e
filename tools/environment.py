"""The virtual environment .venv: locked dependencies and the package itself, skipped when nothing changed.

requirements.lock pins every package exactly; `./do lock` resolves pyproject.toml anew and rewrites it. A stamp inside
the environment holds the hash of everything that decides its contents.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from native import LOCK, ROOT
from progress import note

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed"
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")


def ensure() -> None:
    """Create .venv if needed, install the locked dependencies and the package in place."""
    with alone():
        wanted = digest()
        if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
            return
        if not PYTHON.exists():
            note("creating .venv")
            venv.create(VENV, with_pip=True, symlinks=True)
        note("installing the locked dependencies into .venv")
        pip(PYTHON, "install", "-qq", "-r", str(LOCK))
        note("installing pronghorn into .venv, in place")
        editable = ["--no-deps", "--no-build-isolation", "--config-settings", "native=no", "--editable", str(ROOT)]
        pip(PYTHON, "install", "-qq", *editable)
        STAMP.write_text(wanted)


def digest() -> str:
    """Changes when the environment must be installed anew."""
    total = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for path in (LOCK, ROOT / "pyproject.toml", ROOT / "tools" / "backend.py"):
        total.update(path.read_bytes())
    return total.hexdigest()


def lock() -> None:
    """Resolve the dependencies of pyproject.toml in an empty environment and write requirements.lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted: list[str] = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["jit"],
        *project["dependency-groups"]["dev"],
    ]
    with tempfile.TemporaryDirectory(prefix="pronghorn-lock-") as directory:
        venv.create(directory, with_pip=True, symlinks=True)
        python = Path(directory) / "bin" / "python"
        note(f"resolving {len(wanted)} requirements")
        pip(python, "install", "-qq", *wanted)
        frozen = subprocess.run(
            [python, *PIP, "freeze", "--all", "--exclude", "pip"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    head = "# Every package of the development environment, pinned. Written by `./do lock`; do not edit.\n"
    LOCK.write_text(head + frozen)
    note(f"requirements.lock holds {len(frozen.splitlines())} packages")


def pip(python: Path, *arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([python, *PIP, *arguments], check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment)


@contextmanager
def alone() -> Iterator[None]:
    """Two ./do in one checkout must not install at the same time; the lock is on the checkout's directory."""
    directory = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)
