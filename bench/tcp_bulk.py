"""Bulk goodput of one connection in frames of 64 KB over a user-veth, both ends on one core.

The peer is iperf3 over a Linux veth, which carries the same.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.peers import iperf3
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_bulk",
    what="one connection, 64 KB frames over a user-veth, both ends on one core",
    unit="B/s",
    ours=lambda: side("bulk", 1),
    peer_name="iperf3 over veth, per core",
    peer=lambda: iperf3.bulk(),
)
