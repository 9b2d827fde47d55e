"""Packets per second with MAC addresses swapped, null port to null port, 64 octets, one worker on one core.

The least a forwarder can do: receive, touch the header, transmit. What it costs is the loop, the drivers and the pool.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.null_engine import forwarding
from bench.peers import testpmd

BENCHMARK = Benchmark(
    name="mac_swap",
    what="MAC swap, null port to null port, 64 B, one worker",
    unit="packets/s",
    ours=lambda: forwarding("mac_swap"),
    peer_name="testpmd macswap",
    peer=lambda: testpmd.forwarding("macswap"),
)
