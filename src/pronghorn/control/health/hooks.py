"""Commands of the user's that are run when something has changed: one by one, and ended with all that they started.

A command runs without a shell and without our descriptors, in a session of its own, and is killed after LIMIT. It
cannot make the gateway wait; what it did not take is said on the log.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

from pronghorn.control.health.processes import process
from pronghorn.control.log import say

LIMIT = 30.0  # s
WAITING = 1024  # commands


async def execute(command: Sequence[str], environment: Mapping[str, str], limit: float) -> tuple[int, str]:
    """Run a command; its exit status and the end of what it printed. TimeoutError when it was killed; OSError."""
    printed, variables = b"", {**os.environ, **environment}
    pipe, out, none = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT, asyncio.subprocess.DEVNULL
    async with (
        asyncio.timeout(limit),
        process(*command, env=variables, stdin=none, stdout=pipe, stderr=out) as made,
    ):
        assert made.stdout is not None
        while octets := await made.stdout.read(4096):
            printed = (printed + octets)[-500:]
        return await made.wait(), printed.decode(errors="replace").strip()


class Hooks:
    """The commands that wait, and the task that runs them."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[Sequence[str], dict[str, str]]] = asyncio.Queue(WAITING)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """In the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Run no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def call(self, command: Sequence[str], **variables: str) -> None:
        """Run it when those before it have ended."""
        if not command:
            return
        try:
            self._waiting.put_nowait((command, variables))
        except asyncio.QueueFull:
            say(f"{command[0]} is not run: {WAITING} commands wait already")

    async def _run(self) -> None:
        while True:
            command, variables = await self._waiting.get()
            try:
                status, printed = await execute(command, variables, LIMIT)
            except TimeoutError:
                say(f"{command[0]} was ended after {LIMIT:g} s")
            except OSError as error:
                say(f"{command[0]} cannot be run: {error.strerror or error}")
            else:
                if status:
                    say(f"{command[0]} has ended with {status}{f': {printed}' if printed else ''}")
