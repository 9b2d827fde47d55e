"""Two workers in each engine: connections in and out stay where they are, wherever the device gives a segment.

The wire has one queue, so everything arrives at worker 0 and is dispatched at most once: by its flow to a listener,
by the remainder of its port to the worker that has opened the connection.
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from pronghorn.compiled import mode
from pronghorn.ports.wire_port import Impairment
from pronghorn.state.endpoints import Endpoints, endpoints_of
from pronghorn.state.mib import ESTAB_RESETS, OUT_RSTS
from pronghorn.state.worker import Worker
from pronghorn.tcp.tcb import ESTABLISHED, Tcp, tcp_of
from tests.simulator.host import Host
from tests.simulator.network import Network
from tests.tcp.ends import End

EACH = 5 if mode() == "interpreted" else 40
"""Connections that each worker opens."""
OCTETS = random.Random(2).randbytes(3000)


class WorkersEnd(End):
    """The sockets of one worker of a host."""

    def __init__(self, host: Host, index: int) -> None:
        super().__init__(host)
        self.index = index

    @property
    def worker(self) -> Worker:
        worker: Worker = self.host.engine.workers[self.index]
        worker.now = worker.due = self.host.network.now
        return worker

    @property
    def tcp(self) -> Tcp:
        return tcp_of(self.host.engine.workers[self.index])

    @property
    def endpoints(self) -> Endpoints:
        return endpoints_of(self.host.engine.workers[self.index])

    def counter(self, number: int) -> int:
        value: int = self.endpoints.mib[number]
        return value


class Stage:
    """Two hosts of two workers each."""

    def __init__(self, impairment: Impairment) -> None:
        self.network = Network(seed=3, workers=2)
        one, other = self.network.host("left", packets=4096), self.network.host("right", packets=4096)
        self.link = self.network.link(one, other, impairment)
        self.left, self.right = ([WorkersEnd(host, index) for index in range(2)] for host in (one, other))

    def resets(self) -> int:
        return sum(end.counter(number) for end in self.left + self.right for number in (OUT_RSTS, ESTAB_RESETS))


@pytest.fixture(params=["", "bad"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    bad = Impairment(delay=5_000_000, jitter=2_000_000, loss=10_000, duplicate=10_000)
    made = Stage(bad if request.param else Impairment(delay=1_000_000))
    with made.network:
        yield made


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("port", [80, 40_000])
def test_many_connections_between_workers(stage: Stage, family: int, port: int) -> None:
    """None is reset, each carries its octets both ways; listeners share the connections, save at a port of the range
    that connections are opened from: it belongs to one worker."""
    address = stage.link.address(1, family)
    listeners = [end.listen(address, port, backlog=4 * EACH) for end in stage.right]
    opened = [(end, end.connect(address, port)) for _ in range(EACH) for end in stage.left]
    stage.network.run(8)
    accepted = []
    for end, listener in zip(stage.right, listeners, strict=True):
        while (number := end.accept(listener)) >= 0:
            accepted.append((end, number))
        assert number == -errno.EAGAIN
    assert len(accepted) == len(opened)
    assert all(end.tcb(number).state == ESTABLISHED for end, number in opened + accepted)
    shares = Counter(end.index for end, _ in accepted)
    # Ports are drawn: what ten connections share is chance, and an eighth of eighty is not (one run in a billion).
    least = len(opened) // 8 if len(opened) >= 80 else -1
    assert min(shares[0], shares[1]) > least if port == 80 else set(shares) == {port % 2}
    for end, number in opened:
        assert end.tcb(number).local_port % 2 == end.index

    for one, other in ((opened, accepted), (accepted, opened)):
        assert all(end.send(number, OCTETS) == len(OCTETS) for end, number in one)
        stage.network.run(8)
        assert all(end.receive(number) == OCTETS for end, number in other)
    assert stage.resets() == 0

    for end, number in opened + accepted:
        end.close(number)
    stage.network.run(70)
    assert all(end.states() == [] for end in stage.left + stage.right)
    assert stage.resets() == 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_segment_is_dispatched_at_most_once(family: int) -> None:
    stage = Stage(Impairment(delay=1_000_000))
    with stage.network:
        address = stage.link.address(1, family)
        for end in stage.right:
            end.listen(address, 80, backlog=4 * EACH)
        for _ in range(EACH):
            for end in stage.left:
                end.connect(address, 80)
        stage.network.run(1)
        for ends in (stage.left, stage.right):
            first, second = (end.host.engine.workers[end.index] for end in ends)
            assert first.dispatched > 0
            assert second.dispatched == 0, "what was dispatched stays"
            assert second.received == first.dispatched


@pytest.mark.parametrize("family", [4, 6])
def test_nobody_listens_on_any_worker(family: int) -> None:
    stage = Stage(Impairment(delay=1_000_000))
    with stage.network:
        address = stage.link.address(1, family)
        opened = [(end, end.connect(address, port)) for port in (81, 82, 40_000, 40_001) for end in stage.left]
        stage.network.run(1)
        for end, number in opened:
            assert end.receive(number) == -errno.ECONNREFUSED
            end.close(number)
