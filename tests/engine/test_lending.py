"""Streams without copies: what is lent, given back, given back wrongly, and lent when its socket goes."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronghorn.compiled import Array, array_at, bounds, mode, u64
from pronghorn.engine.attached import engine_poll
from pronghorn.engine.calls import close_socket, receive, send, shutdown, socket
from pronghorn.engine.lending import loan_release, receive_release, receive_view, send_commit, send_reserve
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.stream import LENT
from pronghorn.state.endpoints import DATAGRAM, STREAM, endpoints_of
from pronghorn.state.linux import MSG_PEEK
from pronghorn.state.loans import Loans
from pronghorn.state.worker import Worker
from pronghorn.tcp.transfer import record_of
from tests.engine.links import Pair, octets_at
from tests.engine.test_attached import connected

pytestmark = pytest.mark.skipif(bounds.ENABLED, reason="an attached engine's memory is not known to the bounds check")

EINVAL, EBUSY, EBADF, EAGAIN = -errno.EINVAL, -errno.EBUSY, -errno.EBADF, -errno.EAGAIN


class Ends:
    """A connection: what its client sends, its server reads."""

    def __init__(self, pair: Pair, port: int = 80) -> None:
        self.pair = pair
        self.client, self.server = pair.programs
        self.source, self.target = connected(pair, self.client, self.server, "192.0.2.2", port)
        self.here: Array[u64] = array_at(u64, self.client.room.octets(8))
        self.there: Array[u64] = array_at(u64, self.server.room.octets(8))
        self.room = self.server.room.octets(1 << 16)
        position = record_of(self.client.worker, self.source & 0xFFFFFF).snd_end
        filler = -position % 8192  # so that rings do not wrap where a test needs one piece
        assert send(self.client.worker, self.source, self.client.room.octets(filler), filler, 0) == filler
        while filler:
            self.settle()
            filler -= len(self.read())
        self.settle()

    def settle(self) -> None:
        for _ in range(6):
            for program in self.pair.programs:
                engine_poll(program.worker)

    def reserve(self, octets: int) -> int:
        return send_reserve(self.client.worker, self.source, octets, self.here)

    def write(self, content: bytes) -> None:
        ctypes.memmove(self.here[0], content, len(content))

    def commit(self, octets: int) -> int:
        return send_commit(self.client.worker, self.source, octets)

    def send(self, content: bytes) -> int:
        """As much as fits in one piece."""
        octets = self.reserve(len(content))
        if octets <= 0:
            return octets
        self.write(content[:octets])
        return self.commit(octets)

    def view(self) -> int:
        return receive_view(self.server.worker, self.target, self.there)

    def give_back(self, octets: int) -> int:
        return receive_release(self.server.worker, self.target, octets)

    def take(self) -> bytes:
        """One piece, all of it."""
        octets = self.view()
        if octets <= 0:
            return b""
        found = octets_at(self.there[0], octets)
        assert self.give_back(octets) == 0
        return found

    def read(self) -> bytes:
        got = receive(self.server.worker, self.target, self.room, 1 << 16, 0)
        return octets_at(self.room, max(got, 0))


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair() as made:
        yield made


@pytest.fixture
def ends(pair: Pair) -> Ends:
    return Ends(pair)


def used(worker: Worker) -> int:
    """Octets of buffers that are taken."""
    return Buddy(endpoints_of(worker).buddy).used


def lent(worker: Worker) -> int:
    return Loans(endpoints_of(worker).loans).count


def test_octets_are_written_and_read_where_they_lie(ends: Ends) -> None:
    content, sent, got = bytes(range(256)) * 2000, 0, b""
    for _ in range(5000):
        sent += max(ends.send(content[sent : sent + 30_000]), 0)
        ends.settle()
        got += ends.take()
        if len(got) == len(content):
            break
    assert got == content
    ends.settle()
    assert (lent(ends.client.worker), lent(ends.server.worker)) == (0, 0)
    assert used(ends.client.worker) == 0


def test_part_of_it(ends: Ends) -> None:
    assert ends.reserve(100) == 100
    ends.write(b"hello, world")
    assert ends.commit(5) == 5
    ends.settle()
    assert ends.view() == 5
    assert ends.give_back(2) == 0
    assert ends.view() == 3
    assert octets_at(ends.there[0], 3) == b"llo"
    assert ends.give_back(0) == 0
    assert ends.read() == b"llo"
    assert ends.view() == EAGAIN


def test_whose_it_is(ends: Ends) -> None:
    assert ends.commit(1) == EINVAL
    assert ends.give_back(0) == EINVAL
    assert ends.reserve(0) == ends.reserve(-1) == EINVAL
    assert ends.reserve(10) == 10
    assert ends.reserve(10) == EBUSY
    assert send(ends.client.worker, ends.source, ends.here[0], 1, 0) == EBUSY
    assert ends.commit(11) == ends.commit(-1) == EINVAL
    assert ends.commit(0) == 0
    assert ends.commit(0) == EINVAL
    assert ends.send(b"abc") == 3
    ends.settle()
    assert ends.view() == 3
    assert ends.view() == EBUSY
    assert receive(ends.server.worker, ends.target, ends.room, 1, 0) == EBUSY
    assert receive(ends.server.worker, ends.target, ends.room, 3, MSG_PEEK) == 3
    assert ends.give_back(4) == ends.give_back(-1) == EINVAL
    assert ends.give_back(3) == 0
    assert ends.give_back(0) == EINVAL


def test_not_a_connection(ends: Ends) -> None:
    worker = ends.client.worker
    datagrams, fresh = socket(worker, 4, DATAGRAM), socket(worker, 4, STREAM)
    assert send_reserve(worker, datagrams, 1, ends.here) == -errno.EOPNOTSUPP
    assert receive_view(worker, datagrams, ends.here) == -errno.EOPNOTSUPP
    assert send_commit(worker, datagrams, 1) == receive_release(worker, datagrams, 1) == EINVAL
    assert send_reserve(worker, fresh, 1, ends.here) == -errno.EPIPE
    assert receive_view(worker, fresh, ends.here) == -errno.ENOTCONN
    for nonsense in (-1, 1 << 50):
        assert send_reserve(worker, nonsense, 1, ends.here) == send_commit(worker, nonsense, 1) == EBADF
        assert receive_view(worker, nonsense, ends.here) == receive_release(worker, nonsense, 1) == EBADF


def test_a_ring_that_went_meanwhile(ends: Ends) -> None:
    """What was in flight is acknowledged, and the empty ring given back: the reservation is copied into another."""
    assert ends.send(b"first") == 5
    assert ends.reserve(6) == 6
    ends.write(b"second")
    ends.settle()
    tcb = record_of(ends.client.worker, ends.source & 0xFFFFFF)
    assert tcb.send.block == 0
    assert ends.commit(6) == 6
    assert tcb.send.order & LENT == 0
    ends.settle()
    assert ends.read() == b"firstsecond"
    assert used(ends.client.worker) == 0


def test_a_ring_that_grows_while_it_is_lent(ends: Ends) -> None:
    assert ends.send(b"x" * 100) == 100
    ends.settle()
    assert ends.view() == 100
    content = bytes(range(256)) * 100
    assert send(ends.client.worker, ends.source, ends.client.room.octets(content), len(content), 0) == len(content)
    ends.settle()
    assert octets_at(ends.there[0], 100) == b"x" * 100
    assert ends.give_back(100) == 0
    got = b""
    while piece := ends.take():
        got += piece
        ends.settle()
    assert got == content
    assert used(ends.server.worker) == 0


def test_the_end(ends: Ends) -> None:
    ends.send(b"abc")
    assert ends.reserve(3) == 3
    shutdown(ends.client.worker, ends.source, 1)
    assert ends.commit(3) == -errno.EPIPE
    assert ends.commit(3) == EINVAL, "it is reserved no more"
    ends.settle()
    assert ends.take() == b"abc"
    assert ends.view() == 0


def test_closed_with_loans_out(ends: Ends) -> None:
    client, server = ends.client.worker, ends.server.worker
    assert ends.send(b"abc") == 3
    ends.settle()
    assert ends.view() == 3
    assert ends.reserve(4000) == 4000
    assert close_socket(server, ends.target) == 0
    assert close_socket(client, ends.source) == 0
    ends.settle()
    assert ends.commit(1) == ends.give_back(1) == EBADF
    for _ in range(3):  # others take and give memory
        other = Ends(ends.pair, 81)
        other.send(b"y" * 4000)
        other.settle()
        other.take()
        for worker, handle in ((client, other.source), (server, other.target)):
            close_socket(worker, handle)
        other.settle()
        ends.pair.programs[0].room.octets(1)
        close_all_listeners(server)
    assert octets_at(ends.there[0], 3) == b"abc"
    ends.write(b"z" * 4000)
    assert loan_release(client, ends.here[0] + 1) == loan_release(client, 0) == EINVAL
    assert loan_release(client, ends.here[0]) == loan_release(server, ends.there[0]) == 0
    assert loan_release(client, ends.here[0]) == EINVAL
    assert (used(client), used(server), lent(client), lent(server)) == (0, 0, 0, 0)


def close_all_listeners(worker: Worker) -> None:
    """Those of `connected`, so that the port is free again."""
    endpoints = endpoints_of(worker)
    for number in range(endpoints.socket_fresh):
        if endpoints.sockets[number].kind == 2:
            close_socket(worker, endpoints.sockets[number].generation << 24 | number)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(1, 9000)),
        st.tuples(st.just("commit"), st.integers(0, 9000)),
        st.tuples(st.just("send"), st.integers(1, 5000)),
        st.tuples(st.just("view"), st.just(0)),
        st.tuples(st.just("return"), st.integers(0, 9000)),
        st.tuples(st.just("read"), st.integers(1, 5000)),
        st.tuples(st.just("turn"), st.integers(1, 4)),
    ),
    max_size=40,
)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Pair]:
    with Pair() as made:
        yield made


@settings(max_examples=20 if mode() == "interpreted" else 60)
@given(STEPS)
def test_octets_come_once_and_in_order(lasting: Pair, steps: list[tuple[str, int]]) -> None:
    ends = Ends(lasting)
    client, server = ends.client.worker, ends.server.worker
    sent = got = b""
    reserved = shown = 0

    def fresh(octets: int) -> bytes:
        return bytes((len(sent) + place) * 7 + (len(sent) + place >> 8) & 0xFF for place in range(octets))

    for what, octets in steps:
        if what == "reserve":
            answer = ends.reserve(octets)
            assert answer == EBUSY if reserved else answer > 0 or answer == EAGAIN
            if answer > 0:
                reserved = answer
                ends.write(fresh(reserved))
        elif what == "commit":
            content, answer = fresh(min(octets, reserved)), ends.commit(octets)
            assert answer == (EINVAL if octets > reserved or not reserved else octets)
            if answer >= 0:
                sent, reserved = sent + content, 0
        elif what == "send":
            content = fresh(octets)
            answer = send(client, ends.source, ends.client.room.octets(content), octets, 0)
            assert answer == EBUSY if reserved else answer > 0 or answer == EAGAIN
            sent += content[: max(answer, 0)]
        elif what == "view":
            answer = ends.view()
            assert answer == EBUSY if shown else answer > 0 or answer == EAGAIN
            if answer > 0:
                shown = answer
        elif what == "return":
            found = octets_at(ends.there[0], min(octets, shown)) if shown else b""
            answer = ends.give_back(octets)
            assert answer == (EINVAL if octets > shown or not shown else 0)
            if answer == 0:
                got, shown = got + found, 0
        elif what == "read":
            answer = receive(server, ends.target, ends.room, octets, 0)
            assert answer == EBUSY if shown else answer > 0 or answer == EAGAIN
            got += octets_at(ends.room, max(answer, 0))
        else:
            for _ in range(octets):
                for program in lasting.programs:
                    engine_poll(program.worker)
    if reserved:
        assert ends.commit(0) == 0
    if shown:
        assert ends.give_back(0) == 0
    for _ in range(50):
        ends.settle()
        got += ends.read()
    assert got == sent
    close_socket(client, ends.source)
    ends.settle()
    close_socket(server, ends.target)
    close_all_listeners(server)
    ends.settle()
    assert (used(client), used(server), lent(client), lent(server)) == (0, 0, 0, 0)
