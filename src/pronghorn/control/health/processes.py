"""Processes that are started by the control thread, and ended with all that they have started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

Process = asyncio.subprocess.Process


@contextlib.asynccontextmanager
async def process(*command: str, **options: Any) -> AsyncIterator[Process]:
    """One in a session of its own, killed at the end of the block. OSError."""
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, start_new_session=True, **options))
    try:
        made = await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end(await starting)
        raise
    try:
        yield made
    finally:
        await _end(made)


async def _end(made: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(made.pid, signal.SIGKILL)
    if made.stdin is not None and not made.stdin.is_closing():
        made.stdin.transport.abort()  # what it was to be told is no use any more, and would keep the pipe open
    await made.wait()
    made._transport.close()  # type: ignore[attr-defined]
