"""Memory for connections, ahead of their coming. Plain Python, on the control plane's thread.

The tables reserve address space for all connections there can be, and a page gets memory when it is first touched: in
the data plane that would be pages of 4 KiB, for a page of 2 MiB takes up to milliseconds to clear. With 4 KiB pages,
a hundred thousand connections miss the TLB on every packet (docs/adr/0003-memory.md). So `grow` keeps twice the
connections that were ever open backed by large pages; where it is late, first touch serves.
"""

from __future__ import annotations

from pronghorn.balancer.tables import Balancer
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import LOAD
from pronghorn.state.worker import Worker

FIRST = 16_384
"""Connections that have memory from the start: 4 MiB of flows."""


def grow(arena: Arena, worker: Worker, wanted: int = FIRST) -> None:
    """See to it that `wanted` connections, and twice those that were open at once, have memory. Cheap when they do."""
    balancer = Balancer(worker.balancer)
    wanted = min(balancer.conn_limit, max(wanted, 2 * balancer.fresh))
    had = balancer.warmed
    if had >= wanted:
        return
    name = f"balancer{worker.index}"
    arena.warm(f"{name}.flows", 2 * wanted, 2 * had)
    arena.warm(f"{name}.conns", wanted, had)
    arena.warm(f"{name}.flow.buckets", 2 * wanted // LOAD, 2 * had // LOAD)
    balancer.warmed = wanted
