"""What traffic says about a server (DPVS's --dest-check): failures make it down, time and good connections up. Pure.

up ---- `failures` within `window` ---> down ---- after the inhibition ---> probation: it gets connections again
probation ---- `confirm` good ones ---> up; the next inhibition is half as long, `inhibit` at least
probation ---- another failure -------> down, for twice as long, `inhibit_max` at most
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pronghorn.control.health.settings import Passive


@dataclass(frozen=True)
class Counters:
    """What the data plane has counted for a server so far."""

    connections: int = 0
    refused: int = 0  # RST in answer to SYN
    unanswered: int = 0  # SYN, and nothing until the timeout

    @property
    def failures(self) -> int:
        return self.refused + self.unanswered


@dataclass
class Watch:
    """One server. Times are seconds of one clock."""

    settings: Passive
    state: str = "up"  # up, down, probation
    downs: int = 0
    ups: int = 0
    error: str = ""
    until: float = 0.0  # end of the inhibition
    inhibition: float = 0.0  # seconds of the next one
    good: int = 0  # connections since the probation began
    _last: Counters | None = None
    _failed: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.inhibition = self.inhibition or self.settings.inhibit.seconds

    @property
    def is_up(self) -> bool:
        """Whether it may get connections."""
        return self.state != "down"

    def look(self, now: float, counters: Counters) -> bool:
        """What has been counted until now. True: `is_up` has changed."""
        last, self._last = self._last, counters
        if last is None or counters.connections < last.connections:  # the first look, or counters that began anew
            last = counters
        failed = max(counters.failures - last.failures, 0)
        opened = max(counters.connections - last.connections, 0)
        if self.state == "down":
            if now < self.until:
                return False
            self.state, self.good = "probation", 0
            return True
        if self.state == "probation":
            if failed:
                return self._down(now, failed, counters)
            self.good += opened
            if self.good >= self.settings.confirm:
                self.state, self.ups = "up", self.ups + 1
                self.inhibition = max(self.inhibition / 2, self.settings.inhibit.seconds)
            return False
        if failed:
            self._failed.append((now, failed))
        while self._failed and now - self._failed[0][0] > self.settings.window.seconds:
            self._failed.popleft()
        count = sum(number for _, number in self._failed)
        return self._down(now, count, counters) if count >= self.settings.failures else False

    def _down(self, now: float, failed: int, counters: Counters) -> bool:
        if self.state == "probation":
            most = max(self.settings.inhibit_max.seconds, self.settings.inhibit.seconds)
            self.inhibition = min(self.inhibition * 2, most)
        self.state, self.until, self.downs = "down", now + self.inhibition, self.downs + 1
        self._failed.clear()
        self.error = (
            f"{failed} connections failed ({counters.refused} refused, {counters.unanswered} unanswered so far)"
        )
        return True
