"""Two to four workers: connections from a port that was bound, and listeners that exist on some workers only."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pronghorn.compiled import mode
from pronghorn.ports.wire_port import Impairment
from pronghorn.state.mib import ESTAB_RESETS, OUT_RSTS
from pronghorn.state.owners import Owners, owners_of
from pronghorn.tcp import calls
from pronghorn.tcp.tcb import ESTABLISHED
from tests.simulator.network import Network
from tests.tcp.test_workers import WorkersEnd

EACH = 6
SOME = [(2, [1]), (3, [2]), (4, [1, 3])]
"""How many workers, and which of them have a listener."""


class Town:
    """A host of several workers and one that has a single one, 1 ms apart."""

    def __init__(self, workers: int) -> None:
        self.network = Network(seed=5, workers=workers)
        here, there = self.network.host("here", packets=4096), self.network.host("there", packets=4096)
        self.link = self.network.link(here, there, Impairment(delay=1_000_000))
        self.here, self.there = ([WorkersEnd(host, index) for index in range(workers)] for host in (here, there))

    def owners(self, ends: list[WorkersEnd]) -> Owners:
        return owners_of(ends[0].host.engine.workers[0])

    def resets(self) -> int:
        return sum(end.counter(number) for end in self.here + self.there for number in (OUT_RSTS, ESTAB_RESETS))

    def open(self, family: int, port: int, listeners: list[WorkersEnd], count: int) -> tuple[list, list]:  # type: ignore[type-arg]
        """`count` connections from every worker here to listeners there: those opened and those accepted."""
        address = self.link.address(1, family)
        opened = [(end, end.connect(address, port)) for _ in range(count) for end in self.here]
        self.network.run(1)
        accepted = []
        for end in listeners:
            while (number := end.accept(end.listener)) >= 0:  # type: ignore[attr-defined]
                accepted.append((end, number))
        return opened, accepted

    def listen(self, end: WorkersEnd, family: int, port: int) -> None:
        end.listener = end.listen(self.link.address(1, family), port, backlog=64)  # type: ignore[attr-defined]

    def talk(self, *ends: tuple[WorkersEnd, int]) -> None:
        """Each of them says something, each hears something."""
        for end, number in ends:
            assert end.send(number, b"word") == 4
        self.network.run(1)
        for end, number in ends:
            assert end.receive(number) == b"word"


@contextmanager
def town(workers: int) -> Iterator[Town]:
    made = Town(workers)
    with made.network:
        yield made


def bound(end: WorkersEnd, own: str, port: int, to: str, to_port: int) -> int:
    """A connection from a port of the caller's choice: its socket, or minus an errno."""
    number = end.open(own)
    assert calls.tcp_bind(end.worker, number, end.address(own, port)) == 0
    done = calls.tcp_connect(end.worker, number, end.address(to, to_port))
    return number if done == -errno.EINPROGRESS else done


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("workers", [3] if mode() == "interpreted" else [2, 3, 4])
@pytest.mark.parametrize("port", [1024, 40_000])
def test_connections_from_a_port_that_was_bound(workers: int, family: int, port: int) -> None:
    """Every worker has some, also from the same port, and answers come back to each."""
    with town(workers) as here:
        own, to = here.link.address(0, family), here.link.address(1, family)
        for end in here.there:
            here.listen(end, family, 80)
            end.other = end.listen(to, 81, backlog=64)  # type: ignore[attr-defined]
        opened = [(end, bound(end, own, port + end.index, to, 80)) for end in here.here]
        opened += [(end, bound(end, own, port + 100, to, 80 + end.index)) for end in here.here[:2]]
        assert here.owners(here.here).count == len(opened)
        here.network.run(1)
        assert all(end.tcb(number).state == ESTABLISHED for end, number in opened)
        assert bound(here.here[-1], own, port, to, 80) == -errno.EADDRNOTAVAIL, "another worker has it"
        accepted = []
        for end in here.there:
            for listener in (end.listener, end.other):  # type: ignore[attr-defined]
                while (number := end.accept(listener)) >= 0:
                    accepted.append((end, number))
        assert len(accepted) == len(opened)
        here.talk(*opened, *accepted)
        for end, number in opened:
            end.close(number)
        here.network.run(1)
        for end, number in accepted:
            end.close(number)
        here.network.run(1)
        assert here.owners(here.here).count == len(opened), "TIME_WAIT is found too"
        here.network.run(70)
        assert all(end.states() == [] for end in here.here + here.there)
        assert here.owners(here.here).count == 0
        assert here.resets() == 0


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("workers", "some"), SOME[-1:] if mode() == "interpreted" else SOME)
@pytest.mark.parametrize("port", [80, 40_001])
def test_a_listener_on_some_workers_hears_all(workers: int, some: list[int], family: int, port: int) -> None:
    with town(workers) as here:
        listeners = [here.there[index] for index in some]
        for end in listeners:
            here.listen(end, family, port)
        opened, accepted = here.open(family, port, listeners, EACH)
        assert len(accepted) == len(opened)
        if port == 80:
            assert {end.index for end, _ in accepted} == set(some)
        here.talk(*opened, *accepted)
        for end, number in accepted:
            end.close(number)
        here.network.run(1)
        for end, number in opened:
            end.close(number)
        here.network.run(70)
        assert all(end.states() == [] for end in here.here + here.there)
        assert here.owners(here.there).count == 0
        assert here.resets() == 0


@pytest.mark.parametrize("workers", [2, 4])
def test_listeners_come_and_go_and_connections_stay(workers: int) -> None:
    """One worker listens, then all do, then the first does no more, then nobody: no connection is reset."""
    with town(workers) as here:
        everybody = []
        here.listen(here.there[0], 4, 80)
        opened, accepted = here.open(4, 80, here.there[:1], EACH)
        everybody += opened + accepted
        for end in here.there[1:]:
            here.listen(end, 4, 80)
        here.talk(*everybody)
        opened, accepted = here.open(4, 80, here.there, EACH)
        assert len(accepted) == len(opened)
        assert len({end.index for end, _ in accepted}) > 1
        everybody += opened + accepted
        for end in here.there:
            end.close(end.listener)  # type: ignore[attr-defined]
            here.talk(*everybody)
        assert here.owners(here.there).listeners[80] == 0
        assert here.resets() == 0


def test_two_listeners_of_a_worker_at_a_port() -> None:
    """The port is the worker's until the last of them is closed."""
    with town(2) as here:
        first = here.there[1].listen(here.link.address(1, 4), 80)
        second = here.there[1].listen(here.link.address(1, 6), 80)
        listeners = here.owners(here.there).listeners
        assert listeners[80] == 2
        here.there[1].close(first)
        assert listeners[80] == 2
        here.there[1].close(second)
        assert listeners[80] == 0
