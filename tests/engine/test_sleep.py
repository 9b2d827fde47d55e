"""A worker without work sleeps, and wakes for a packet, a descriptor, a command or the time."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence

import pytest

from pronghorn.engine.engine import Engine
from pronghorn.ports.driver import EngineMemory
from pronghorn.ports.null import NullPort
from pronghorn.state.port import Port, Queue
from tests.support.feed import OWN, OWN4, ROUTER, EngineBench
from tests.support.patience import eventually
from tests.wire import judges as j

NAP = 0.05  # s: what nothing wakes sleeps so long, and each test asks after a fifth of it


class PipePort(NullPort):
    """A null port with a descriptor to sleep on."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[int, int]] = []

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        super().open(engine, port, queues)
        self.ends = [os.pipe() for _ in queues]
        for queue, (reader, _) in zip(queues, self.ends, strict=True):
            queue.fd = reader

    def close(self) -> None:
        for pair in self.ends:
            for end in pair:
                os.close(end)
        self.ends = []


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(1, 256) as engine:
        engine.start()
        engine.call(0, lambda _: None)
        yield engine


def test_an_idle_worker_sleeps(engine: Engine) -> None:
    worker = engine.workers[0]
    time.sleep(0.05)
    turns, sleeps, cpu, begin = worker.turns, worker.sleeps, time.process_time(), time.monotonic()
    time.sleep(0.5)
    passed = time.monotonic() - begin
    assert worker.sleeps - sleeps <= passed / NAP + 2
    assert worker.turns - turns <= 2 * (passed / NAP + 2)
    assert worker.sleeps - sleeps >= 3
    assert time.process_time() - cpu < 0.1 * passed


def test_a_worker_told_to_poll_does_not_sleep(engine: Engine) -> None:
    worker = engine.workers[0]
    engine._loops[0].spin = 1 << 62
    engine.call(0, lambda _: None)
    turns, sleeps = worker.turns, worker.sleeps
    assert eventually(lambda: worker.turns - turns > 200)
    assert worker.sleeps == sleeps
    engine._loops[0].spin = 0


def test_a_command_wakes_it(engine: Engine) -> None:
    delays = []
    for _ in range(15):
        time.sleep(0.01)
        begin = time.monotonic()
        engine.call(0, lambda _: None)
        delays.append(time.monotonic() - begin)
    assert statistics.median(delays) < NAP / 2


def test_a_descriptor_wakes_it(engine: Engine) -> None:
    driver = PipePort()
    engine.add_port(driver)
    worker, reader, writer = engine.workers[0], *driver.ends[0]
    delays = []
    for _ in range(15):
        time.sleep(0.01)
        turns, begin = worker.turns, time.monotonic()
        os.write(writer, b"x")
        while worker.turns == turns and time.monotonic() < begin + 1:
            time.sleep(0)
        delays.append(time.monotonic() - begin)
        os.read(reader, 1)
    assert statistics.median(delays) < NAP / 2
    engine.remove_port(0)
    turns = worker.turns
    time.sleep(0.02)
    assert worker.turns - turns < 10


def test_a_packet_from_another_thread_wakes_it() -> None:
    with EngineBench() as bench:
        engine = bench.engine
        engine.start()
        queue, delays = engine.workers[0].queues[0], []
        announced = queue.tx_packets
        for number in range(15):
            time.sleep(0.01)
            sent, begin = queue.tx_packets, time.monotonic()
            bench.put(j.Ether(src=ROUTER, dst=OWN[0]) / j.IP(src="192.0.2.254", dst=OWN4[0]) / j.ICMP(seq=number))
            while queue.tx_packets == sent and time.monotonic() < begin + 1:
                time.sleep(0)
            delays.append(time.monotonic() - begin)
        engine.stop()
        assert queue.tx_packets == announced + 15
        assert statistics.median(delays) < NAP / 2


def test_time_wakes_it() -> None:
    """Timers run while nothing else happens: announcements go out a few at a time."""
    with Engine(1, 256) as engine:
        engine.start()
        engine.call(0, lambda _: None)
        worker = engine.workers[0]
        turns = worker.turns
        assert eventually(lambda: worker.turns - turns >= 2, 20 * NAP)


def test_a_descriptor_in_error_does_not_keep_it_awake(engine: Engine) -> None:
    """A device that went away makes the kernel report it at once for ever."""
    driver = PipePort()
    engine.add_port(driver)
    reader, writer = driver.ends[0]
    os.close(writer)
    driver.ends = []
    time.sleep(0.1)
    worker = engine.workers[0]
    turns = worker.turns
    time.sleep(0.2)
    assert 2 < worker.turns - turns < 60
    delays = []
    for _ in range(10):
        begin = time.monotonic()
        engine.call(0, lambda _: None)
        delays.append(time.monotonic() - begin)
    assert statistics.median(delays) < NAP
    engine.remove_port(0)
    os.close(reader)
