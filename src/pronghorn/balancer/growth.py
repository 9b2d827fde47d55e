"""Memory for connections, ahead of their coming. Plain Python, on the control plane's thread.

The tables reserve address space for all connections there can be, and a page gets memory when it is first touched: in
the data plane that would be pages of 4 KiB, for a page of 2 MiB takes up to milliseconds to clear. With 4 KiB pages,
a hundred thousand connections miss the TLB on every packet (docs/adr/0003-memory.md). So `grow` keeps twice the
connections that were ever open backed by large pages; where it is late, first touch serves.
"""

from __future__ import annotations

from pronghorn.balancer.tables import Balancer
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import hash_buckets
from pronghorn.state.worker import Worker

FIRST = 16_384
"""Connections that have memory from the start: 1 MiB of conns. The index has it for twice as many."""


def grow(arena: Arena, worker: Worker, wanted: int = FIRST) -> None:
    """See to it that `wanted` connections, and twice those that were open at once, have memory. Cheap when they do.

    Those with IPv6 get it as they come: twice what was open, once there are FIRST of them.
    """
    balancer, name = Balancer(worker.balancer), f"balancer{worker.index}"
    limit = balancer.conn_limit
    wanted, had = min(limit, max(wanted, 2 * balancer.fresh[0])), balancer.warmed[0]
    if had < wanted:
        for table in ("conns", "records"):
            arena.warm(f"{name}.{table}", wanted, had)
        balancer.warmed[0] = wanted
    wide, had_wide = min(limit, 2 * balancer.fresh[1]), balancer.warmed[1]
    if had_wide < wide and wide >= FIRST:
        for table in ("conns", "records", "wide"):
            arena.warm(f"{name}.{table}", limit - had_wide, limit - wide)
        balancer.warmed[1] = wide
    if had < wanted or had_wide < wide:
        entries = 2 * min(limit, balancer.warmed[0] + balancer.warmed[1])
        arena.warm(f"{name}.flow.buckets", hash_buckets(entries), hash_buckets(2 * min(limit, had + had_wide)))
