"""Packets per second through full NAT between the families, 100,000 connections: 64-octet TCP, null ports, one core.

Clients are of IPv4 and servers of IPv6: parsing, connection lookup, another network header, ports, checksums, TCP state
and counters are all in it.
The peer is the same as that of mac_swap: what DPDK's forwarder reaches when it does nothing but swap MAC addresses.
"""

from __future__ import annotations

from bench.balanced import with_connections
from bench.harness import Benchmark
from bench.null_engine import forwarding
from bench.peers import testpmd

BENCHMARK = Benchmark(
    name="lb_nat64",
    what="full NAT from IPv4 to IPv6, 64 B TCP, 100,000 connections, null ports, one worker, state and counters kept",
    unit="packets/s",
    ours=lambda: forwarding(with_connections(100_000, family=6)),
    peer_name="testpmd macswap",
    peer=lambda: testpmd.forwarding("macswap"),
)
