"""What is wrong with a configuration: one Problem per mistake, all of them in one ConfigError.

A problem names the file, the line, the key, the value, what is wrong, what is allowed and, where a near miss is likely,
what was probably meant.
"""

import difflib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pronghorn.control.places import Path
from pronghorn.control.trouble import Trouble

MISSING = object()  # "there is no value": None would be one in JSON


@dataclass(frozen=True)
class Problem:
    file: str
    line: int | None
    key: str
    value: str | None  # as it would be written in TOML; None when the problem is that it is missing
    wrong: str
    allowed: str | None = None
    meant: str | None = None
    source: str | None = None  # the line's text

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        subject = self.key if self.value is None else f"{self.key} = {self.value}"
        parts = [f"{self.wrong}"]
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.meant:
            parts.append(f"did you mean {self.meant}?")
        text = "; ".join(parts)
        return ": ".join(part for part in (place, subject, text) if part)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class ConfigError(Trouble):
    """A configuration cannot be used. Nothing that runs was changed."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.line or 0, problem.key))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def key_text(path: Path) -> str:
    """("services", 0, "name") as services[0].name."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def value_text(value: Any) -> str | None:
    """A value as it would stand in TOML, cut when long; None for tables, which say nothing, and for missing values."""
    if value is MISSING or isinstance(value, dict):
        return None
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def meant(word: object, choices: Iterable[str]) -> str | None:
    """The choice that a mistyped word is closest to."""
    if not isinstance(word, str):
        return None
    near = difflib.get_close_matches(word.lower(), list(choices), n=1, cutoff=0.6)
    return near[0] if near else None
