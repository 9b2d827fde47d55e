"""`python -m bench.tcp.child SCENARIO [ARGUMENT ...]`: says `ready`, then a number for every line it reads.

What goes wrong is said instead, on the same line; details are on standard error.
"""

from __future__ import annotations

import sys
import traceback

from bench import cores
from bench.tcp.side import READY


def main(name: str, *arguments: str) -> int:
    """Run one scenario until standard input ends."""
    try:
        from bench.tcp.scenarios import SCENARIOS

        with cores.measured(), SCENARIOS[name](*map(int, arguments)) as measure:
            print(READY, flush=True)
            for _ in sys.stdin:
                print(measure(), flush=True)
    except Exception as error:
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
