"""redis-server and redis-benchmark, each on a core of its own."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from bench.harness import Measure, Unavailable
from bench.programs.pair import SERVER, Pair

PORT = "6379"
_SERVER = ("redis-server", "--port", PORT, "--bind", "0.0.0.0", "--save", "", "--appendonly", "no")
_OPEN = ("--protected-mode", "no", "--daemonize", "no")
Number = Callable[[list[dict[str, str]]], float]


def rates(rows: list[dict[str, str]]) -> float:
    """Requests per second of all tests together: as many of each."""
    return len(rows) / sum(1 / float(row["rps"]) for row in rows)


def quickness(rows: list[dict[str, str]]) -> float:
    """One over the median latency: requests per second, one after the other."""
    return len(rows) / sum(float(row["p50_latency_ms"]) / 1000 for row in rows)


@contextlib.contextmanager
def redis(pair: Callable[[], AbstractContextManager[Pair]], number: Number, *options: str) -> Iterator[Measure]:
    """A side: what `number` reads from redis-benchmark's table for GET and SET."""
    for program in ("redis-server", "redis-benchmark"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed (package redis)")
    with pair() as both:

        def read() -> float:
            with both.serve(*_SERVER, *_OPEN, ready=("redis-cli", "-h", SERVER, "-p", PORT, "ping")):
                text = both.output("redis-benchmark", "-h", SERVER, "-p", PORT, "-t", "get,set", "--csv", *options)
            return number(list(csv.DictReader(io.StringIO(text[text.index('"test"') :]))))

        yield read
