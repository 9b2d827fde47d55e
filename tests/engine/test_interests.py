"""epoll for the engine's sockets, beside the kernel's own epoll: the same steps, the same answers."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket as kernel
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronghorn.compiled import array_at, bounds, mode, u64
from pronghorn.engine.attached import engine_poll
from pronghorn.engine.calls import close_socket, connect, receive, send, shutdown, socket
from pronghorn.engine.interests import (
    epoll_close,
    epoll_collect,
    epoll_control,
    epoll_open,
    epoll_pending,
    epoll_sets_changed,
    epoll_sleepers,
    socket_events,
)
from pronghorn.state.endpoints import DATAGRAM, STREAM
from tests.engine.links import Pair, octets_at
from tests.engine.test_attached import accepted, listening

pytestmark = pytest.mark.skipif(bounds.ENABLED, reason="an attached engine's memory is not known to the bounds check")

ADD, DELETE, MODIFY = 1, 2, 3
LIBC = ctypes.CDLL(None, use_errno=True)
IN, OUT, HUP, ERR, RDHUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP, select.EPOLLERR, select.EPOLLRDHUP
ONESHOT, EDGE, EXCLUSIVE = select.EPOLLONESHOT, select.EPOLLET, select.EPOLLEXCLUSIVE


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Pair() as made:
        yield made


class Ours:
    """Sockets of one engine, each connected to one of the other, and sets."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.program, self.other = pair.programs
        self.sockets: list[int] = []
        self.peers: list[int] = []
        self.sets: list[int] = []
        self.room = self.program.room.octets(4096)

    def stream(self) -> None:
        """Another connection; ours is the accepted side."""
        handle = listening(self.program, "192.0.2.1", 999, 4)
        peer = socket(self.other.worker, 4, STREAM)
        connect(self.other.worker, peer, self.other.room.address("192.0.2.1", 999))
        self.sockets.append(accepted(self.pair, self.program, handle))
        self.peers.append(peer)
        close_socket(self.program.worker, handle)
        self.settle()

    def settle(self) -> None:
        """Until everything that was sent has arrived."""
        for _ in range(6):
            for program in self.pair.programs:
                engine_poll(program.worker)

    def open(self) -> int:
        self.sets.append(epoll_open(self.program.worker))
        return self.sets[-1]

    def control(self, epoll: int, operation: int, handle: int, events: int, word: int) -> int:
        return epoll_control(self.program.worker, epoll, operation, handle, events, word)

    def collect(self, epoll: int, room: int = 64) -> list[tuple[int, int]]:
        count = epoll_collect(self.program.worker, epoll, self.room, room, 12)
        packed = octets_at(self.room, 12 * count)
        return [(word, events) for events, word in struct.iter_unpack("=Iq", packed)]

    def tell(self, number: int, octets: int = 1) -> None:
        """The other side of a stream sends."""
        data = self.other.room.octets(octets)
        assert send(self.other.worker, self.peers[number], data, octets, 0) == octets
        self.settle()

    def hang_up(self, number: int) -> None:
        shutdown(self.other.worker, self.peers[number], 1)
        self.settle()

    def take(self, number: int) -> int:
        got = receive(self.program.worker, self.sockets[number], self.room, 4096, 0)
        self.settle()
        return got

    def close(self) -> None:
        for handle in self.sockets:
            close_socket(self.program.worker, handle)
        for handle in self.peers:
            close_socket(self.other.worker, handle)
        for epoll in self.sets:
            epoll_close(self.program.worker, epoll)
        self.settle()
        self.changed()

    def changed(self) -> list[int]:
        target = array_at(u64, self.room)
        return [target[place] for place in range(epoll_sets_changed(self.program.worker, target, 64))]

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


class Linux:
    """The same with TCP over the kernel's loopback."""

    def __init__(self) -> None:
        self.sockets: list[int] = []
        self._kept: list[kernel.socket] = []
        self.peers: list[kernel.socket] = []
        self.sets: list[int] = []

    def stream(self) -> None:
        with kernel.create_server(("127.0.0.1", 0)) as listener:
            peer = kernel.create_connection(listener.getsockname())
            peer.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, 1)
            own, _ = listener.accept()
        own.setblocking(False)
        self._kept.append(own)
        self.sockets.append(own.fileno())
        self.peers.append(peer)

    def open(self) -> int:
        self.sets.append(LIBC.epoll_create1(0))
        return self.sets[-1]

    def control(self, epoll: int, operation: int, handle: int, events: int, word: int) -> int:
        event = ctypes.create_string_buffer(struct.pack("=Iq", events & 0xFFFFFFFF, word))
        return 0 if LIBC.epoll_ctl(epoll, operation, handle, event) == 0 else -ctypes.get_errno()

    def collect(self, epoll: int, room: int = 64) -> list[tuple[int, int]]:
        events = ctypes.create_string_buffer(12 * room)
        count = LIBC.epoll_wait(epoll, events, room, 0)
        return [(word, found) for found, word in struct.iter_unpack("=Iq", events.raw[: 12 * count])]

    def tell(self, number: int, octets: int = 1) -> None:
        self.peers[number].send(bytes(octets))
        self._wait(number)

    def hang_up(self, number: int) -> None:
        self.peers[number].shutdown(kernel.SHUT_WR)
        self._wait(number)

    def _wait(self, number: int) -> None:
        poll = select.poll()
        poll.register(self.sockets[number], select.POLLIN)
        assert poll.poll(1000)

    def take(self, number: int) -> int:
        try:
            return len(self._kept[number].recv(4096))
        except BlockingIOError:
            return -errno.EAGAIN

    def close(self) -> None:
        for made in (*self._kept, *self.peers):
            made.close()
        for epoll in self.sets:
            os.close(epoll)


ASKED = [IN, OUT, IN | OUT, IN | EDGE, IN | OUT | EDGE, IN | ONESHOT, OUT | ONESHOT, IN | RDHUP, EDGE | RDHUP, 0]
ASKED += [EXCLUSIVE | IN, EXCLUSIVE | IN | RDHUP, EXCLUSIVE | IN | EDGE, select.EPOLLRDNORM, select.EPOLLPRI]
ASKED += [select.EPOLLWRNORM, select.EPOLLWRBAND | IN]
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("control"),
            st.integers(0, 1),
            st.sampled_from([ADD, ADD, MODIFY, MODIFY, DELETE, 7]),
            st.integers(0, 3),
            st.sampled_from(ASKED),
        ),
        st.tuples(st.just("collect"), st.integers(0, 1), st.integers(1, 4)),
        st.tuples(st.just("tell"), st.integers(0, 1), st.integers(1, 3)),
        st.tuples(st.just("take"), st.integers(0, 1)),
        st.tuples(st.just("hang_up"), st.integers(0, 1)),
        st.tuples(st.just("close")),
    ),
    max_size=30,
)


@settings(max_examples=25 if mode() == "interpreted" else 80)
@given(STEPS)
def test_as_the_kernel_does(pair: Pair, steps: list[Any]) -> None:
    """Two streams and two sets, of which each may be in the other: every step, and every answer."""
    ours, theirs = Ours(pair), Linux()
    for each in (ours, theirs):
        for _ in range(2):
            each.stream()
            each.open()
    over = [False, False]
    answers: list[Any]
    for step in steps:
        if step[0] == "control":
            _, epoll, operation, target, events = step
            answers = []
            for each in (ours, theirs):
                handle = each.sockets[target] if target < 2 else each.sets[target - 2]
                answers.append(each.control(each.sets[epoll], operation, handle, events, target + 10))
        elif step[0] == "collect":
            answers = [each.collect(each.sets[step[1]], step[2]) for each in (ours, theirs)]
        elif step[0] == "take":
            answers = [each.take(step[1]) for each in (ours, theirs)]
        elif step[0] == "tell" and not over[step[1]]:
            for each in (ours, theirs):
                each.tell(step[1], step[2])
        elif step[0] == "hang_up" and not over[step[1]]:
            over[step[1]] = True
            for each in (ours, theirs):
                each.hang_up(step[1])
        assert answers[0] == answers[1] if step[0] in ("control", "collect", "take") else True, (step, answers)
    for number in range(2):
        assert ours.collect(ours.sets[number]) == theirs.collect(theirs.sets[number])
    ours.close()
    theirs.close()


def test_chains_are_as_long_as_the_kernels(pair: Pair) -> None:
    for links in ([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)], [(3, 4), (2, 3), (1, 2), (0, 1), (4, 5), (5, 0)]):
        ours, theirs = Ours(pair), Linux()
        for _ in range(7):
            ours.open()
            theirs.open()
        for outer, inner in links:
            answers = [each.control(each.sets[outer], ADD, each.sets[inner], IN, 1) for each in (ours, theirs)]
            assert answers[0] == answers[1], (outer, inner)
        for outer, inner in ((1, 0), (2, 0), (0, 0)):
            answers = [each.control(each.sets[outer], ADD, each.sets[inner], IN, 1) for each in (ours, theirs)]
            assert answers[0] == answers[1], (outer, inner)
        ours.close()
        theirs.close()


def test_from_the_innermost_set_to_the_outermost(pair: Pair) -> None:
    with Ours(pair) as ours:
        ours.stream()
        sets = [ours.open() for _ in range(5)]
        for outer, inner in pairwise(sets):
            assert ours.control(outer, ADD, inner, IN, inner) == 0
        assert ours.control(sets[4], ADD, ours.sockets[0], IN, 9) == 0
        assert ours.changed() == []
        assert epoll_pending(ours.program.worker, sets[0]) == 0
        ours.tell(0)
        assert sorted(ours.changed()) == sorted(sets)
        assert ours.changed() == []
        assert ours.collect(sets[0]) == [(sets[1], IN)]
        assert socket_events(ours.program.worker, sets[0]) == IN | select.EPOLLRDNORM
        ours.take(0)
        assert [epoll_pending(ours.program.worker, each) for each in sets] == [0] * 5
        assert ours.collect(sets[0]) == []


def test_a_closed_socket_leaves_all_sets(pair: Pair) -> None:
    with Ours(pair) as ours:
        ours.stream()
        sets = [ours.open(), ours.open()]
        for epoll in sets:
            ours.control(epoll, ADD, ours.sockets[0], IN, 1)
        ours.tell(0)
        close_socket(ours.program.worker, ours.sockets[0])
        assert [ours.collect(epoll) for epoll in sets] == [[], []]
        assert ours.control(sets[0], MODIFY, ours.sockets[0], IN, 1) == -errno.EBADF


def test_a_closed_set_is_nobodys(pair: Pair) -> None:
    with Ours(pair) as ours:
        ours.stream()
        inner, outer = ours.open(), ours.open()
        ours.control(inner, ADD, ours.sockets[0], IN, 1)
        ours.control(outer, ADD, inner, IN, 2)
        ours.tell(0)
        assert epoll_close(ours.program.worker, inner) == 0
        assert ours.collect(outer) == []
        for call in (epoll_close, epoll_pending):
            assert call(ours.program.worker, inner) == -errno.EBADF
        assert epoll_collect(ours.program.worker, inner, ours.room, 1, 12) == -errno.EBADF
        assert ours.control(outer, ADD, inner, IN, 1) == -errno.EBADF
        assert inner not in ours.changed()
        for nonsense in (0, -1, 1, 1 << 60, 1 << 62, (1 << 60) + 5):
            assert epoll_close(ours.program.worker, nonsense) == -errno.EBADF


def test_an_exclusive_socket_wakes_one_sleeper(pair: Pair) -> None:
    with Ours(pair) as ours:
        ours.stream()
        sets = [ours.open() for _ in range(3)]
        for epoll in sets:
            ours.control(epoll, ADD, ours.sockets[0], IN | EXCLUSIVE, 1)
        assert epoll_sleepers(ours.program.worker, sets[1], 1) == 1
        ours.tell(0)
        assert ours.changed() == sets[:2], "up to the first on which somebody sleeps"
        epoll_sleepers(ours.program.worker, sets[1], -1)
        ours.tell(0)
        assert ours.changed() == sets, "nobody sleeps: whoever looks first takes it"


def test_everything_at_sixteen_octets(pair: Pair) -> None:
    with Ours(pair) as ours:
        ours.stream()
        epoll = ours.open()
        ours.control(epoll, ADD, ours.sockets[0], OUT, -2)
        assert epoll_collect(ours.program.worker, epoll, ours.room, 4, 16) == 1
        assert struct.unpack("=I4xq", octets_at(ours.room, 16)) == (OUT, -2)


def test_what_poll_says(pair: Pair) -> None:
    with Ours(pair) as ours:
        ours.stream()
        worker, handle = ours.program.worker, ours.sockets[0]
        writable = OUT | select.EPOLLWRNORM
        assert socket_events(worker, handle) == writable
        ours.tell(0)
        assert socket_events(worker, handle) == writable | IN | select.EPOLLRDNORM
        ours.hang_up(0)
        assert socket_events(worker, handle) & RDHUP
        datagrams = socket(worker, 4, DATAGRAM)
        assert socket_events(worker, datagrams) == writable | select.EPOLLWRBAND
        assert socket_events(worker, socket(worker, 4, STREAM)) == writable | HUP
        assert socket_events(worker, 1 << 50) == -errno.EBADF


def test_a_listener_is_ready_once_for_each_edge(pair: Pair) -> None:
    with Ours(pair) as ours:
        handle = listening(ours.program, "192.0.2.1", 4000, 4)
        ours.sockets.append(handle)
        epoll = ours.open()
        ours.control(epoll, ADD, handle, IN | EDGE, 5)
        assert ours.collect(epoll) == []
        for _ in range(2):
            made = socket(ours.other.worker, 4, STREAM)
            connect(ours.other.worker, made, ours.other.room.address("192.0.2.1", 4000))
            ours.pair.until(lambda: epoll_pending(ours.program.worker, epoll) == 1)
            assert ours.collect(epoll) == [(5, IN)]
            assert ours.collect(epoll) == []
        accepted(ours.pair, ours.program, handle)
