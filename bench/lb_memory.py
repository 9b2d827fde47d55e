"""Memory per balanced connection over IPv4, index included: what the process grows by while a million are opened.

Memory is not warmed ahead, so that only what the connections need is touched.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Benchmark, Measure

CONNECTIONS = 1_000_000
FIRST = 100_000  # opened before, so that the packets' own memory is in use already


def resident() -> int:
    """Octets of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def growth() -> Iterator[Measure]:
    """A reading opens the connections in an engine of its own."""
    yield open_all


def open_all() -> float:
    """Octets per connection."""
    from bench.balanced import SYN, configure, establish, once
    from pronghorn.engine.engine import Engine
    from pronghorn.memory.arena import Arena

    with Engine(workers=1, packets=4096, arena=Arena.create("engine", huge="never")) as engine:
        queue, _ = configure(engine, CONNECTIONS, warm=False)
        once(engine, queue, FIRST, SYN, engine.ports[0].mac)
        before = resident()
        establish(engine, queue, CONNECTIONS)
        return (resident() - before) / (CONNECTIONS - FIRST)


BENCHMARK = Benchmark(
    name="lb_memory",
    what="memory of a balanced connection: growth of the process over 1,000,000",
    unit="B",
    ours=growth,
    runs=3,
)
