"""A checker: makes the checks that its gateway orders, over one way, and tells what becomes of them.

Checks begin spread over their interval and stay so by their jitter. At most AT_ONCE are made at a time; a check whose
turn comes later for that begins later. Results are told together, at most every PACE seconds. A checker ends when its
gateway does.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import itertools
import os
import random
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pronghorn.control.health.messages import BEAT, LINE, Order, read_orders, tracks
from pronghorn.control.health.probes import probe_of
from pronghorn.control.health.track import Track, pace_of
from pronghorn.control.health.way import Failed, Way

AT_ONCE = 512
PACE = 0.05  # s
QUEUED = 4 << 20  # octets that the gateway has not read; then it is told later
Write = Callable[[bytes], None]


@dataclass(eq=False)
class Running:
    """One check."""

    number: int
    order: Order
    track: Track
    task: asyncio.Task[None] | None = None
    dropped: bool = False


class Checker:
    """All of them. `chance` gives numbers from 0 to 1."""

    def __init__(self, way: Way, chance: Callable[[], float] = random.random, most: int = AT_ONCE) -> None:
        self._way, self._chance = way, chance
        self._most, self._busy = most, 0
        self._checks: dict[int, Running] = {}
        self._due: list[tuple[float, int, Running]] = []  # a heap
        self._serial = itertools.count()
        self._woken = asyncio.Event()
        self.changed: dict[int, Track] = {}  # what the gateway has not been told

    def carry_out(self, line: bytes) -> None:
        """A line of orders."""
        wanted, unwanted = read_orders(line)
        for number in (*unwanted, *wanted):
            if (old := self._checks.pop(number, None)) is not None:
                old.dropped = True
                self.changed.pop(number, None)
                if old.task is not None:
                    old.task.cancel()
        for number, (order, track) in wanted.items():
            self._checks[number] = running = Running(number, order, track)
            self._at(running, track.delay(pace_of(order.check)) * self._chance())

    def _at(self, running: Running, seconds: float) -> None:
        heapq.heappush(self._due, (asyncio.get_running_loop().time() + seconds, next(self._serial), running))
        self._woken.set()

    async def run(self) -> None:
        """Make them as they are due, without end."""
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            now = loop.time()
            while self._due and self._due[0][0] <= now and self._busy < self._most:
                running = heapq.heappop(self._due)[2]
                if not running.dropped:
                    self._busy += 1
                    running.task = loop.create_task(self._check(running))
            free = self._busy < self._most
            rest = max(self._due[0][0] - now, 0) if self._due and free else None
            try:
                await asyncio.wait_for(self._woken.wait(), rest)
            except TimeoutError:
                continue

    async def _check(self, running: Running) -> None:
        """One check, and when the next one is due."""
        loop, pace = asyncio.get_running_loop(), pace_of(running.order.check)
        began = loop.time()
        try:
            error, words = await self._attempt(running.order)
        finally:
            self._busy -= 1
            self._woken.set()
        if running.dropped:
            return
        track, took = running.track, loop.time() - began
        _note(track, running.order, error, words, took)
        self.changed[running.number] = track
        jitter = 1 + (2 * self._chance() - 1) * running.order.check.jitter / 100
        self._at(running, max(track.delay(pace) * jitter - took, 0))

    async def _attempt(self, order: Order) -> tuple[str | None, dict[str, Any] | None]:
        """Why it failed, or None; and what an agent said."""
        try:
            async with asyncio.timeout(order.check.timeout.seconds):
                return None, await probe_of(order.check.type)(self._way, order)
        except TimeoutError:
            return f"no answer within {order.check.timeout}", None
        except Failed as failed:
            return str(failed), None
        except ssl.SSLCertVerificationError as error:
            return f"certificate: {error.verify_message}", None
        except (OSError, EOFError, ValueError) as error:
            number: int = getattr(error, "errno", None) or 0  # asyncio has words of its own for it
            known = number in errno.errorcode and not isinstance(error, ssl.SSLError)
            return (os.strerror(number) if known else str(error)) or type(error).__name__, None
        except ImportError as error:
            return f"{error}: install pronghorn[health]", None
        except Exception as error:  # a defect is the check's, not that of all others
            return f"{type(error).__name__}: {error}", None

    def tell(self) -> bytes:
        """What has changed since the last time."""
        changed, self.changed = self.changed, {}
        return tracks(changed)


def _note(track: Track, order: Order, error: str | None, words: dict[str, Any] | None, took: float) -> None:
    """An agent that is not reached or not understood leaves the state as it is (agents.py)."""
    pace, now = pace_of(order.check), time.time()
    if order.check.type != "agent" or (words is not None and "state" in words):
        up = error is None if words is None else words["state"] == "up"
        track.result(pace, now, up, error or str((words or {}).get("note", "the agent says so")), took)
    else:
        track.checked, track.took = now, took
        track.ok, track.failed = track.ok + (error is None), track.failed + (error is not None)
        track.error = error or ""
    if words is not None:
        track.words = track.words | words


async def serve(way: Way, most: int = AT_ONCE) -> None:
    """Orders from standard input, what becomes of them on standard output, until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    out, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout.buffer)
    checker = Checker(way, most=most)
    tasks = [loop.create_task(checker.run()), loop.create_task(_tell(checker, out))]
    try:
        while line := await reader.readline():
            checker.carry_out(line)
            for task in tasks:
                if task.done():
                    task.result()
    finally:
        for task in tasks:
            task.cancel()
        out.abort()


async def _tell(checker: Checker, out: asyncio.WriteTransport) -> None:
    """Now and then, and when there is something."""
    last = 0.0
    while True:
        now = asyncio.get_running_loop().time()
        if (checker.changed or now - last >= BEAT / 2) and out.get_write_buffer_size() < QUEUED:
            last = now
            out.write(checker.tell())
        await asyncio.sleep(PACE)
