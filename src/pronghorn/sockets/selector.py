"""asyncio's selector: the kernel's descriptors by its epoll, and the stack turned while it waits."""

from __future__ import annotations

import select
import selectors
import time
from collections.abc import Callable

from pronghorn.sockets import stack as stacks

_LOOK = 32
_LATE = 100e-6
"""Turns, and seconds, after which a busy loop looks at the kernel's descriptors."""


class Selector(selectors.EpollSelector):
    """The kernel's descriptors, and the stack in between."""

    def __init__(self, serve: Callable[[], int], waiting: Callable[[], bool]) -> None:
        super().__init__()
        self._serve, self._waiting = serve, waiting
        own = stacks.stack()
        self._worker, self._pipe = own.worker, own.pipe
        self._kernel: select.epoll = vars(self)["_selector"]
        self._kernel.register(self._pipe, select.EPOLLIN)
        self._turns, self._looked = 0, 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Turn the stack until something is to be done; what the kernel's descriptors have to say."""
        start = last = time.perf_counter()
        while True:
            worked = self._serve()
            now = time.perf_counter()
            if self._waiting() or timeout == 0:
                return self._look(now)
            if worked:
                last = now
                if found := self._look(now):
                    return found
            elif timeout is not None and now - start >= timeout:
                return super().select(0)
            elif now - last >= stacks.SPIN and (found := self._sleep(timeout and timeout - (now - start))):
                return found

    def _look(self, now: float) -> list[tuple[selectors.SelectorKey, int]]:
        """At the kernel's descriptors, now and then."""
        self._turns += 1
        if self._turns < _LOOK and now - self._looked < _LATE:
            return []
        self._turns, self._looked = 0, now
        return super().select(0)

    def _sleep(self, rest: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        nap = stacks.doze(self._worker)
        if nap <= 0:
            return []
        seconds = nap / 1e9 if rest is None else min(nap / 1e9, rest)
        try:
            return super().select(max(seconds, 1e-6))
        finally:
            stacks.wake(self._worker)
