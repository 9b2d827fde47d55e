"""Connections per second, one HTTP request each, SYN to the last ACK, 100 at a time, one worker on one core.

SYN, SYN-ACK, ACK, request, response, FIN, and so on to the end: the server closes first, as nginx does in F-Stack's
figures (load with `Connection: close`), and keeps the TIME-WAIT state. The client acknowledges the handshake with a
segment of its own, as Linux does.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.peers import testpmd
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_server_short",
    what="HTTP connections of one request from a null port, SYN to FIN, one worker",
    unit="connections/s",
    ours=lambda: side("http", 100, 1),
    peer_name="testpmd macswap",
    peer=lambda: testpmd.forwarding("macswap"),
)
