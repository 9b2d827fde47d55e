"""The native library of the working tree: is it up to date, and building it.

`src/pronghorn/libpronghorn.so` and the C header beside it are compiled ahead of time from the data-plane rooms by
`python -m pronghorn.compiled.build`. A digest of those sources is kept beside the library, so that a build is skipped
when nothing changed. Used by the package build (backend.py) and by ./do (verbs.py); needs only the standard library.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "pronghorn"
LIBRARY = PACKAGE / "libpronghorn.so"
STAMP = PACKAGE / "libpronghorn.so.digest"
LOCK = ROOT / "requirements.lock"
BUILDER = PACKAGE / "compiled" / "build.py"

# The rooms whose functions end up in the library: the floor `engine` and everything below it.
ROOMS = (
    "engine", "input", "tcp", "udp", "balancer", "ports", "net", "state", "wire", "memory", "compiled",
)  # fmt: skip


def digest() -> str:
    """A hash of every data-plane source file, of the machine's kind and of the locked versions (Numba's among them)."""
    total = hashlib.sha256(platform.machine().encode() + (LOCK.read_bytes() if LOCK.exists() else b""))
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def stale() -> bool:
    """True when the library is missing or was built from other sources."""
    if not BUILDER.exists():
        return False
    return not (LIBRARY.exists() and STAMP.exists() and STAMP.read_text() == digest())


def build(python: str = sys.executable) -> None:
    """Compile the data plane into src/pronghorn/libpronghorn.so. Raises CalledProcessError or RuntimeError."""
    if not BUILDER.exists():
        raise RuntimeError(f"{BUILDER.relative_to(ROOT)} is missing")
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "cc", "clang")):
        raise RuntimeError("linking libpronghorn.so needs a C compiler: install gcc")
    wanted = digest()
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [python, "-m", "pronghorn.compiled.build", "--output", str(LIBRARY)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=True, stdout=sys.stderr)
    STAMP.write_text(wanted)
