"""Packets per second over 1,000 services of 1,000 servers each, against one service of 16, with 100,000 connections.

Every service and 100,000 of the million servers have traffic, so what is kept of them is touched in as many places.
"""

from __future__ import annotations

from bench.balanced import with_connections
from bench.harness import Benchmark
from bench.null_engine import forwarding

BENCHMARK = Benchmark(
    name="lb_many",
    what="full NAT, 64 B TCP, 100,000 connections over 1,000 services of 1,000 servers, null ports, one worker",
    unit="packets/s",
    ours=lambda: forwarding(with_connections(100_000, services=1000, servers=1000)),
    peer_name="one service of 16 servers",
    peer=lambda: forwarding(with_connections(100_000)),
)
