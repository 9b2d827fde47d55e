"""What the gateway says while it runs: lines on standard error; the service manager adds the time."""

import sys


def say(text: str) -> None:
    """One line for the log."""
    print(f"pronghorn: {text}", file=sys.stderr, flush=True)
