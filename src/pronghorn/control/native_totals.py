"""What the control plane does for schedulers while workers run: connections of all workers, servers that start slowly.

`look` is called every GROW_EVERY seconds by one thread (native.py).
"""

from __future__ import annotations

import contextlib
from time import monotonic_ns

from pronghorn.balancer.services import advance_starts, search_starting_service
from pronghorn.balancer.tables import Balancer
from pronghorn.balancer.totals import publish_totals
from pronghorn.compiled import u64
from pronghorn.engine.engine import Engine
from pronghorn.state.worker import Worker

STARTS_EVERY = 1_000_000_000
"""Nanoseconds between two steps of servers that start slowly."""


class Totals:
    """Of an engine whose workers all have balancers."""

    def __init__(self, engine: Engine, workers: int) -> None:
        self._engine, self._workers, self._turn, self._stepped = engine, workers, 0, 0
        self._balancers = engine.arena.table("balancers", u64, workers)
        for index in range(workers):
            self._balancers[index] = engine.workers[index].balancer

    def look(self) -> None:
        """Tell workers of each other's connections; once a second, let servers that start slowly have more weight."""
        if self._workers > 1:
            publish_totals(self._balancers, self._workers, self._turn)
            self._turn += 1
        now = monotonic_ns()
        if now - self._stepped >= STARTS_EVERY:
            self._stepped = now
            for index in range(self._workers):
                if search_starting_service(Balancer(self._engine.workers[index].balancer), 0) >= 0:
                    with contextlib.suppress(TimeoutError):  # a worker that is held up: the next second comes
                        self._engine.call(index, lambda worker: _step(worker, now))


def _step(worker: Worker, now: int) -> None:
    """Between two turns of the worker."""
    balancer = Balancer(worker.balancer)
    number = search_starting_service(balancer, 0)
    while number >= 0:
        advance_starts(balancer, balancer.services[number], now)
        number = search_starting_service(balancer, number + 1)
