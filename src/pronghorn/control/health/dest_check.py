"""DPVS's words for health checks by service, `ipvsadm --dest-check WORDS`, as what the configuration has.

disable                                         nothing
default                                         1,1,3s,5-3600s
down_retry,up_confirm,down_wait,min-max         passive checks with these numbers, such as 3,2,10s,5-60s
down_retry,down_wait                            passive checks with these, and the others' defaults
tcp, udp, ping                                  an active check of this kind
"""

from __future__ import annotations

import re

from pronghorn.control.health.durations import Duration, duration
from pronghorn.control.health.settings import Check, Passive

_LONG = re.compile(r"(\d+),(\d+),(\d+)s?,(\d+)-(\d+)s?")
_SHORT = re.compile(r"(\d+),(\d+)s?")


def read_dest_check(text: str) -> Check | Passive | None:
    """What the words ask for; None: nothing. Raises ValueError."""
    if text == "disable":
        return None
    if text == "default":
        return Passive()
    if text in ("tcp", "udp", "ping"):
        return Check.model_validate({"type": text})
    if match := _LONG.fullmatch(text):
        failures, confirm, window, low, high = map(int, match.groups())
        if low > high:
            raise ValueError(f"{text}: the inhibition ends before it begins")
        return _passive(failures=failures, confirm=confirm, window=_s(window), inhibit=_s(low), inhibit_max=_s(high))
    if match := _SHORT.fullmatch(text):
        return _passive(failures=int(match[1]), window=_s(int(match[2])))
    raise ValueError(f"{text}: disable, default, DOWN_RETRY,UP_CONFIRM,DOWN_WAIT,MIN-MAX, DOWN_RETRY,DOWN_WAIT, tcp, "
                     "udp or ping")  # fmt: skip


def _s(seconds: int) -> Duration:
    return duration(seconds * 1000)


def _passive(**values: object) -> Passive:
    return Passive.model_validate(values)
