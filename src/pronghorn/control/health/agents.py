"""What an agent answers: HAProxy's agent-check protocol (its configuration manual, section 5.2, `agent-check`).

One line of words, separated by spaces, tabs or commas; what follows "#" is for people. Each word concerns one thing:

    up  down failed stopped     whether it is usable (down, failed, stopped: no new connections)
    ready  drain  maint         what its administrator wants; ready ends the other two
    NN%                         its weight, in percent of the configured one
    maxconn:N                   known and left alone: limits are the configuration's
"""

from __future__ import annotations

import re
from typing import Any

MOST = 25_600  # percent
WORDS = {"up": "up", "down": "down", "failed": "down", "fail": "down", "stopped": "down"}
ADMINS = ("ready", "drain", "maint")


def read_words(line: str) -> dict[str, Any]:
    """{"state": "up" or "down", "admin": ..., "percent": ..., "note": ...}, what was said of these. ValueError when a
    word is unknown, or nothing was said."""
    found: dict[str, Any] = {}
    said, _, note = line.partition("#")
    for word in re.split(r"[\s,]+", said.strip()):
        if match := re.fullmatch(r"(\d{1,5})%", word):
            if int(match[1]) > MOST:
                raise ValueError(f"the agent wants {word}; {MOST}% is the most")
            found["percent"] = int(match[1])
        elif word.lower() in ADMINS:
            found["admin"] = word.lower()
        elif word.lower() in WORDS:
            found["state"] = WORDS[word.lower()]
        elif not re.fullmatch(r"maxconn:\d+", word):
            raise ValueError(f"the agent said {word[:40]!r}" if word else "the agent said nothing")
    if note.strip():
        found["note"] = "".join(letter for letter in note.strip() if letter.isprintable())[:200]
    return found


def valid_words(words: dict[str, Any]) -> dict[str, Any]:
    """The same, when it can be such an answer. Raises ValueError."""
    percent = words.get("percent", 0)
    right = (
        words.keys() <= {"state", "admin", "percent", "note"}
        and words.get("state", "up") in ("up", "down")
        and words.get("admin", "ready") in ADMINS
        and type(percent) is int
        and 0 <= percent <= MOST
        and isinstance(words.get("note", ""), str)
    )
    if not right:
        raise ValueError("no answer of an agent")
    return words


def weight_of(configured: int, percent: int | None) -> int:
    """The weight that counts. Some percent of something is something."""
    if percent is None:
        return configured
    return min(max(configured * percent // 100, 1 if percent and configured else 0), 65_535)
