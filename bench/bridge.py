"""Packets per second between two user-veth ports through the learning switch, 64 octets, one worker on one core.

The peer is testpmd's `io` mode between two null devices, which allocates and frees a buffer per packet as a port does.
Between two net_ring devices testpmd reaches about 900 million/s on the same machine, but there it only passes pointers
around: no buffer changes hands with a device, and nothing reads the packet.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.null_engine import forwarding
from bench.peers import testpmd

BENCHMARK = Benchmark(
    name="bridge",
    what="two user-veth ports through user-vbridge, 64 B, one worker",
    unit="packets/s",
    ours=lambda: forwarding("bridge"),
    peer_name="testpmd io",
    peer=lambda: testpmd.forwarding("io"),
)
