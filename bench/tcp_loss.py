"""What loss leaves of a connection: goodput at 1 % and at 5 % random loss over NewReno without SACK, in virtual time.

100 ms round trip, 1 Gbit/s, buffers of 2 MiB, 60 s. A reading is one seed, the same for ours and the peer, through the
same simulator; of the two losses the one with the smaller ratio counts. Ours is BBR, the congestion control to choose
for such a path: what is lost says nothing about congestion there. CUBIC with SACK, the default, is said beside it: a
window that shrinks with every loss is bound by it, whatever repairs the loss (docs/adr/0011-tcp-under-loss.md).
"""

from __future__ import annotations

from bench.harness import Benchmark
from bench.tcp.side import side

BENCHMARK = Benchmark(
    name="tcp_loss",
    what="goodput of BBR in virtual time, 100 ms, 2 MiB, at 1 % or 5 % loss: where it gains less",
    unit="B/s",
    ours=lambda: side("loss", 0),
    peer_name="NewReno without SACK",
    peer=lambda: side("loss", 1),
)
