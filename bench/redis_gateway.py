"""Redis behind a gateway: GET and SET, 50 connections, a client of the kernel's over a veth, AF_XDP. Two cores in all.

Ours: redis-server on a stack of its own, attached to the gateway. The peer: the kernel's server in the same place.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.programs import behind
from bench.programs.pair import kernel
from bench.programs.redis import rates, redis

OPTIONS = ("-c", "50", "-n", "100000")

BENCHMARK = Benchmark(
    name="redis_gateway",
    what="redis behind a gateway on AF_XDP, client of the kernel's, 50 connections",
    unit="requests/s",
    ours=lambda: redis(behind.gateway, rates, *OPTIONS),
    peer_name="kernel server",
    peer=lambda: redis(kernel, rates, *OPTIONS),
    runs=3,
)
