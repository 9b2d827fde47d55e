"""The native library for tests that load it or link against it, whatever mode they run in themselves.

Where the working tree's is stale, one is made once for all test processes: the first compiles while the others wait,
and what was made stays in the cache of compiled code for the next run of the same sources.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pronghorn.compiled import keys, mode, native
from pronghorn.compiled.backend import cache

FILES = ("libpronghorn.so", "pronghorn.h")


def native_library(folder: Path) -> Path:
    """The working tree's library when it is up to date (./do test sees to it), else one that is put into `folder`."""
    if native.ORDINARY.exists() and keys.source_hash().encode() in native.ORDINARY.read_bytes():
        return native.ORDINARY
    output = folder / "libpronghorn.so"
    with one_at_a_time():
        if kept(folder):
            return output
        environment = {**os.environ, "PRONGHORN_MODE": "jit", "PRONGHORN_BOUNDS": ""}
        command = [sys.executable, "-m", "pronghorn.compiled.build", "--output", str(output)]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=250)
        if keys.source_hash().encode() in output.read_bytes():  # nobody has edited them since
            for name in FILES:
                cache.keep("libraries", f"{keys.source_hash()}-{name}", (folder / name).read_bytes())
    return output


def users_mode() -> dict[str, str]:
    """The environment for a gateway that is not itself what is compiled or not: interpreted where the tests are, else
    as users have it, which is the library where it is up to date. It starts in a fraction of jit's time.
    """
    chosen = "" if mode() == "jit" else mode()
    return {**os.environ, "PRONGHORN_MODE": chosen}


def kept(folder: Path) -> bool:
    """Whether another process has made it, which then is in the folder."""
    found = {name: cache.fetch("libraries", f"{keys.source_hash()}-{name}") for name in FILES}
    for name, content in found.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return None not in found.values()


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep other processes with the same cache from compiling what this one compiles."""
    place = cache.folder()
    if place is None:
        yield
        return
    place.mkdir(parents=True, exist_ok=True)
    with (place / "library.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
