"""The clock: agrees with CLOCK_MONOTONIC, never goes back, survives gaps; cheap enough not to be seen."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pronghorn.compiled import mode
from pronghorn.engine.clock import HORIZON, OVERFLOW, SECOND
from pronghorn.engine.engine import Engine
from pronghorn.engine.loop import Loop
from pronghorn.engine.run import run_turns, worker_start
from pronghorn.state.worker import Worker

MILLISECOND = 1_000_000
TOLERANCE = MILLISECOND if mode() != "interpreted" else 5 * MILLISECOND


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Engine(1, 64) as engine:
        worker_start(engine.workers[0])
        yield engine.workers[0]


def error(worker: Worker) -> int:
    """The clock's lead on CLOCK_MONOTONIC, ns: the least of a few looks, for the machine may be busy."""
    found = []
    for _ in range(20):
        before = time.monotonic_ns()
        run_turns(worker, 1)
        after = time.monotonic_ns()
        found.append(max(worker.now - after, 0) - max(before - worker.now, 0))
    return min(found, key=abs)


def test_agrees_at_once(worker: Worker) -> None:
    assert abs(error(worker)) < TOLERANCE


def test_agrees_after_seconds_of_polling(worker: Worker) -> None:
    """Without sleep and without work, for longer than a product of cycles and scale would last."""
    end = time.monotonic() + 2.6
    then = worker.now
    while time.monotonic() < end:
        run_turns(worker, 1000 if mode() != "interpreted" else 10)
        assert worker.now >= then
        then = worker.now
    assert abs(error(worker)) < TOLERANCE


@pytest.mark.parametrize("gap", [SECOND // 20, HORIZON, SECOND, OVERFLOW, 3 * SECOND, 3600 * SECOND])
def test_a_gap(worker: Worker, gap: int) -> None:
    """The process was stopped for a while: the clock was last looked at `gap` ago."""
    loop = Loop(worker.loop)
    run_turns(worker, 1)
    loop.cycles_then -= gap * (1 << 32) // loop.scale
    loop.now_then -= gap
    loop.true_then -= gap
    worker.now -= gap
    scale = loop.scale
    assert abs(error(worker)) < TOLERANCE
    assert abs(loop.scale - scale) < scale // 20


def test_never_goes_back_and_catches_up(worker: Worker) -> None:
    """A clock that is ahead is slowed down, not set back; one that is behind is set forward."""
    loop = Loop(worker.loop)
    loop.now_then += 20 * MILLISECOND
    run_turns(worker, 1)
    then, lead = worker.now, error(worker)
    assert lead > 15 * MILLISECOND
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        run_turns(worker, 100 if mode() != "interpreted" else 10)
        assert worker.now >= then
        then = worker.now
    assert abs(error(worker)) < 5 * MILLISECOND
    loop.now_then -= 20 * MILLISECOND
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        run_turns(worker, 10)
    assert abs(error(worker)) < TOLERANCE


def test_a_counter_that_jumps_back(worker: Worker) -> None:
    """Another core's counter may lag: time stands still rather than going back."""
    loop = Loop(worker.loop)
    run_turns(worker, 1)
    then = worker.now
    loop.cycles_then += 10 * SECOND
    run_turns(worker, 1)
    assert worker.now >= then
    assert abs(error(worker)) < TOLERANCE
