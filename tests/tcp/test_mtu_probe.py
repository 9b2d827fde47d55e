"""A path that swallows large segments without a word, and opens up again: a wire narrower than its ends think.

The first steps, segment by segment, are in tests/scripts/retransmission/black-hole.pkt, where Linux has its say.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pronghorn.net.change import mtu_change
from pronghorn.state.mib import COUNTERS
from tests.tcp.ends import Pair

OCTETS = bytes(range(250)) * 4000
NARROW = 1300
TAGS = 8
"""Octets that a wire takes besides, for VLAN tags."""


@pytest.fixture(params=[4, 6])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param, options=f"mtu={NARROW}")
    with made.network:
        for end in (made.client, made.server):
            end.tcp.mtu_probing = 1
            mtu_change(end.worker, 0, 1500)
        yield made


def counted(pair: Pair, name: str) -> int:
    return pair.client.endpoints.mib[COUNTERS.index(("TcpExt", name))]


def headers(pair: Pair, client: int) -> int:
    return (20 if pair.client.tcb(client).family == 4 else 40) + 20 + 12


def test_it_finds_the_largest_size_that_passes(pair: Pair) -> None:
    client, server = pair.connected()
    assert pair.client.tcb(client).mss == 1500 - headers(pair, client)
    assert pair.carry(pair.client, client, pair.server, server, OCTETS) == OCTETS
    most = NARROW + TAGS - headers(pair, client)
    assert most - 8 < pair.client.tcb(client).mss <= most
    assert counted(pair, "TCPMTUPSuccess") >= 2
    assert counted(pair, "TCPMTUPFail") >= 1
    assert counted(pair, "TCPTimeouts") < 10


def test_it_tries_again_after_ten_minutes(pair: Pair) -> None:
    client, server = pair.connected()
    assert pair.carry(pair.client, client, pair.server, server, OCTETS) == OCTETS
    failures = counted(pair, "TCPMTUPFail")
    assert pair.carry(pair.client, client, pair.server, server, OCTETS) == OCTETS
    assert counted(pair, "TCPMTUPFail") == failures
    pair.run(601)
    assert pair.carry(pair.client, client, pair.server, server, OCTETS) == OCTETS
    assert counted(pair, "TCPMTUPFail") > failures


def test_off_it_gives_up_in_the_end(pair: Pair) -> None:
    pair.client.tcp.mtu_probing = 0
    client, server = pair.connected()
    assert pair.carry(pair.client, client, pair.server, server, OCTETS, seconds=10) == b""


def test_without_memory_for_a_record_it_does_not_search(pair: Pair) -> None:
    pair.client.tcp.rare_limit = 1
    client, server = pair.connected()
    assert pair.carry(pair.client, client, pair.server, server, OCTETS, seconds=10) == b""
    assert pair.client.tcb(client).rare == 0
