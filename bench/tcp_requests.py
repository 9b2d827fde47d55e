"""Requests per second of 64 octets with replies of 64, on 1,000 open connections, client and server on one core.

Two engines in one process, joined by a user-veth; the peer is an epoll server with its client over Linux loopback.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.peers import loopback
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_requests",
    what="64 B request and reply on 1,000 connections, two engines over a user-veth, one core",
    unit="requests/s",
    ours=lambda: side("echo", 1000, 0),
    peer_name="Linux loopback, per core",
    peer=lambda: loopback.exchanging("requests", 1000),
)
