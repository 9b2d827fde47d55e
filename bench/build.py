"""Seconds of the ahead-of-time build from clean: all of the data plane to libpronghorn.so, with nothing cached."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Benchmark, Measure, Unavailable


def seconds() -> float:
    """Build once, into an empty place, with an empty cache."""
    with tempfile.TemporaryDirectory(prefix="pronghorn-build-") as place:
        output = Path(place) / "libpronghorn.so"
        environment = {**os.environ, "PRONGHORN_CACHE": str(Path(place) / "cache")}
        command = [sys.executable, "-m", "pronghorn.compiled.build", "--output", str(output)]
        begin = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        spent = time.monotonic() - begin
        if done.returncode or not output.exists():
            raise RuntimeError(f"the build failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return spent


@contextlib.contextmanager
def ours() -> Iterator[Measure]:
    if importlib.util.find_spec("pronghorn.compiled.build") is None:
        raise Unavailable("engine not available: there is no pronghorn.compiled.build yet")
    yield seconds


BENCHMARK = Benchmark(
    name="build",
    what="ahead-of-time build from clean, on all cores",
    unit="s",
    ours=ours,
    runs=1,
)
