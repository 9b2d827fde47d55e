"""`python -m tests.fuzz --frames 5000000 [--seed N]`: rounds of mutated frames until there were so many.

With --conversations the frames are those of fuzzed conversations (talk.py), and --round counts steps. Each round is a
fresh engine and has a number, starting at the seed; `--seed N --frames 1` repeats round N alone.
PRONGHORN_MODE and PRONGHORN_BOUNDS choose what is fuzzed. A crash ends the program like any other; the last line
printed names the round.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import sys
import time
from collections import Counter

from pronghorn.compiled import bounds, mode
from tests.fuzz.stage import Failure, run_round
from tests.fuzz.talk import run_talk

PER_ROUND = 200_000 if mode() != "interpreted" else 2_000
STEPS = 4_000 if mode() != "interpreted" else 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20), help="number of the first round")
    parser.add_argument("--round", type=int, default=0, help="frames (steps) per round; a repetition needs the same")
    parser.add_argument("--conversations", action="store_true", help="fuzz conversations, not single frames")
    asked = parser.parse_args()
    run, size, option = (run_talk, STEPS, " --conversations") if asked.conversations else (run_round, PER_ROUND, "")
    size = asked.round or size
    faulthandler.enable()
    checked = ", every access checked" if bounds.ENABLED else ""
    print(f"fuzz: mode {mode()}{checked}, {asked.frames:,} frames from round {asked.seed}", flush=True)
    done, verdicts, begin, number = 0, Counter[str](), time.monotonic(), asked.seed
    while done < asked.frames:
        print(f"round {number} (--seed {number} --frames 1 --round {size}{option})", end=" ", flush=True)
        try:
            result = run(number, size)
        except Failure as failure:
            print(f"\nFAILED: {failure}")
            return 1
        done += result.frames
        verdicts.update(result.verdicts)
        print(f"{done:,} frames, {len(verdicts)} verdicts, {done / (time.monotonic() - begin):,.0f}/s", flush=True)
        number += 1
    for name, count in verdicts.most_common():
        print(f"{count:12,} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
