"""Waiting for what becomes true in its own time: another process, a thread, the kernel's clean-up.

Patience is long, because a loaded machine is slow, and costs nothing where all is well: a look every few milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 20.0  # s


def becomes(look: Callable[[], T], wanted: T, seconds: float = PATIENCE) -> T:
    """Look until it is what is wanted or the time is up; returns the last look, to be compared where one stands."""
    end = time.monotonic() + seconds
    while (seen := look()) != wanted and time.monotonic() < end:
        time.sleep(0.005)
    return seen


def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Whether it holds before the time is up."""
    return becomes(lambda: bool(condition()), True, seconds)
