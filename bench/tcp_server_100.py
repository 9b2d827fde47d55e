"""Requests per second of a minimal HTTP/1.1 server on the stack, 100 kept-alive connections, one worker on one core.

The clients are behind a null port (ports/null_client.py): requests of 64 octets, responses of 148, timestamps in both;
checksums are computed and verified in software. The peer says what a forwarder does on this core that only touches
each packet. F-Stack with nginx reaches 0.015 of that with few connections (1 core, kept alive: 215,000 requests/s).
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.peers import testpmd
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_server_100",
    what="100 kept-alive HTTP connections from a null port, one worker",
    unit="requests/s",
    ours=lambda: side("http", 100, 0),
    peer_name="testpmd macswap",
    peer=lambda: testpmd.forwarding("macswap"),
)
