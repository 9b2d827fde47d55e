"""Memory for connections comes ahead of them, once, and never beyond the limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.balancer.create import create_balancer
from pronghorn.balancer.growth import FIRST, grow
from pronghorn.balancer.tables import Balancer, Conn, Wide
from pronghorn.engine.engine import Engine


def resident(start: int, octets: int) -> int:
    """Octets of [start, start + octets) that are in memory, by the kernel's account of this process's pages."""
    pages = octets // 4096
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(start // 4096 * 8)
        entries = file.read(8 * pages)
    return 4096 * sum(entries[8 * page + 7] >> 7 for page in range(pages))


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(packets=256) as made:
        create_balancer(made.arena, made.workers[0], conns=8 * FIRST, services=4, servers=8, maglev_size=251)
        yield made


def test_the_first_connections_have_memory_and_the_others_have_not(engine: Engine) -> None:
    balancer = Balancer(engine.workers[0].balancer)
    conns = balancer.conns.address
    assert resident(conns, FIRST * Conn.SIZE) == 0
    grow(engine.arena, engine.workers[0])
    assert resident(conns, FIRST * Conn.SIZE) == FIRST * Conn.SIZE
    assert resident(conns + 2 * FIRST * Conn.SIZE, FIRST * Conn.SIZE) == 0


def test_it_stays_at_twice_what_was_open_and_below_the_limit(engine: Engine) -> None:
    balancer = Balancer(engine.workers[0].balancer)
    grow(engine.arena, engine.workers[0])
    assert balancer.warmed[0] == FIRST
    balancer.fresh[0] = FIRST
    grow(engine.arena, engine.workers[0])
    assert balancer.warmed[0] == 2 * FIRST
    assert resident(balancer.conns.address, 2 * FIRST * Conn.SIZE) == 2 * FIRST * Conn.SIZE
    balancer.fresh[0] = 8 * FIRST
    grow(engine.arena, engine.workers[0])
    assert balancer.warmed[0] == 8 * FIRST


def test_ipv6_grows_from_the_end(engine: Engine) -> None:
    balancer = Balancer(engine.workers[0].balancer)
    grow(engine.arena, engine.workers[0])
    assert balancer.warmed[1] == 0
    balancer.fresh[1] = FIRST
    grow(engine.arena, engine.workers[0])
    assert balancer.warmed[1] == 2 * FIRST
    wide = balancer.wide.address
    assert resident(wide + 6 * FIRST * Wide.SIZE, 2 * FIRST * Wide.SIZE) == 2 * FIRST * Wide.SIZE
    assert resident(wide, 4 * FIRST * Wide.SIZE) == 0
