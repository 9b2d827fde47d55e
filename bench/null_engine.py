"""An engine inside this process on ports without hardware, for the benchmarks of the data plane itself.

One worker, run by this thread on the measured core, turn after turn without sleeping. What counts is what was
transmitted, by the queues' own counters, over the CPU time that the turns took.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from bench import cores
from bench.harness import Measure, Unavailable

if TYPE_CHECKING:
    from pronghorn.engine.engine import Engine

TURNS = 2_000  # between two looks at the clock
WARM_UP = 0.3  # s, the first time: compiles, fills caches

Prepare = Callable[["Engine"], Sequence[int]]


@contextlib.contextmanager
def forwarding(prepare: Prepare, packets: int = 4096, seconds: float = 1.0) -> Iterator[Measure]:
    """A side. `prepare` adds ports and tables to a new engine and returns the ports whose transmissions count."""
    cores.split()
    try:
        from pronghorn.engine.engine import Engine

        engine = Engine(workers=1, packets=packets)
    except ImportError as why:
        raise Unavailable(f"engine not available: {why}") from why
    with engine:
        try:
            ports = prepare(engine)
        except ImportError as why:
            raise Unavailable(f"engine not available: {why}") from why
        packets_per_second(engine, ports, WARM_UP)
        yield lambda: packets_per_second(engine, ports, seconds)


def packets_per_second(engine: Engine, ports: Sequence[int], seconds: float) -> float:
    """Run the worker for so much CPU time; packets transmitted per second of it."""
    with cores.measured():
        before, begin = transmitted(engine, ports), time.thread_time()
        while (spent := time.thread_time() - begin) < seconds:
            engine.run_turns(TURNS)
        sent = transmitted(engine, ports) - before
    if not sent:
        raise RuntimeError("the engine forwarded nothing")
    return sent / spent


def transmitted(engine: Engine, ports: Sequence[int]) -> int:
    return sum(engine.workers[0].queues[port].tx_packets for port in ports)
