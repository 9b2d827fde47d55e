"""Peers in C: built by the C compiler into a temporary directory, run to the end, their numbers read from one line."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.harness import Unavailable

SOURCES = Path(__file__).parent / "c"
PATIENCE = 60.0  # s beyond what a program was told to take


@contextlib.contextmanager
def built(name: str, *options: str) -> Iterator[Path]:
    """The program made from c/NAME.c; `options` follow the source on the compiler's line."""
    if shutil.which("gcc") is None:
        raise Unavailable("gcc is not installed")
    with tempfile.TemporaryDirectory(prefix="pronghorn-peer-") as place:
        program = Path(place) / name
        command = ["gcc", "-O2", "-march=native", "-o", str(program), str(SOURCES / f"{name}.c"), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{name}.c does not build: {done.stderr.strip().splitlines()[0]}")
        yield program


def numbers(command: Sequence[str], seconds: float) -> list[float]:
    """Run a program that takes so many seconds; what it prints. RuntimeError with its complaint when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: exit {done.returncode}: {done.stderr.strip()}")
    return [float(word) for word in done.stdout.split()]
