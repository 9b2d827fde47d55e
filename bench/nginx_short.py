"""Requests per second: nginx, a page of 600 octets, a new connection for each request, wrk. A core for each program.

Ours: both on stacks of their own, joined by a direct link. The peer: the kernel's, over a veth.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.programs.pair import accelerated, kernel
from bench.programs.web import web

BENCHMARK = Benchmark(
    name="nginx_short",
    what="nginx, a page of 600 octets, a new connection for each request, wrk",
    unit="requests/s",
    ours=lambda: web(accelerated, "Connection: close"),
    peer_name="kernel over veth",
    peer=lambda: web(kernel, "Connection: close"),
    runs=3,
)
