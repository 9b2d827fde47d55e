"""An engine inside this process on ports without hardware, for the benchmarks of the data plane itself."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator

from bench.harness import Measure, Unavailable


@contextlib.contextmanager
def forwarding(job: str, connections: int = 0, seconds: float = 1.0) -> Iterator[Measure]:
    """Set up the job; each reading runs the worker for so many seconds and returns packets/s that were transmitted."""
    try:
        jobs = importlib.import_module("pronghorn.engine.embedded")
    except ImportError as why:
        raise Unavailable(f"engine not available: {why}") from why
    with jobs.forwarding(job, connections) as run:
        yield lambda: float(run(seconds))
