"""One check as it goes on: what its results make of it, and when it is due again. Pure: time is an argument.

    up --- fall failures in a row ---> down --- rise successes in a row ---> up

A first result that is good decides alone. While results contradict the state it is about to change, and the next check
comes after `fast_interval`. While it stays down the interval doubles, from `down_interval` to `down_interval_max`, with
each failure; a success ends that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pronghorn.control.health.settings import Check

ERROR = 200  # characters of an error that are kept


@dataclass(frozen=True)
class Pace:
    """The numbers of a check. Seconds."""

    interval: float
    fast: float
    down: float
    down_max: float
    rise: int
    fall: int


def pace_of(check: Check) -> Pace:
    """A check's numbers, with its defaults. An agent's word counts at once."""
    interval = check.interval.seconds
    down = (check.down_interval or check.interval).seconds
    most = max(check.down_interval_max.seconds if check.down_interval_max else down, down)
    rise, fall = (1, 1) if check.type == "agent" else (check.rise, check.fall)
    return Pace(interval, (check.fast_interval or check.interval).seconds, down, most, rise, fall)


@dataclass
class Track:
    """State and counters. What crosses the border between processes is exactly its fields."""

    up: bool = True
    known: bool = False  # there has been a result
    streak: int = 0  # results in a row that contradict the state
    since: float = 0.0  # of the state, seconds of the clock on the wall
    checked: float = 0.0  # the last result, likewise; 0: none yet
    took: float = 0.0  # seconds of the last check
    ok: int = 0
    failed: int = 0
    ups: int = 0  # times that it became up
    downs: int = 0
    backoff: float = 0.0  # seconds of the interval while it is down; 0: not in use
    error: str = ""  # of the last failure, emptied by a success that makes it up
    words: dict[str, Any] = field(default_factory=dict)  # what an agent said (agents.py)

    def result(self, pace: Pace, now: float, passed: bool, error: str = "", took: float = 0.0) -> bool:
        """Note a result. True: the state has changed."""
        self.checked, self.took = now, took
        if passed:
            self.ok += 1
        else:
            self.failed += 1
            self.error = printable(error)
        first, self.known = not self.known, True
        if passed == self.up:
            self.streak = 0
            return self._same(passed, pace)
        self.streak += 1
        if self.streak < (pace.rise if passed else pace.fall) and not (first and passed):
            return False
        return self._become(passed, pace, now)

    def delay(self, pace: Pace) -> float:
        """Seconds from the beginning of the last check to that of the next."""
        if self.streak:
            return pace.fast
        if self.up:
            return pace.interval
        return self.backoff or pace.down

    def _same(self, passed: bool, pace: Pace) -> bool:
        if passed:
            self.backoff = 0.0
        else:
            self.backoff = min(self.backoff * 2 or pace.down, pace.down_max)
        return False

    def _become(self, up: bool, pace: Pace, now: float) -> bool:
        self.up, self.since, self.streak = up, now, 0
        if up:
            self.ups += 1
            self.error, self.backoff = "", 0.0
        else:
            self.downs += 1
            self.backoff = pace.down
        return True


def printable(text: str) -> str:
    """What others have said, fit for a terminal and a log."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:ERROR])


def begun(check: Check, now: float) -> Track:
    """A check that has not been made yet."""
    return Track(up=check.start == "up", since=now)


_KINDS = {"float": (int, float), "int": (int,), "bool": (bool,), "str": (str,), "dict[str, Any]": (dict,)}


def read_track(data: Any) -> Track:
    """What came over the border. Raises ValueError when it is no track."""
    if not isinstance(data, dict):
        raise ValueError("a track is an object")
    known = {one.name: _KINDS[str(one.type)] for one in fields(Track)}
    for name, value in data.items():
        wanted = known.get(name)
        if wanted is None or not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ValueError(f"a track has no {name} = {value!r}"[:ERROR])
        if isinstance(value, int | float) and not 0 <= value < 1e15:
            raise ValueError(f"a track's {name} = {value} is out of range")
    made = Track(**data)
    made.error = printable(made.error)
    return made
