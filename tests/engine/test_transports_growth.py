"""Memory for connections and their buffers comes ahead of them, once, and never beyond the limits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pronghorn.engine.engine import Engine
from pronghorn.engine.transports import Limits, create_transports
from pronghorn.engine.transports_growth import BUFFERS_AHEAD, FIRST, Growth
from pronghorn.memory.buddy import STRETCH, Buddy
from pronghorn.memory.hashtable import HashIndex
from pronghorn.state.endpoints import endpoints_of
from pronghorn.tcp.tcb import Tcb, tcp_of
from tests.balancer.test_growth import resident

CONNS = 8 * FIRST
LIMITS = Limits(sockets=4 * FIRST, datagrams=16, conns=CONNS, buffers=16 * STRETCH)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(packets=256) as made:
        create_transports(made.arena, made.workers[0], LIMITS)
        yield made


def test_the_first_connections_have_memory_and_the_others_have_not(engine: Engine) -> None:
    worker = engine.workers[0]
    tcbs, blocks = tcp_of(worker).tcbs.address, Buddy(endpoints_of(worker).buddy).base + STRETCH
    assert resident(tcbs, FIRST * Tcb.SIZE) == 0
    growth = Growth(engine.arena, worker)
    growth.grow()
    assert resident(tcbs, FIRST * Tcb.SIZE) == FIRST * Tcb.SIZE
    assert resident(tcbs + 2 * FIRST * Tcb.SIZE, FIRST * Tcb.SIZE) == 0
    assert resident(blocks, 2 * STRETCH) == STRETCH
    before = dict(growth.records)
    growth.grow()
    assert growth.records == before


def test_every_table_stays_at_twice_what_was_used_and_below_its_limit(engine: Engine) -> None:
    worker = engine.workers[0]
    endpoints, tcp = endpoints_of(worker), tcp_of(worker)
    index, buddy = HashIndex(tcp.index), Buddy(endpoints.buddy)
    growth = Growth(engine.arena, worker)
    growth.grow(first=64)
    had = growth.records
    assert (had["tcp0.tcbs"], had["transports0.sockets"], had["transports0.buffers.blocks"]) == (64, 64, 1)
    tcp.fresh, endpoints.socket_fresh, tcp.waiting_head, buddy.peak = 1000, 900, 800, 3 * STRETCH
    size, index.size = index.size, 700
    growth.grow(first=64)
    index.size = size
    assert (had["tcp0.tcbs"], had["transports0.sockets"], had["tcp0.time_wait"]) == (2000, 1800, 1600)
    assert (had["tcp0.conns.buckets"], had["transports0.buffers.blocks"]) == (1400, 6)
    assert resident(buddy.base + STRETCH, 8 * STRETCH) == 6 * STRETCH
    tcp.fresh, endpoints.socket_fresh, tcp.waiting_head, buddy.peak = CONNS - 1, 4 * FIRST, 1 << 31, 10 * STRETCH
    growth.grow()
    assert (had["tcp0.tcbs"], had["transports0.sockets"]) == (CONNS, 4 * FIRST)
    assert had["tcp0.time_wait"] == tcp.waiting_mask + 1
    assert had["transports0.buffers.blocks"] == min(10 + BUFFERS_AHEAD // STRETCH, 16)
