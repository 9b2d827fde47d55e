"""Requests per second of a minimal HTTP/1.1 server on the stack, 10,000 kept-alive connections, one worker on one core.

As tcp_server_100; the connections' state no longer fits the nearer caches.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.peers import testpmd
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_server_10k",
    what="10,000 kept-alive HTTP connections from a null port, one worker",
    unit="requests/s",
    ours=lambda: side("http", 10_000, 0),
    peer_name="testpmd macswap",
    peer=lambda: testpmd.forwarding("macswap"),
)
