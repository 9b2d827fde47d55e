"""The native library for tests that load it or link against it, whatever mode they run in themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pronghorn.compiled import keys, native


def native_library(folder: Path) -> Path:
    """The working tree's library when it is up to date (./do test sees to it), else one that is made in `folder`."""
    if native.ORDINARY.exists() and keys.source_hash().encode() in native.ORDINARY.read_bytes():
        return native.ORDINARY
    output = folder / "libpronghorn.so"
    environment = {**os.environ, "PRONGHORN_MODE": "jit", "PRONGHORN_BOUNDS": ""}
    command = [sys.executable, "-m", "pronghorn.compiled.build", "--output", str(output)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=170)
    return output
