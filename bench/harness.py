"""How a number is taken: ours and the peer alternate in one run (A B A B ...), and the median of each counts.

Alternating puts both under the same drift of clock, temperature and neighbours; the median forgets a single disturbed
reading; the spread, (largest - smallest) / median of our readings, says how far to trust it. The ratio is that of the
medians. Whatever a benchmark does wrong ends in its own result and never in the next one's.

A benchmark is a pair of context managers. Entering one sets it up (and may raise Unavailable), what it yields is called
once per reading, leaving it cleans up. Both are open at the same time, so a side may use no CPU between its readings.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from bench.bars import BARS, Bar
from bench.figures import short

Measure = Callable[[], float]
Side = Callable[[], AbstractContextManager[Measure]]
Say = Callable[[str], None]

RUNS = 5


class Unavailable(Exception):
    """This side cannot be measured on this machine; the text says why."""


@dataclass(frozen=True)
class Benchmark:
    """One number: what it is, how ours is measured and, where there is one, the peer."""

    name: str
    what: str
    unit: str
    ours: Side
    peer_name: str | None = None
    peer: Side | None = None
    runs: int = RUNS

    @property
    def bar(self) -> Bar:
        return BARS[self.name]


@dataclass
class Result:
    """The object that is printed. `reason` says why a number is missing; `error`, that the benchmark itself failed."""

    name: str
    unit: str
    value: float | None = None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    spread: float | None = None
    runs: int = 0
    reason: str | None = None
    error: bool = False
    readings: list[float] = field(default_factory=list)
    peer_readings: list[float] = field(default_factory=list)

    @property
    def met(self) -> bool | None:
        return BARS[self.name].met(self.value, self.ratio)

    def because(self, reason: str) -> None:
        self.reason = f"{self.reason}; {reason}" if self.reason else reason

    def object(self) -> dict[str, object]:
        """For JSON: the agreed keys first, what explains them after."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": self.peer_value,
            "ratio": self.ratio,
            "spread": self.spread,
            "runs": self.runs,
            "mode": data_plane(),
            "bar": str(BARS[self.name]),
            "met": self.met,
            "reason": self.reason or (None if self.peer else "this number has no peer"),
            "readings": self.readings,
            "peer_readings": self.peer_readings,
            "peer_spread": spread(self.peer_readings),
        }


@functools.cache
def data_plane() -> str:
    """The mode in which our data plane runs here: native, jit, interpreted; or unknown, where it cannot be imported."""
    try:
        from pronghorn.compiled import mode

        return mode()
    except (ImportError, RuntimeError):
        return "unknown"


def spread(readings: Sequence[float]) -> float | None:
    """(largest - smallest) / median; None for fewer than two readings, or when the median is 0 and they differ."""
    if len(readings) < 2:
        return None
    width, middle = max(readings) - min(readings), statistics.median(readings)
    return 0.0 if width == 0 else width / abs(middle) if middle else None


def measure(benchmark: Benchmark, say: Say, runs: int | None = None) -> Result:
    """Take all readings of one benchmark. Never raises but for an interrupt."""
    result = Result(benchmark.name, benchmark.unit, peer=benchmark.peer_name)
    with contextlib.ExitStack() as open_sides:
        try:
            peer = _peer(benchmark, result, open_sides, say)
            ours = _ours(benchmark, result, open_sides, say)
            for number in range(1, (runs or benchmark.runs) + 1):
                if ours is not None:
                    result.readings.append(ours())
                if peer is not None:
                    peer = _peer_reading(peer, result)
                say(f"{benchmark.name} {number}/{runs or benchmark.runs}: {_latest(result)}")
                if ours is None:  # nothing to compare with: one look at the peer is enough
                    break
        except Exception as error:
            result.error = True
            result.because(_because(error))
            say(f"{benchmark.name}: {result.reason}")
    return _summary(result)


def _ours(benchmark: Benchmark, result: Result, open_sides: contextlib.ExitStack, say: Say) -> Measure | None:
    say(f"{benchmark.name}: {benchmark.what}")
    try:
        return open_sides.enter_context(benchmark.ours())
    except Unavailable as why:
        result.because(str(why))
        say(f"{benchmark.name}: not measured: {why}")
        return None


def _peer(benchmark: Benchmark, result: Result, open_sides: contextlib.ExitStack, say: Say) -> Measure | None:
    if benchmark.peer is None:
        return None
    try:
        return open_sides.enter_context(benchmark.peer())
    except Exception as why:
        result.because(f"{benchmark.peer_name}: {_because(why)}")
        say(f"{benchmark.name}: {result.reason}")
        return None


def _peer_reading(peer: Measure, result: Result) -> Measure | None:
    """One reading; a peer that fails is given up and the reason kept, ours goes on."""
    try:
        result.peer_readings.append(peer())
    except Exception as why:
        result.because(f"{result.peer}: {_because(why)}")
        return None
    return peer


def _summary(result: Result) -> Result:
    result.runs = len(result.readings)
    result.spread = spread(result.readings)
    if result.readings and not result.error:
        result.value = statistics.median(result.readings)
    if result.peer_readings:
        result.peer_value = statistics.median(result.peer_readings)
    if result.value is not None and result.peer_value:
        result.ratio = result.value / result.peer_value
    return result


def _because(error: Exception) -> str:
    return str(error) if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}"


def _latest(result: Result) -> str:
    ours = f"{short(result.readings[-1])} {result.unit}" if result.readings else "not measured"
    return f"{ours}, {result.peer} {short(result.peer_readings[-1])}" if result.peer_readings else ours
