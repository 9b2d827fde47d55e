"""Answers per second of a Python echo server, 100 connections, 64 octets: asyncio's protocols on our loop.

The server is on a stack of its own at a direct link. The peer: the same server on asyncio's loop, over the kernel.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.programs.echo import echo
from bench.programs.pair import accelerated, kernel

BENCHMARK = Benchmark(
    name="asyncio_echo",
    what="Python echo server, 100 connections, 64 B, on our event loop",
    unit="answers/s",
    ours=lambda: echo(lambda: accelerated(server=("--no-preload",)), "pronghorn"),
    peer_name="asyncio over the kernel",
    peer=lambda: echo(kernel, "asyncio"),
    runs=3,
)
