"""Which core is measured and which one does the rest.

The last core that this process may use belongs to whoever's turn it is, the others to everything else: DPDK's main
thread, this program, the machine. With one core only there is no quiet place, and a number taken there would be noise.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bench.harness import Unavailable


def split() -> tuple[int, list[int]]:
    """The measured core, and the others."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Unavailable("needs two cores: one to measure, one for the rest")
    return cores[-1], cores[:-1]


@contextlib.contextmanager
def measured() -> Iterator[int]:
    """Run the calling thread on the measured core for as long as the block lasts."""
    before = os.sched_getaffinity(0)
    core, _ = split()
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)
