"""Connections per second: connect, one request, one reply, close by the client; 100 at a time, both ends on one core.

Two engines in one process, joined by a user-veth; the peer is an epoll server with its client over Linux loopback.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.peers import loopback
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_connections",
    what="connect, request, reply, close by the client, two engines over a user-veth, one core",
    unit="connections/s",
    ours=lambda: side("echo", 100, 1),
    peer_name="Linux loopback, per core",
    peer=lambda: loopback.exchanging("connections", 100),
)
