"""Packets per second with MAC addresses swapped, null port to null port, 64 octets, one worker on one core.

The least a forwarder can do: receive, touch the header, transmit. What it costs is the loop, the drivers and the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.harness import Benchmark
from bench.null_engine import forwarding
from bench.peers import testpmd

if TYPE_CHECKING:
    from pronghorn.engine.engine import Engine


def ours(engine: Engine) -> Sequence[int]:
    """Two null ports that make frames, each reflected to the other."""
    from pronghorn.ports.null import NullPort
    from pronghorn.state.port import REFLECT

    first = engine.add_port(NullPort(octets=64), REFLECT)
    second = engine.add_port(NullPort(octets=64), REFLECT, first)
    engine.ports[first].peer = second
    return [first, second]


BENCHMARK = Benchmark(
    name="mac_swap",
    what="MAC swap, null port to null port, 64 B, one worker",
    unit="packets/s",
    ours=lambda: forwarding(ours),
    peer_name="testpmd macswap",
    peer=lambda: testpmd.forwarding("macswap"),
)
