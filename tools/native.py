"""The native library of the working tree: is it up to date, and building it.

`src/pronghorn/libpronghorn.so` and the C header beside it are compiled ahead of time from the data-plane rooms by
`python -m pronghorn.compiled.build`. The library carries the hash of its sources, so a build is skipped when nothing
changed. Used by the package build (backend.py) and, as a script, by ./do (verbs.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "pronghorn"
LIBRARY = PACKAGE / "libpronghorn.so"
LOCK = ROOT / "requirements.lock"

MATCHES = "import sys; from pronghorn.compiled import native; sys.exit(not native.matches())"


def stale(python: str = sys.executable) -> bool:
    """True when the library is missing, damaged, or built from other sources than those beside it."""
    if not LIBRARY.exists():
        return True
    return subprocess.run([python, "-c", MATCHES], env=source(), capture_output=True, check=False).returncode != 0


def build(python: str = sys.executable, processor: str = "") -> None:
    """Compile the data plane into src/pronghorn/libpronghorn.so. Raises CalledProcessError or RuntimeError.

    `processor` is LLVM's name of one, or `native`; empty for what every x86-64-v3 or aarch64 machine runs.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "cc", "clang")):
        raise RuntimeError("linking libpronghorn.so needs a C compiler: install gcc")
    command = [python, "-m", "pronghorn.compiled.build", "--output", str(LIBRARY)]
    command += ["--processor", processor] if processor else []
    subprocess.run(command, cwd=ROOT, env=source(), check=True, stdout=sys.stderr)


def source() -> dict[str, str]:
    """The environment in which `import pronghorn` finds the working tree, installed or not, and no old library."""
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PRONGHORN_MODE": "jit", "PRONGHORN_BOUNDS": ""}


if __name__ == "__main__":
    try:
        if stale():
            build()
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
