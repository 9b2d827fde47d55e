"""Bulk goodput of one connection at MTU 1500 in real segments with checksums, both ends on one core.

The peer is lwIP with itself, joined in memory without Ethernet.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.peers import lwip
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_bulk_mtu",
    what="one connection in segments at MTU 1500 over a user-veth, both ends on one core",
    unit="B/s",
    ours=lambda: side("bulk", 0),
    peer_name="lwIP in memory",
    peer=lambda: lwip.bulk(),
)
