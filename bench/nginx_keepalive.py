"""Requests per second: nginx, a page of 600 octets, 50 connections kept alive, wrk. A core for each program.

Ours: both on stacks of their own, joined by a direct link. The peer: the kernel's, over a veth.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.programs.pair import accelerated, kernel
from bench.programs.web import web

BENCHMARK = Benchmark(
    name="nginx_keepalive",
    what="nginx, a page of 600 octets, 50 connections kept alive, wrk",
    unit="requests/s",
    ours=lambda: web(accelerated),
    peer_name="kernel over veth",
    peer=lambda: web(kernel),
    runs=3,
)
