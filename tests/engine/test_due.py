"""worker.due: after a turn without work it says when the next one is needed, and a worker does not sleep beyond it."""

from __future__ import annotations

import statistics
import time

import pytest

from pronghorn.balancer.tables import TICK
from pronghorn.compiled import mode
from pronghorn.engine import run as run_module
from pronghorn.engine.engine import Engine
from pronghorn.net.fragments import Fragments
from pronghorn.net.state import net_of
from pronghorn.net.timers import SWEEP
from pronghorn.state.worker import NEVER, wake_at
from tests.support.feed import CLIENT, OWN, OWN4, ROUTER, SERVICE, EngineBench
from tests.support.worker import SECOND
from tests.wire import judges as j


def test_a_bare_engine_has_nothing_to_do() -> None:
    with Engine(1, 64) as engine:
        engine.turn(5)
        assert engine.workers[0].due == NEVER
        wake_at(engine.workers[0], 20)
        wake_at(engine.workers[0], 30)
        assert engine.workers[0].due == 20
        engine.turn(6)
        assert engine.workers[0].due == NEVER


def test_a_neighbour_that_is_asked_for() -> None:
    with EngineBench() as bench:
        worker = bench.engine.workers[0]
        bench.turn()
        assert worker.due == NEVER
        bench.hear(j.Ether(src=ROUTER, dst=OWN[0]) / j.IP(src="192.0.2.77", dst=OWN4[0]) / j.ICMP())
        bench.turn()
        assert bench.now < worker.due <= bench.now + SWEEP
        bench.drain()


def test_a_fragment_that_waits() -> None:
    with EngineBench() as bench:
        worker = bench.engine.workers[0]
        first = j.IP(src="192.0.2.254", dst=OWN4[0], flags="MF", id=7) / j.UDP(sport=1, dport=2) / bytes(72)
        bench.hear(j.Ether(src=ROUTER, dst=OWN[0]) / first)
        own = Fragments(net_of(worker).fragments)
        deadline = own.datagrams[own.oldest4].deadline
        bench.turn((deadline - bench.now) / SECOND - 0.5)
        assert worker.due == deadline
        bench.drain()


def test_a_connection_that_is_open() -> None:
    with EngineBench() as bench:
        worker = bench.engine.workers[0]
        bench.service()
        ip = j.IP(src=CLIENT[4], dst=SERVICE[4]) / j.TCP(sport=1234, dport=80, flags="S")
        bench.hear(j.Ether(src=ROUTER, dst=OWN[0]) / ip)
        for _ in range(400):  # seconds: no timeout of a connection that opens is longer
            bench.turn()
            assert worker.due > bench.now
            if worker.due < bench.now + SECOND:
                break
            bench.turn(1)
        assert worker.due % (1 << TICK) == 0
        bench.turn((worker.due - bench.now) / SECOND)
        bench.drain()


@pytest.mark.parametrize("kernel", ["epoll_pwait2", "epoll_wait"])
def test_a_worker_wakes_in_time(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "epoll_wait":
        if mode() != "interpreted":
            pytest.skip("constants of compiled code are frozen")
        monkeypatch.setattr(run_module, "EPOLL_PWAIT2", 100_000)  # no such system call
    delays = []
    with Engine(1, 64) as engine:
        worker = engine.workers[0]
        for _ in range(10):
            engine.run_turns(1)
            begin = time.monotonic_ns()
            wake_at(worker, worker.now + 3_000_000)
            run_module._sleep(worker, engine._loops[0])
            delays.append(time.monotonic_ns() - begin)
        assert 1_500_000 < statistics.median(delays) < 40_000_000  # and not a nap of 50 ms
