"""A program that stops reading its link for a while: the sender waits, and nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pronghorn.compiled import bounds, mode
from pronghorn.engine.attached import engine_poll
from pronghorn.engine.calls import receive, send
from pronghorn.ports.veth_lane import LANE_DATA
from pronghorn.state.verdicts import TRANSMIT_FULL
from pronghorn.tcp.tcb import tcp_of
from tests.engine.links import Pair, octets_at
from tests.engine.test_attached import connected

pytestmark = pytest.mark.skipif(bounds.ENABLED, reason="an attached engine's memory is not known to the bounds check")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair() as made:
        yield made


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
def test_what_does_not_fit_waits(pair: Pair, address: str) -> None:
    client, server = pair.programs
    source, target = connected(pair, client, server, address)
    rounds = 8 if mode() == "interpreted" else 30
    content = os.urandom(3 * LANE_DATA)
    data, room = client.room.octets(content), server.room.octets(1 << 20)
    most = 0
    for number in range(rounds):
        sent, taken = 0, b""
        while len(taken) < len(content):
            for _ in range(4):  # the other side does nothing meanwhile
                step = 700 if sent % 3 == 0 else len(content)  # small segments between large ones
                sent += max(send(client.worker, source, data + sent, min(step, len(content) - sent), 0), 0)
                engine_poll(client.worker)
            most = max(most, sent - len(taken))
            engine_poll(server.worker)
            while (got := receive(server.worker, target, room, 1 << 20, 0)) > 0:
                taken += octets_at(room, got)
            engine_poll(server.worker)
        assert taken == content, number
    assert most > LANE_DATA
    assert client.worker.queues[0].tx_full == 0


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
def test_connections_share_a_full_link(pair: Pair, address: str) -> None:
    """Whoever finds it full waits in line and loses nothing; nobody gets all of it."""
    client, server = pair.programs
    pairs = [connected(pair, client, server, address, 7000 + number) for number in range(4)]
    content = bytes(LANE_DATA)
    data, room = client.room.octets(content), server.room.octets(1 << 20)
    taken = [0] * len(pairs)
    begins, rounds = (12, 30) if mode() == "interpreted" else (20, 200)
    for place in range(rounds):
        if place == begins:
            taken = [0] * len(pairs)  # their windows have grown
        for source, _ in pairs:
            send(client.worker, source, data, len(content), 0)
        engine_poll(client.worker)
        engine_poll(server.worker)
        for number, (_, target) in enumerate(pairs):
            while (got := receive(server.worker, target, room, 1 << 20, 0)) > 0:
                taken[number] += got
        engine_poll(server.worker)
    assert sum(taken) > 5 * LANE_DATA
    assert min(taken) > max(taken) / 2, taken
    assert client.worker.verdicts[TRANSMIT_FULL] == 0
    tcp = tcp_of(client.worker)
    assert [tcp.tcbs[number].retransmits for number in range(tcp.fresh)] == [0] * tcp.fresh
