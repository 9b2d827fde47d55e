"""Goodput at 1 % and 5 % loss, 100 ms round trip, 100 Mbit/s, buffers of 2 MiB, in virtual time: the geometric mean.

Ours is BBR, the congestion control to choose for such a path: what is lost says nothing about congestion there. Windows
that shrink with every loss are bound by it whatever repairs them (CUBIC with SACK: 1.2 times the peer). The peer is
NewReno without SACK in the same simulator.
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.tcp.side import side

RENO, BBR = 0, 2  # pronghorn.tcp.congestion


BENCHMARK = Benchmark(
    name="tcp_loss",
    what="goodput at 1 % and 5 % loss, 100 ms, 2 MiB buffers, virtual time: BBR, geometric mean",
    unit="B/s",
    ours=lambda: side("loss", BBR, 1),
    peer_name="NewReno without SACK",
    peer=lambda: side("loss", RENO, 0),
    runs=3,
)
