"""Packets per second between two user-veth ports through the learning switch, 64 octets, one worker on one core.

The peer is testpmd's `io` mode between two null devices, which allocates and frees a buffer per packet as a port does.
Between two net_ring devices testpmd reaches about 900 million/s on the same machine, but there it only passes pointers
around: no buffer changes hands with a device, and nothing reads the packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.harness import Benchmark, Unavailable
from bench.null_engine import forwarding
from bench.peers import testpmd

if TYPE_CHECKING:
    from pronghorn.engine.engine import Engine


def ours(engine: Engine) -> Sequence[int]:
    """The switch with two user-veth ports, one end of each fed and emptied by a null port."""
    raise Unavailable("engine not available: there is no user-vbridge yet")


BENCHMARK = Benchmark(
    name="bridge",
    what="two user-veth ports through user-vbridge, 64 B, one worker",
    unit="packets/s",
    ours=lambda: forwarding(ours),
    peer_name="testpmd io",
    peer=lambda: testpmd.forwarding("io"),
)
