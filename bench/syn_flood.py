"""Requests per second on 100 established connections under a flood of a million SYNs a second that fills the backlog.

Meanwhile honest clients connect, ask, and are closed, four at a time; a reading in which one of them is not served is
an error. The peer is the same without the flood.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="syn_flood",
    what="100 connections under a flood of 1 M SYN/s; honest clients all served",
    unit="requests/s",
    ours=lambda: side("flood", 100, 1_000_000),
    peer_name="without the flood",
    peer=lambda: side("flood", 100, 0),
)
