"""Memory for an idle established connection, everything counted: what the process grew by, over 200,000 connections.

Connection, socket, index and timers; the clients behind the null port keep nothing.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_idle_memory",
    what="memory of an idle established connection: growth of the process over 200,000",
    unit="B",
    ours=lambda: side("idle_memory", 200_000),
    runs=3,
)
