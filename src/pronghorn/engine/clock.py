"""Time for the data plane: the core's cycle counter, scaled to nanoseconds.

`clock_start` measures the counter against CLOCK_MONOTONIC once; `clock_adjust`, called whenever the worker sleeps
anyway and at least once a second, re-measures the rate over the time since and slews instead of jumping: time never
goes back. One reading costs a multiplication; reading CLOCK_MONOTONIC itself costs some 25 ns.
"""

from __future__ import annotations

from pronghorn.compiled import Array, array_at, cycles, external, hot, i64, leaf, u64
from pronghorn.engine.loop import Loop
from pronghorn.state.worker import Worker

CLOCK_MONOTONIC = 1
SECOND = 1_000_000_000
MEASURE = 2_000_000  # ns that the first calibration takes
_SCALE = 32

clock_gettime = external("clock_gettime", (i64, u64), i64)


@hot
def monotonic(scratch: int) -> int:
    """CLOCK_MONOTONIC in ns; `scratch` is the address of 16 octets."""
    clock_gettime(CLOCK_MONOTONIC, scratch)
    parts: Array[u64] = array_at(u64, scratch)
    return parts[0] * SECOND + parts[1]


@leaf
def clock_now(loop: Loop) -> int:
    """Nanoseconds now."""
    return loop.now_then + ((cycles() - loop.cycles_then) * loop.scale >> _SCALE)


@hot
def clock_start(worker: Worker, loop: Loop) -> None:
    """First calibration: takes MEASURE ns."""
    scratch = loop.entries.address
    start, counted = monotonic(scratch), cycles()
    now = start
    while now - start < MEASURE:
        now = monotonic(scratch)
    passed = max(cycles() - counted, 1)
    loop.scale = ((now - start) << _SCALE) // passed
    loop.cycles_then, loop.now_then = cycles(), now
    worker.now = now


@hot
def clock_adjust(worker: Worker, loop: Loop) -> None:
    """Re-measure the rate over the time since the last calibration, if that is at least a tenth of a second."""
    counted = cycles()
    now = monotonic(loop.entries.address)
    estimate = loop.now_then + ((counted - loop.cycles_then) * loop.scale >> _SCALE)
    passed, ticks = now - loop.now_then, counted - loop.cycles_then
    if passed < SECOND // 10 or ticks <= 0:
        return
    if passed < 4 * SECOND:  # longer gaps would overflow the shift; the old rate is good enough for them
        loop.scale = (passed << _SCALE) // ticks
    loop.cycles_then = counted
    loop.now_then = max(now, max(estimate, worker.now))
