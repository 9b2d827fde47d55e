"""Bulk goodput of iperf3, one stream. Server and client on a core each.

Ours: both on stacks of their own, joined by a direct link. The peer: the kernel's, over a veth.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from bench.harness import Benchmark, Measure, Unavailable
from bench.programs.pair import SERVER, Pair, accelerated, kernel

SECONDS = 4


@contextlib.contextmanager
def stream(pair: Callable[[], AbstractContextManager[Pair]]) -> Iterator[Measure]:
    """A side: octets received per second."""
    if shutil.which("iperf3") is None:
        raise Unavailable("iperf3 is not installed (package iperf3)")
    with pair() as both:

        def read() -> float:
            client = ("iperf3", "-c", SERVER, "-J")
            with both.serve("iperf3", "-s", ready=(*client, "-n", "100K")):
                text = both.output(*client, "-t", str(SECONDS), "-O", "1")
            return float(json.loads(text)["end"]["sum_received"]["bits_per_second"]) / 8

        yield read


BENCHMARK = Benchmark(
    name="iperf",
    what="iperf3, one stream",
    unit="B/s",
    ours=lambda: stream(accelerated),
    peer_name="kernel over veth",
    peer=lambda: stream(kernel),
    runs=3,
)
