"""A checker's process, from the gateway's side: started when there is something to check, started again when it ends.

It is started again after RETRY seconds, and after twice as long each time that it ends soon; with the tracks as they
were told last, so that nothing is forgotten. One that is silent, or says what cannot be true, is killed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from pronghorn.control.health.messages import BEAT, LINE, Order, orders, read_tracks
from pronghorn.control.health.processes import Process, process
from pronghorn.control.health.track import Track
from pronghorn.control.log import say

RETRY, RETRY_MOST = 0.5, 60.0  # s
STEADY = 30.0  # s that it runs, after which it did not end soon
SILENT = 15 * BEAT
START = 60.0  # s for its first word: a development tree may compile first
COMMAND = (sys.executable, "-m", "pronghorn.cli.checker")

Wanted = dict[int, tuple[Order, Track]]


class Supervisor:
    """One checker, of one way. `told` is called with what it says; `wanted` gives all of its checks."""

    def __init__(
        self,
        way: str,
        environment: Mapping[str, str],
        wanted: Callable[[], Wanted],
        told: Callable[[dict[int, Track]], None],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.way, self._environment, self._command = way, environment, command
        self._wanted, self._told = wanted, told
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def change(self, new: Wanted, gone: list[int]) -> None:
        """Checks have come and gone. Others are left alone."""
        if self._task is None:
            if self._wanted():
                self._task = asyncio.get_running_loop().create_task(self._keep())
        elif not self._wanted():
            self._task.cancel()
            self._task = None
        elif self._process is not None and self._process.stdin is not None and (new or gone):
            self._process.stdin.write(orders(new, gone))

    async def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), RETRY
        while True:
            began, why = loop.time(), ""
            try:
                why = await self._live()
            except (OSError, ValueError, RecursionError) as error:
                why = str(error)
            if loop.time() - began > STEADY:
                pause = RETRY
            say(f"the checker ({self.way}) has ended{f': {why}' if why else ''}; another one in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_MOST)

    async def _live(self) -> str:
        """One process, until it ends; why it did. OSError, ValueError."""
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, **self._environment}
        async with process(*self._command, self.way, stdin=pipe, stdout=pipe, env=environment, limit=LINE) as made:
            self.starts += 1
            assert made.stdin is not None
            made.stdin.write(orders(self._wanted(), []))
            self._process = made
            try:
                return await self._listen(made)
            finally:
                self._process = None

    async def _listen(self, made: Process) -> str:
        patience = START
        assert made.stdout is not None
        while True:
            try:
                async with asyncio.timeout(patience):
                    line = await made.stdout.readline()
            except TimeoutError:
                return f"it said nothing for {patience:g} s"
            if not line:
                status = await made.wait()
                return f"signal {-status}" if status < 0 else f"status {status}"
            self._told(read_tracks(line))
            patience = SILENT
