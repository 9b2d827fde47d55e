"""CPU time of a gateway that has nothing to do, in percent of one core, over ten seconds.

The gateway has balanced a request first, so that everything is open and warm. The time of all its threads comes from
the scheduler's own accounting in nanoseconds (/proc/PID/task/*/schedstat), which misses no short wake-up as the ticks
of /proc/PID/stat may.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from bench import gateway
from bench.cores import cpu_seconds
from bench.harness import Benchmark, Measure
from bench.http_xdp import served

SECONDS = 10.0


def percent(pid: int, seconds: float = SECONDS) -> float:
    begin, spent = time.monotonic(), sum(cpu_seconds(pid).values())
    time.sleep(seconds)
    return 100 * (sum(cpu_seconds(pid).values()) - spent) / (time.monotonic() - begin)


@contextlib.contextmanager
def ours() -> Iterator[Measure]:
    gateway.program()
    with served(forward=False, offload=False) as top, gateway.up(top) as balancer:
        time.sleep(2)  # closed connections have been forgotten, the last timers have fired
        yield lambda: percent(balancer.process.pid)


BENCHMARK = Benchmark(
    name="idle_cpu",
    what="CPU of an idle gateway over 10 s: all ports open, services configured",
    unit="% of a core",
    ours=ours,
    runs=3,
)
