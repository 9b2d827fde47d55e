"""Packets per second of full NAT with 100,000 connections, while the service has a deny list of 100,000 networks and a
black list has 100,000 addresses, against none of both.

The deny list is asked when a connection opens, the black list for every packet; no packet is in either, which is what
takes the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.balanced import with_connections
from bench.harness import Benchmark
from bench.null_engine import forwarding

if TYPE_CHECKING:
    from pronghorn.engine.engine import Engine

ENTRIES = 100_000
FIRST = 0x0A00_0000  # 10.0.0.0: none of the clients


def denying(engine: Engine) -> Sequence[int]:
    """The same with both lists; entries lie apart, and come as the control plane gives them."""
    from pronghorn.balancer.change_access import Rules, change_black_list, change_rules
    from pronghorn.balancer.set_changes import Sets
    from pronghorn.balancer.set_entries import Member
    from pronghorn.balancer.tables import Balancer

    ports = with_connections(ENTRIES)(engine)
    balancer = Balancer(engine.workers[0].balancer)
    sets = Sets(engine.arena, 1, lambda: int(engine.workers[0].now), lambda: None)
    for name, kind, length in (("black", "ip", 32), ("deny", "net", 28)):
        sets.create(name, kind, secret=0x1234_5678_9ABC_DEF1)
        sets.add(name, [Member("", 0, FIRST + (number << 4), 4 << 32 | length) for number in range(ENTRIES)])
    change_rules(balancer, 0, Rules(deny=sets.address("deny")))
    change_black_list(balancer, [sets.address("black")])
    return ports


BENCHMARK = Benchmark(
    name="lb_deny_100k",
    what="full NAT, 64 B TCP, 100,000 connections, black list and deny list of 100,000 entries each, one worker",
    unit="packets/s",
    ours=lambda: forwarding(denying),
    peer_name="no entries",
    peer=lambda: forwarding(with_connections(ENTRIES)),
)
