"""lwIP from the distribution, with itself: bulk goodput at MTU 1500 on one core (see c/lwip_bulk.c)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench import cores
from bench.harness import Measure, Unavailable
from bench.peers import c_program

HEADERS = Path("/usr/include/lwip")
SECONDS = 1.0


@contextlib.contextmanager
def bulk() -> Iterator[Measure]:
    """A side: octets of payload per second of CPU time."""
    if not HEADERS.is_dir():
        raise Unavailable("lwIP is not installed (package liblwip-dev on Debian and Ubuntu)")
    with c_program.built("lwip_bulk", f"-I{HEADERS}", "-llwip") as program:
        yield lambda: octets_per_second(program)


def octets_per_second(program: Path, seconds: float = SECONDS) -> float:
    with cores.measured():
        octets, spent = c_program.numbers([str(program), str(seconds)], seconds)
    if not octets:
        raise RuntimeError("lwip_bulk: nothing arrived")
    return octets / spent
