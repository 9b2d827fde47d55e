"""Two programs on a direct link, each started by `pronghorn run` with the interposer of these sources."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

NET4, NET6 = "10.77.0", "fd77::"
_names = itertools.count()


class Link:
    """A direct link; programs at its ends have the addresses 10.77.0.N and fd77::N."""

    def __init__(self, library: Path, runtime: Path, mode: str = "completion") -> None:
        self._name = f"test{next(_names)}"
        self._mode = mode
        self._environment = {
            **os.environ,
            "PRONGHORN_LIBRARY": str(library),
            "PRONGHORN_RUNTIME_DIR": str(runtime),
        }
        self._programs: list[subprocess.Popen[str]] = []

    def start(self, number: int, command: Sequence[str], *options: str, **more: Any) -> subprocess.Popen[str]:
        """A program with the addresses of this number."""
        run = [sys.executable, "-m", "pronghorn", "run", "--link", self._name, "--mode", self._mode]
        run += ["-a", f"{NET4}.{number}/24", "-a", f"{NET6}{number}/64", *options, "--", *command]
        defaults: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        program = subprocess.Popen(run, env=self._environment, **{**defaults, "stdin": subprocess.DEVNULL, **more})
        self._programs.append(program)
        return program

    def python(self, number: int, code: str, *options: str, **more: Any) -> subprocess.Popen[str]:
        """Python code as the program."""
        return self.start(number, [sys.executable, "-c", code], *options, **more)

    def close(self) -> None:
        for program in self._programs:
            program.kill()
        for program in self._programs:
            program.communicate()


@contextlib.contextmanager
def linked(library: Path, runtime: Path, mode: str = "completion") -> Iterator[Link]:
    """A link whose programs are gone afterwards."""
    link = Link(library, runtime, mode)
    try:
        yield link
    finally:
        link.close()


def kernel_port() -> int:
    """A port of the kernel's that nobody uses, nor the next one: tests run at the same time."""
    for _ in range(1000):
        port = random.randrange(10_000, 32_000, 2)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for number in (port, port + 1):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    stack.enter_context(socket.socket(socket.AF_INET6, kind)).bind(("::", number))  # and IPv4's
            return port
    raise AssertionError("no port is free")


def say(program: subprocess.Popen[str]) -> Any:
    """The next line that the program writes, as JSON."""
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line, finish(program)
    return json.loads(line)


def finish(program: subprocess.Popen[str], patience: float = 20) -> tuple[int, str, str]:
    """How it ended, and what it had said."""
    out, err = program.communicate(timeout=patience)
    return program.returncode, out, err


def until(condition: Any, patience: float = 10) -> Any:
    """What the condition gives, once that is true."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, "too late"
        time.sleep(0.01)
    return found
