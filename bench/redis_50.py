"""Redis: GET and SET, 50 connections, one request at a time on each. Server and client on a core each.

Ours: both on stacks of their own, joined by a direct link. The peer: the kernel's, over a veth.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.programs.pair import accelerated, kernel
from bench.programs.redis import rates, redis

OPTIONS = ("-c", "50", "-n", "300000")

BENCHMARK = Benchmark(
    name="redis_50",
    what="redis GET and SET, 50 connections, one request at a time on each",
    unit="requests/s",
    ours=lambda: redis(accelerated, rates, *OPTIONS),
    peer_name="kernel over veth",
    peer=lambda: redis(kernel, rates, *OPTIONS),
    runs=3,
)
