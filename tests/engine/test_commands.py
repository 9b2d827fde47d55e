"""Commands from the control plane, and the life of the workers' threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from pronghorn.engine.engine import Engine
from pronghorn.state.worker import Worker
from tests.support.patience import eventually


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(2, 256) as engine:
        yield engine


def name(_: Worker) -> str:
    return threading.current_thread().name


def test_without_threads_a_command_runs_at_once(engine: Engine) -> None:
    assert engine.call(1, name) == threading.current_thread().name
    assert engine.call(1, lambda worker: worker.index) == 1


def test_a_command_runs_on_its_worker(engine: Engine) -> None:
    engine.start()
    assert [engine.call(index, name) for index in range(2)] == ["worker 0", "worker 1"]
    assert engine.call(1, lambda worker: worker.index) == 1


def test_an_exception_reaches_the_caller_and_the_worker_goes_on(engine: Engine) -> None:
    engine.start()
    for error in (KeyError("no"), SystemExit(3), TimeoutError("mine")):

        def fail(_: Worker, error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            engine.call(0, fail)
        assert caught.value is error
    assert engine.call(0, name) == "worker 0"


def test_commands_run_in_order(engine: Engine) -> None:
    engine.start()
    done: list[int] = []

    def note(number: int) -> Callable[[Worker], None]:
        return lambda _: done.append(number)

    for number in range(200):
        engine.call(0, note(number))
    assert done == list(range(200))


def test_many_threads_command_at_once(engine: Engine) -> None:
    engine.start()
    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(lambda number: engine.call(number % 2, lambda w: (number, w.index)), range(200)))
    assert found == [(number, number % 2) for number in range(200)]


def test_a_command_that_takes_too_long(engine: Engine) -> None:
    engine.start()
    go, done = threading.Event(), []
    with pytest.raises(TimeoutError, match="has not finished the command within"):
        engine.call(0, lambda _: go.wait(60), timeout=0.5)
    with pytest.raises(TimeoutError, match="did not begin the command within"):
        engine.call(0, lambda _: done.append("late"), timeout=0.05)
    go.set()
    assert engine.call(0, name) == "worker 0"
    assert not done  # who gave up is not surprised later
    assert not engine._commands


def test_commands_that_were_not_begun_are_cancelled_by_stop(engine: Engine) -> None:
    engine.start()
    begun, go = threading.Event(), threading.Event()

    def long(_: Worker) -> bool:
        begun.set()
        return go.wait(60)

    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(engine.call, 0, long, 60)
        assert begun.wait(20)
        engine._loops[0].stop = 1
        second = callers.submit(engine.call, 0, name, 60)
        assert eventually(lambda: engine._commands)
        threading.Timer(0.05, go.set).start()
        engine.stop()
        assert first.result()
        with pytest.raises(CancelledError):
            second.result()


def test_stop_and_start_again(engine: Engine) -> None:
    for _ in range(3):
        engine.start()
        assert engine.call(1, name) == "worker 1"
        engine.stop()
        engine.stop()
        assert engine.call(1, name) == threading.current_thread().name
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("worker")]


def test_starting_twice_or_on_no_core_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"cores \[4095\]"):
        engine.start([4095])
    engine.start()
    with pytest.raises(ValueError, match="runs already"):
        engine.start()
    assert engine.call(0, name) == "worker 0"


def test_closing_is_done_once() -> None:
    engine = Engine(1, 256)
    engine.start()
    engine.close()
    engine.close()
    with pytest.raises(ValueError, match="closed"):
        engine.call(0, name)
