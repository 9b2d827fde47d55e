"""Urgent data between two engines: the mark, the octet, and what there is of both without memory for a record.

What goes over the wire, and what poll says, is in tests/scripts/data/urgent*.pkt, where Linux has its say.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from pronghorn.engine.urgent import at_mark
from pronghorn.ports.wire_port import Impairment
from pronghorn.state import linux
from pronghorn.state.endpoints import URGENT, socket_handle
from tests.tcp.ends import End, Pair


@pytest.fixture(params=[4, 6])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param)
    with made.network:
        yield made


def is_at_mark(end: End, number: int) -> bool:
    return at_mark(end.worker, socket_handle(end.endpoints, number)) == 1


def test_reading_stops_at_the_mark_and_goes_on_behind_it(pair: Pair) -> None:
    client, server = pair.connected()
    assert pair.client.send(client, b"one!", linux.MSG_OOB) == 4
    assert pair.client.send(client, b"two") == 3
    pair.run()
    assert pair.server.events(server) & URGENT
    assert not is_at_mark(pair.server, server)
    assert pair.server.receive(server) == b"one"
    assert is_at_mark(pair.server, server)
    assert pair.server.receive(server, flags=linux.MSG_OOB) == b"!"
    assert is_at_mark(pair.server, server)
    assert pair.server.receive(server) == b"two"
    assert not is_at_mark(pair.server, server)
    assert not pair.server.events(server) & URGENT
    pair.client.close(client)
    pair.server.close(server)
    pair.run()
    for end in (pair.client, pair.server):
        assert end.tcp.rare_fresh - 1 == _free_records(end)


def _free_records(end: End) -> int:
    tcp, count = end.tcp, 0
    number = tcp.rare_free
    while number != 0xFFFF_FFFF:
        number, count = tcp.rares[number].next, count + 1
    return count


def test_without_memory_for_a_record_it_is_ordinary_data(pair: Pair) -> None:
    pair.client.tcp.rare_limit = pair.server.tcp.rare_limit = 1
    client, server = pair.connected()
    assert pair.client.send(client, b"one!", linux.MSG_OOB) == 4
    pair.run()
    assert pair.server.receive(server, flags=linux.MSG_OOB) == -errno.EINVAL
    assert pair.server.receive(server) == b"one!"
    pair.client.tcp.rare_limit = 16
    assert pair.client.send(client, b"two!", linux.MSG_OOB) == 4  # now the peer has none
    pair.run()
    assert pair.server.receive(server) == b"two!"


def test_no_octet_is_lost_or_doubled_among_losses() -> None:
    pair = Pair(4, Impairment(delay=5_000_000, loss=50_000, reorder=100_000))
    with pair.network:
        client, server = pair.connected()
        octets, urgent = b"", b""
        for turn in range(60):
            assert pair.client.send(client, bytes([turn]) * 700) == 700
            assert pair.client.send(client, bytes([200 + turn % 50]), linux.MSG_OOB) == 1
            for _ in range(40):
                pair.run(0.05)
                read = pair.server.receive(server, flags=linux.MSG_OOB)
                urgent += read if isinstance(read, bytes) else b""
                while isinstance(read := pair.server.receive(server), bytes) and read:
                    octets += read
                if pair.client.tcb(client).snd_una == pair.client.tcb(client).snd_end:
                    break
        assert octets == b"".join(bytes([turn]) * 700 for turn in range(60))
        assert urgent == bytes(200 + turn % 50 for turn in range(60))
