"""Packets per second into IPIP tunnels with 100,000 connections: 64-octet TCP, null ports, one worker on one core.

Parsing, connection lookup, the outer header with its checksum, hop count, TCP state and counters are all in it.
The peer is the same as that of mac_swap: what DPDK's forwarder reaches when it does nothing but swap MAC addresses.
"""

from __future__ import annotations

from bench.balanced import with_connections
from bench.harness import Benchmark
from bench.null_engine import forwarding
from bench.peers import testpmd

BENCHMARK = Benchmark(
    name="lb_tunnel",
    what="IPIP tunnels, 64 B TCP, 100,000 connections, null ports, one worker, state and counters kept",
    unit="packets/s",
    ours=lambda: forwarding(with_connections(100_000, "tunnel-ipip")),
    peer_name="testpmd macswap",
    peer=lambda: testpmd.forwarding("macswap"),
)
