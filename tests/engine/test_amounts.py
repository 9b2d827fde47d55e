"""How much waits: FIONREAD of datagram sockets."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from pronghorn.engine.amounts import unread, unsent, waiting_to_be_sent
from pronghorn.engine.calls import arrival, bind, close_socket, listen, receive, socket
from pronghorn.state.endpoints import DATAGRAM, STREAM
from tests.engine.test_calls import CallBench
from tests.udp.frames import incoming

ANY = {4: "0.0.0.0", 6: "::"}


@pytest.fixture
def bench() -> Iterator[CallBench]:
    with CallBench() as made:
        yield made


@pytest.mark.parametrize("family", [4, 6])
def test_looking_at_the_next_datagram_leaves_what_is_known_of_the_last(bench: CallBench, family: int) -> None:
    worker = bench.worker()
    handle = socket(worker, family, DATAGRAM)
    assert bind(worker, handle, bench.address(ANY[family], 7)) == 0
    assert unread(worker, handle) == 0
    bench.hear(incoming(family, 7, b"one", sport=4001))
    bench.hear(incoming(family, 7, b"three", sport=4003))
    assert unread(worker, handle) == 3
    at, _ = bench.octets()
    assert receive(worker, handle, at, 100, 0) == 3
    came = arrival(worker).at
    assert unread(worker, handle) == 5
    about = arrival(worker)
    assert (about.length, about.source_port, about.at, about.family) == (3, 4001, came, family)
    assert receive(worker, handle, at, 100, 0) == 5
    assert (arrival(worker).length, arrival(worker).source_port) == (5, 4003)
    assert (unread(worker, handle), unsent(worker, handle), waiting_to_be_sent(worker, handle)) == (0, 0, 0)


def test_a_listener_and_a_closed_socket_have_none(bench: CallBench) -> None:
    worker = bench.worker()
    handle = socket(worker, 4, STREAM)
    assert [amount(worker, handle) for amount in (unread, unsent, waiting_to_be_sent)] == [0, 0, 0]
    assert bind(worker, handle, bench.address("0.0.0.0", 80)) == 0
    assert listen(worker, handle, 5) == 0
    for amount in (unread, unsent, waiting_to_be_sent):
        assert amount(worker, handle) == -errno.EINVAL
    assert close_socket(worker, handle) == 0
    for amount in (unread, unsent, waiting_to_be_sent):
        assert amount(worker, handle) == -errno.EBADF
