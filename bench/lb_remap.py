"""Flows that change their server without need when one of 1,000 servers of an `mh` service goes: in % of all.

The table of 65,537 places is made before and after; a flow is a place. Each reading takes another server away.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

from bench.harness import Benchmark, Measure

SERVERS, SIZE = 1000, 65537


def table(servers: list[int]) -> list[int]:
    """Server of each place."""
    from pronghorn.balancer.schedulers.mh import fill_table, identity_of
    from pronghorn.compiled import Array, array_at, u32

    kept = []

    def array(content: list[int]) -> Array[u32]:
        kept.append((ctypes.c_uint32 * len(content))(*content))
        return array_at(u32, ctypes.addressof(kept[-1]))

    count, places = len(servers), array([0] * SIZE)
    identities = array([identity_of(0, (10 << 24) + server, 0x901F) for server in servers])
    fill_table(places, SIZE, array(servers), count, identities, array([1] * count), array([0] * count))
    return list(kept[0])


@contextlib.contextmanager
def changes() -> Iterator[Measure]:
    everybody = list(range(SERVERS))
    before, going = table(everybody), iter(range(7, SERVERS, 101))

    def measure() -> float:
        gone = next(going)
        after = table([server for server in everybody if server != gone])
        return 100 * sum(new != old != gone for old, new in zip(before, after, strict=True)) / SIZE

    yield measure


BENCHMARK = Benchmark(
    name="lb_remap",
    what="mh: flows that change servers beyond the necessary when one of 1,000 servers goes",
    unit="% of flows",
    ours=changes,
)
