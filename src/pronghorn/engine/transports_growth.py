"""Memory for TCP connections, their sockets and their buffers, ahead of their coming. For a control thread.

    ahead = Growth(engine.arena, worker)            # one for each worker that create_transports has made tables for
    ahead.grow()                                    # at once, and then every GROW_EVERY seconds, from any one thread

As with the balancer (balancer/growth.py, docs/adr/0003-memory.md): tables reserve addresses for all there can be, and a
page gets memory when it is first touched, which would be pages of 4 KiB in the data plane. `grow` keeps large pages
behind twice what was ever in use of each table; where it is late, first touch serves. When there is nothing to do it
takes 20 us.

What it costs: FIRST connections have memory from the start, 24 MiB of each worker with the first stretch of buffers (no
table takes less than a large page), which takes about 5 ms. Buffers are kept ahead by at most BUFFERS_AHEAD.
`create_transports` does not call it (2 ms and 2.4 MiB): an engine for a test, or for ten connections, has the pages
that it touches. Left out: giving memory back.
"""

from __future__ import annotations

from pronghorn.memory.arena import Arena
from pronghorn.memory.buddy import STRETCH, Buddy, buddy_states
from pronghorn.memory.hashtable import HashIndex, hash_buckets
from pronghorn.state.endpoints import endpoints_of
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import tcp_of

FIRST = 16_384
"""Connections that have memory from the start."""

GROW_EVERY = 0.2
"""Seconds between two calls."""

BUFFERS_AHEAD = 64 << 20
"""Octets of buffers that have memory and were never used, at most; one stretch of 8 MiB at least."""


class Growth:
    """One worker's tables, and how many records of each have memory."""

    def __init__(self, arena: Arena, worker: Worker) -> None:
        self._arena, self._worker = arena, worker
        self.records: dict[str, int] = {}

    def grow(self, first: int = FIRST) -> None:
        """See to it that `first` connections, and twice what was ever used, have memory."""
        number, endpoints, tcp = self._worker.index, endpoints_of(self._worker), tcp_of(self._worker)
        index, buddy = HashIndex(tcp.index), Buddy(endpoints.buddy)
        self._warm(f"tcp{number}.tcbs", max(first, 2 * tcp.fresh), tcp.limit)
        self._warm(f"tcp{number}.conns.buckets", max(hash_buckets(first), 2 * index.size), index.limit)
        self._warm(f"tcp{number}.conns.overflow", 2 * index.fresh, index.overflow_limit)
        # the ring of TIME-WAIT goes round: the count of those that ever began says how much of it was used
        self._warm(f"tcp{number}.time_wait", max(first, 2 * tcp.waiting_head), tcp.waiting_mask + 1)
        self._warm(f"transports{number}.sockets", max(first, 2 * endpoints.socket_fresh), endpoints.socket_limit)
        buffers = min(buddy.peak + max(STRETCH, min(buddy.peak, BUFFERS_AHEAD)), buddy.limit)
        self._warm(f"transports{number}.buffers.blocks", buffers // STRETCH, buddy.limit // STRETCH)
        self._warm(f"transports{number}.buffers.states", buddy_states(buffers), buddy_states(buddy.limit))

    def _warm(self, name: str, wanted: int, limit: int) -> None:
        """Let so many records of the table have memory, at most `limit`; those that have keep it."""
        wanted, had = min(wanted, limit), self.records.get(name, 0)
        if wanted > had:
            self._arena.warm(name, wanted, had)
            self.records[name] = wanted
