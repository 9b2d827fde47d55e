"""`python -m bench [NAME ...] [--json] [--list] [--runs N]`: run benchmarks. Progress goes to standard error."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from rich.console import Console

from bench.bars import BARS
from bench.harness import Benchmark, Result, measure
from bench.report import as_json, show

WIDTH = 120  # of the table; a narrower terminal wraps its lines


def load(name: str) -> Benchmark:
    """The benchmark of that name: bench/NAME.py."""
    benchmark = importlib.import_module(f"bench.{name}").BENCHMARK
    assert isinstance(benchmark, Benchmark)
    return benchmark


def chosen(names: Sequence[str]) -> list[str]:
    """The names to run, in the table's order. Raises ValueError for one that does not exist."""
    unknown = [name for name in names if name not in BARS]
    if unknown:
        raise ValueError(f"no benchmark {', '.join(unknown)}; there are {', '.join(BARS)}")
    return [name for name in BARS if not names or name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure against peers in the same run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks; all without a name")
    parser.add_argument("--json", action="store_true", help="print the results as a JSON array")
    parser.add_argument("--list", action="store_true", help="print names, bars and what is measured")
    parser.add_argument("--runs", type=int, metavar="N", help="readings of each side instead of the usual number")
    options = parser.parse_args(arguments)
    try:
        names = chosen(options.names)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        for name in names:
            print(f"{name:<14} {BARS[name]!s:<34} {load(name).what}")
        return 0
    out, progress = Console(), Console(stderr=True, highlight=False, soft_wrap=True)
    out.width = max(out.width, WIDTH)

    def say(text: str) -> None:
        progress.print(text, markup=False)

    results: list[Result] = []
    try:
        for number, name in enumerate(names, 1):
            say(f"[{number}/{len(names)}] {name}")
            results.append(measure(load(name), say, options.runs))
    except KeyboardInterrupt:
        say("interrupted; this is what was measured until then")
    if options.json:
        print(as_json(results))
    else:
        show(results, out)
    return 130 if len(results) < len(names) else int(any(result.error for result in results))


if __name__ == "__main__":
    sys.exit(main())
