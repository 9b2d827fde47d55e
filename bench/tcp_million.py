"""Requests per second on 10,000 of 1,000,000 connections in one engine, against the same engine with those 10,000 only.

Every hundredth connection is busy, so that the busy ones are not neighbours in memory.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_million",
    what="10,000 busy connections among 1,000,000, one worker",
    unit="requests/s",
    ours=lambda: side("million", 1_000_000, 10_000),
    peer_name="the 10,000 alone",
    peer=lambda: side("million", 10_000, 10_000),
    runs=3,
)
