"""Linux over loopback: an epoll server and an epoll client in C, requests or connections per core used.

Both processes share the measured core, as our two engines do. That is the better case for Linux: on two cores a request
costs a fifth more CPU time, for the wake-ups between them. "Per core used" is the work over the CPU time of both
processes, in which the kernel counts its own work for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench import cores
from bench.harness import Measure
from bench.peers import c_program

SECONDS = 1.5


@contextlib.contextmanager
def exchanging(mode: str, connections: int) -> Iterator[Measure]:
    """A side: `requests` over so many open connections, or `connections`, so many at a time."""
    core, _ = cores.split()
    with c_program.built("loopback") as program:
        yield lambda: per_core(program, mode, connections, core, core)


def per_core(program: Path, mode: str, connections: int, server: int, client: int, seconds: float = SECONDS) -> float:
    """What was done per second of CPU time."""
    command = [str(program), mode, str(connections), str(seconds), str(server), str(client)]
    done, _, spent_there, spent_here = c_program.numbers(command, seconds)
    if not done:
        raise RuntimeError(f"loopback {mode}: nothing was exchanged")
    return done / (spent_there + spent_here)
