"""Redis: GET and SET, one connection: 1 over the median latency. Server and client on a core each.

Ours: both on stacks of their own, joined by a direct link. The peer: the kernel's, over a veth.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.programs.pair import accelerated, kernel
from bench.programs.redis import quickness, redis

OPTIONS = ("-c", "1", "-n", "50000")

BENCHMARK = Benchmark(
    name="redis_1",
    what="redis GET and SET, one connection: 1 over the median latency",
    unit="1/s",
    ours=lambda: redis(accelerated, quickness, *OPTIONS),
    peer_name="kernel over veth",
    peer=lambda: redis(kernel, quickness, *OPTIONS),
    runs=3,
)
