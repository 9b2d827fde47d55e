"""Which core is measured and which one does the rest.

The last core that this process may use belongs to whoever's turn it is, the others to everything else: DPDK's main
thread, this program, the machine. With one core only there is no quiet place, and a number taken there would be noise.

Whoever polls uses all of its core, so its rate is counted per second of its thread's CPU time: the same as a second
when the thread has the core to itself, and still its own figure when something else got in between.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

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


def cpu_seconds(pid: int) -> dict[int, float]:
    """CPU time so far of every thread of a process, by the scheduler's own account in nanoseconds."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return found
