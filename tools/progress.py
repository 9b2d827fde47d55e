"""What ./do says while it works: on standard error, to keep a verb's own output clean; colour on a terminal only."""

from __future__ import annotations

import os
import sys

COLOURED = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def say(text: str, colour: str) -> None:
    print(f"\033[{colour}m{text}\033[0m" if COLOURED else text, file=sys.stderr, flush=True)


def note(text: str) -> None:
    say(f"do: {text}", "36")


def warn(text: str) -> None:
    say(f"do: {text}", "33")


def fail(text: str) -> None:
    say(f"do: {text}", "31")
