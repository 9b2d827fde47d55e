"""A side of a benchmark that runs in a process of its own: `python -m bench.tcp.child SCENARIO ARGUMENTS`.

The applications of these benchmarks are compiled in Python and not part of libpronghorn.so, so the child compiles the
data plane with them (PRONGHORN_MODE=jit, the same code by the same compiler), whatever mode this process runs in. It
also takes its memory with it: a million connections of one benchmark are not in the next one's way.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

from bench import cores
from bench.harness import Measure, Unavailable

READY = "ready"


@contextlib.contextmanager
def side(scenario: str, *arguments: object) -> Iterator[Measure]:
    """Set the scenario up in a child; a reading is a line asked of it."""
    cores.split()
    command = [sys.executable, "-m", "bench.tcp.child", scenario, *map(str, arguments)]
    environment = {**os.environ, "PRONGHORN_MODE": "jit"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout
        try:
            said = _line(answers)
            if said != READY:
                raise Unavailable(said)
            yield lambda: _reading(requests, answers)
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _reading(requests: IO[str], answers: IO[str]) -> float:
    requests.write("measure\n")
    requests.flush()
    said = _line(answers)
    try:
        return float(said)
    except ValueError:
        raise RuntimeError(said) from None


def _line(answers: IO[str]) -> str:
    """What the child says next."""
    line = answers.readline()
    return line.strip() or "the measuring process ended without a word"
