"""How long something is, as the configuration has it: "500ms", "2s", "1m", "1h". Kept as text in its shortest form."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from pronghorn.control.fields import _from_text

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


class Duration(str):
    """A text such as "2s", and its value."""

    __slots__ = ()

    @property
    def seconds(self) -> float:
        """Its value."""
        return milliseconds(self) / 1000


def milliseconds(text: str) -> int:
    """The value of "2s" and the like. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,9})(ms|s|m|h)", text)
    if not match:
        raise ValueError("is not a duration")
    return int(match[1]) * _UNITS[match[2]]


def duration(value: int) -> Duration:
    """The shortest text for so many milliseconds."""
    unit = next(unit for unit in ("h", "m", "s", "ms") if value % _UNITS[unit] == 0 and (value or unit == "s"))
    return Duration(f"{value // _UNITS[unit]}{unit}")


def reader(low: str, high: str) -> Any:
    """What reads a key whose value is from `low` to `high`."""
    least, most = milliseconds(low), milliseconds(high)

    def read(text: str) -> Duration:
        value = milliseconds(text)
        if not least <= value <= most:
            raise ValueError("is too small" if value < least else "is too large")
        return duration(value)

    return _from_text(read)


def allowed(low: str, high: str) -> Any:
    """What is said about such a key."""
    return Field(json_schema_extra={"allowed": f'a number with ms, s, m or h, such as "2s" or "500ms": {low}..{high}'})
