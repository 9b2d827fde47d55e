"""Rates from counters: what changed between two looks, per second.

Nothing runs while nobody asks. A question that comes within WINDOW seconds of an earlier look is answered at once, with
the change since then; the first one takes a second look after PAUSE seconds.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, get_args, get_type_hints

from pronghorn.control.views import RateOf

WINDOW = 10.0
PAUSE = 0.2
Views = Sequence[Any]


class Rates:
    """Remembers the last look at each kind of view. The clock is an argument."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.looks: dict[str, tuple[float, Views]] = {}

    async def watch(self, kind: str, look: Callable[[], Views]) -> Views:
        """The views with their rates filled in. Kinds that have none are looked at once."""
        before = self.looks.get(kind)
        views = look()
        if not any(_has_rates(view) for view in views):
            return views
        now = self.clock()
        if before is None or not PAUSE <= now - before[0] <= WINDOW:
            before = now, views
            await asyncio.sleep(PAUSE)
            views, now = look(), self.clock()
        self.looks[kind] = now, views
        return with_rates(before[1], views, now - before[0])


def with_rates(before: Views, views: Views, seconds: float) -> Views:
    """Fill in the rate fields of views, and of views inside them. What was not there before has no rate yet."""
    old = {view.key: view for view in before}
    return [_with_rates(old.get(view.key), view, seconds) for view in views]


def _with_rates(old: Any, view: Any, seconds: float) -> Any:
    change: dict[str, Any] = {}
    kind: Any = type(view)
    for name, counter in _rates(kind).items():
        grown = getattr(view, counter) - getattr(old, counter) if old is not None else 0
        change[name] = max(grown, 0) / seconds if seconds > 0 else 0.0
    for name in _inner(kind):
        inner = getattr(view, name)
        change[name] = tuple(with_rates(getattr(old, name) if old is not None else (), inner, seconds))
    return dataclasses.replace(view, **change)


def _has_rates(view: Any) -> bool:
    kind: Any = type(view)
    return bool(_rates(kind) or _inner(kind))


@cache
def _rates(kind: Any) -> dict[str, str]:
    """Rate fields and the counters they are the rates of."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: note.counter for name, hint in hints.items() for note in get_args(hint)[1:] if isinstance(note, RateOf)
    }


@cache
def _inner(kind: Any) -> tuple[str, ...]:
    """Fields that are tuples of views."""
    hints = get_type_hints(kind)
    return tuple(name for name, hint in hints.items() if any(map(dataclasses.is_dataclass, get_args(hint))))
