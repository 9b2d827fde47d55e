"""Packets per second through full NAT with 1,000,000 connections: 64-octet TCP, null ports, one worker on one core.

Parsing, connection lookup, rewriting of both addresses and ports, both checksums, TCP state and counters are all in it.
The peer is the same as that of mac_swap: what DPDK's forwarder reaches when it does nothing but swap MAC addresses.
"""

from __future__ import annotations

from bench.balanced import with_connections
from bench.harness import Benchmark
from bench.null_engine import forwarding
from bench.peers import testpmd

BENCHMARK = Benchmark(
    name="lb_full_nat_1m",
    what="full NAT, 64 B TCP, 1,000,000 connections, null ports, one worker, state and counters kept",
    unit="packets/s",
    ours=lambda: forwarding(with_connections(1_000_000)),
    peer_name="testpmd macswap",
    peer=lambda: testpmd.forwarding("macswap"),
)
