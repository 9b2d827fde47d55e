"""Time for the data plane: the core's cycle counter, scaled to nanoseconds.

`clock_start` measures the counter against CLOCK_MONOTONIC once. `clock_now` multiplies; when HORIZON has passed since
the last calibration it calibrates anew (so does a worker that slept: it lost its caches anyway). A clock that is ahead
then runs slower so that it agrees HORIZON later, one that is behind is set forward: time never goes back. Reading
CLOCK_MONOTONIC itself costs some 25 ns.

Products of cycles and scale stay below 2**63 because no more than OVERFLOW is ever multiplied; after a longer gap (a
stopped process, a suspended machine) the clock is set and the rate kept.
"""

from __future__ import annotations

from pronghorn.compiled import Array, array_at, cycles, external, hot, i64, leaf, u64
from pronghorn.engine.loop import Loop
from pronghorn.state.worker import Worker

CLOCK_MONOTONIC = 1
SECOND = 1_000_000_000
MEASURE = 2_000_000  # ns that the first calibration takes
SHORTEST = SECOND // 10  # ns between two calibrations, at least
HORIZON = SECOND // 2  # ns between two calibrations, at most, while the clock is read
OVERFLOW = 2 * SECOND
_SCALE = 32

clock_gettime = external("clock_gettime", (i64, u64), i64)


@hot
def monotonic(scratch: int) -> int:
    """CLOCK_MONOTONIC in ns; `scratch` is the address of 16 octets."""
    clock_gettime(CLOCK_MONOTONIC, scratch)
    parts: Array[u64] = array_at(u64, scratch)
    return parts[0] * SECOND + parts[1]


@leaf
def clock_now(worker: Worker, loop: Loop) -> int:
    """Nanoseconds now."""
    ticks = cycles() - loop.cycles_then
    if ticks < 0 or ticks >= loop.horizon:
        return clock_adjust(worker, loop)
    return loop.now_then + (ticks * loop.scale >> _SCALE)


@hot
def clock_start(worker: Worker, loop: Loop, measure: int) -> None:
    """First calibration: takes `measure` ns."""
    scratch = loop.entries.address
    start, counted = monotonic(scratch), cycles()
    now = start
    while now - start < measure:
        now = monotonic(scratch)
    _set_rate(loop, now - start, max(cycles() - counted, 1), 0)
    loop.cycles_then, loop.now_then, loop.true_then = cycles(), now, now
    worker.now = now


@hot
def clock_adjust(worker: Worker, loop: Loop) -> int:
    """Re-measure the rate if the last calibration is long enough ago. Nanoseconds now."""
    counted, now = cycles(), monotonic(loop.entries.address)
    ticks, passed = counted - loop.cycles_then, now - loop.true_then
    estimate = worker.now
    if 0 <= ticks < OVERFLOW // HORIZON * loop.horizon:
        estimate = max(estimate, loop.now_then + (ticks * loop.scale >> _SCALE))
        if passed < SHORTEST:
            return estimate
        if passed < OVERFLOW and ticks > 0:
            _set_rate(loop, passed, ticks, max(estimate - now, 0))
    loop.cycles_then, loop.true_then = counted, now
    loop.now_then = max(now, estimate)
    return loop.now_then


@leaf
def _set_rate(loop: Loop, passed: int, ticks: int, ahead: int) -> None:
    """So many ns are so many cycles, and the clock is `ahead` ns ahead."""
    rate = max((passed << _SCALE) // ticks, 1)
    loop.horizon = (HORIZON << _SCALE) // rate
    loop.scale = rate - rate * min(ahead, HORIZON // 2) // HORIZON
