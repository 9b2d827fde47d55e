"""Any calls in any order, between any frames: books and memory are right in between, and all is free in the end."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pronghorn.compiled import mode
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.hashtable import HashIndex
from pronghorn.net.groups import groups_of
from pronghorn.net.state import net_of
from pronghorn.state import linux
from pronghorn.state.endpoints import REUSE_ADDRESS, REUSE_PORT, Endpoints
from pronghorn.udp.endpoint import Udp
from pronghorn.udp.members import NONE, Members
from tests.support.feed import OWN4, OWN6
from tests.udp.frames import PEER, incoming
from tests.udp.group_frames import FIRST, GROUP, OTHER, SECOND, query
from tests.udp.test_groups import GroupBench, to_group

STEPS = 300 if mode() == "interpreted" else 1500
HOSTS = {4: ("0.0.0.0", *OWN4, GROUP[4]), 6: ("::", *OWN6, GROUP[6])}
JOINS = (linux.MCAST_JOIN_GROUP, linux.MCAST_LEAVE_GROUP)
SOURCES = (
    linux.MCAST_JOIN_SOURCE_GROUP,
    linux.MCAST_LEAVE_SOURCE_GROUP,
    linux.MCAST_BLOCK_SOURCE,
    linux.MCAST_UNBLOCK_SOURCE,
)


def step(bench: GroupBench, chance: random.Random, numbers: list[int]) -> None:
    """Something."""
    family = chance.choice((4, 6))
    if not numbers or (len(numbers) < 14 and chance.random() < 0.1):
        numbers.append(bench.open(chance.choice((4, 6, 10)), options=chance.choice((0, REUSE_ADDRESS, REUSE_PORT))))
    number = chance.choice(numbers)
    what = chance.randrange(10)
    if what == 0:
        bench.bind(number, chance.choice(HOSTS[family]), chance.choice((0, 7, 8)))
    elif what == 1:
        bench.connect(number, chance.choice((None, PEER[family])), 4000)
    elif what == 2:
        size = chance.choice((0, 1, 100, 1472, 1473, 4000))
        bench.send(number, bytes(size), chance.choice((None, (PEER[family], 9), (GROUP[family], 7), (OWN4[0], 8))))
    elif what == 3:
        bench.receive(number, flags=chance.choice((0, 0, linux.MSG_PEEK)))
    elif what == 4 and chance.random() < 0.3:
        numbers.remove(number)
        bench.close_socket(number)
    elif what == 5:
        bench.group(number, chance.choice(JOINS), chance.choice((GROUP, OTHER))[family])
    elif what == 6:
        source = chance.choice((FIRST, SECOND))[family]
        bench.group(number, chance.choice(SOURCES), chance.choice((GROUP, OTHER))[family], source)
    else:
        frame: Any = chance.choice(
            (
                lambda: to_group(family, GROUP[family], bytes(chance.randrange(1400))),
                lambda: incoming(family, chance.choice((7, 8)), bytes(chance.randrange(1400))),
                lambda: query(family, chance.choice(("", GROUP[family]))),
            )
        )()
        bench.put(frame)
        bench.turn(chance.choice((0.001, 0.3)))
        bench.sent(0)


@pytest.mark.parametrize("seed", [1, 2])
def test_any_sequence(seed: int) -> None:
    chance = random.Random(seed)
    with GroupBench(large_packets=8, sockets=16) as bench:
        numbers: list[int] = []
        for _ in range(STEPS):
            step(bench, chance, numbers)
        bench.check()
        for number in numbers:
            bench.close_socket(number)
        bench.wait(4)
        check_empty(bench)


def check_empty(bench: GroupBench) -> None:
    """No socket, no memory, no membership, no port is left."""
    endpoints = Endpoints(bench.worker().transports)
    udp = Udp(endpoints.udp)
    assert (udp.count, udp.connected, udp.specific, endpoints.socket_count) == (0, 0, 0, 0)
    assert HashIndex(udp.index).count == 0
    assert Buddy(endpoints.buddy).used == 0
    assert all(udp.ports[port] == 0 for port in (7, 8))
    groups, members = groups_of(net_of(bench.worker())), Members(udp.members)
    assert groups.count == 0
    assert free_chain(groups.source_free, groups.sources) == groups.source_fresh
    assert free_chain(groups.group_free, groups.groups) == groups.group_fresh
    assert free_chain(members.free, members.memberships) == members.fresh
    assert free_chain(members.source_free, members.sources) == members.source_fresh


def free_chain(first: int, records: Any) -> int:
    """Records on a list of free ones, each once."""
    seen = set()
    while first != NONE:
        assert first not in seen
        seen.add(first)
        first = records[first].next
    return len(seen)
