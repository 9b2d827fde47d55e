"""Ports come and go while workers run, and traffic of several workers adds up."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence

import pytest

from pronghorn.balancer.tables import Balancer
from pronghorn.compiled import mode
from pronghorn.engine.engine import PORTS, Engine
from pronghorn.ports.driver import EngineMemory, PortError
from pronghorn.ports.null import NullPort, NullQueue
from pronghorn.state.packets import originate
from pronghorn.state.port import CROSS, Port, Queue
from pronghorn.state.transmit import transmit
from pronghorn.state.verdicts import PORT_DOWN, TRANSMITTED
from tests.support.feed import SERVICE, EngineBench
from tests.support.patience import eventually

FLOWS = 1024
COUNT = 300 if mode() == "interpreted" else 30_000


class RefusedPort(NullPort):
    """A device that is half open when it is refused."""

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        super().open(engine, port, queues)
        raise PortError("no such device")


class SlowPort(NullPort):
    """A device that is long in opening, and whose queue is there before the rest."""

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        super().open(engine, port, queues)
        time.sleep(0.02)


def settled(engine: Engine) -> None:
    """Verdicts add up on every worker, and nothing is lost."""
    for index in range(engine.worker_count):
        worker = engine.workers[index]
        ended = sum(worker.verdicts[number] for number in range(256))
        assert worker.received + worker.originated == ended + worker.held + worker.dispatched
        assert not sum(worker.queues[port].waiting for port in range(worker.port_count))


def test_a_refused_port_leaves_nothing() -> None:
    with Engine(2, 256) as engine:
        engine.start()
        for _ in range(3):
            with pytest.raises(PortError):
                engine.add_port(RefusedPort(octets=60))
        assert engine.drivers == {}
        assert engine.ports[0].up == 0
        assert all(engine.workers[n].queues[0].driver == 0 for n in range(2))
        assert engine.add_port(NullPort()) == 0


def test_places_are_used_again() -> None:
    with Engine(1, 256) as engine:
        assert [engine.add_port(NullPort()) for _ in range(PORTS)] == list(range(PORTS))
        with pytest.raises(ValueError, match=f"at most {PORTS} ports"):
            engine.add_port(NullPort())
        engine.remove_port(7)
        with pytest.raises(ValueError, match="no port 7"):
            engine.remove_port(7)
        assert engine.add_port(NullPort()) == 7


def test_what_waits_on_a_removed_port_ends() -> None:
    with Engine(1, 256) as engine:
        port = engine.add_port(NullPort())
        worker, free = engine.workers[0], engine.free_packets()
        for _ in range(3):
            transmit(worker, originate(worker), port)
        engine.remove_port(port)
        assert worker.verdicts[PORT_DOWN] == 3
        assert engine.free_packets() == free
        engine.add_port(NullPort())
        engine.turn(1)
        settled(engine)


def test_ports_come_and_go_under_traffic() -> None:
    with Engine(2, 1024) as engine:
        engine.add_port(NullPort(), CROSS, 0)
        free = engine.free_packets()
        engine.start()
        for _ in range(10):
            index = engine.add_port(SlowPort(octets=60), CROSS, 0)
            assert index == 1
            before = [engine.call(n, lambda worker: worker.received) for n in range(2)]
            while [engine.call(n, lambda worker: worker.received) for n in range(2)] == before:
                time.sleep(0.001)
            engine.remove_port(index)
        engine.stop()
        settled(engine)
        assert engine.free_packets() == free
        assert engine.workers[0].verdicts[TRANSMITTED] > 0


def segments(queue: NullQueue, mac: int, flags: int, count: int) -> None:
    """Let the generator make segments from FLOWS clients to the IPv4 service."""
    service = bytes(map(int, SERVICE[4].split(".")))
    ip = struct.pack("!BBHHHBBH4x4s", 0x45, 0, 50, 0, 0x4000, 64, 6, 0, service)
    tcp = struct.pack("!HHIIBBHHH", 0, 80, 1, 1, 5 << 4, flags, 65535, 0, 0) + bytes(10)
    for place, octet in enumerate(mac.to_bytes(6, "big") + bytes.fromhex("0200000000fe0800") + ip + tcp):
        queue.template[place] = octet
    queue.octets, queue.flows, queue.next, queue.source, queue.stride = 64, FLOWS, 0, 100 << 24 | 64 << 16, 1
    pseudo = service + struct.pack("!HH", 6, len(tcp))
    queue.network_sum = sum(struct.unpack("!10H", ip))
    queue.transport_sum = sum(struct.unpack(f"!{(len(pseudo) + len(tcp)) // 2}H", pseudo + tcp))
    queue.remaining = count


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_in_threads_hand_each_other_packets(workers: int) -> None:
    """Every worker receives segments of all flows and keeps those that are its own."""
    with EngineBench(workers=workers, queues=1, packets=4096, conns=FLOWS) as bench:
        bench.service("tcp", 4)
        engine, driver = bench.engine, bench.engine.drivers[0]
        assert isinstance(driver, NullPort)
        before = bench.counts()
        for index in range(workers):
            segments(driver.queue(index), engine.ports[0].mac, 2, COUNT)
        engine.start()
        assert eventually(lambda: not any(driver.queue(n).remaining for n in range(workers)), 60)
        eventually(lambda: bench.free - engine.free_packets() == bench.held())  # what they sent each other last
        engine.stop()
        bench.check()
        counts = bench.counts() - before
        received = sum(engine.workers[n].queues[0].rx_packets for n in range(workers))
        assert sum(counts.values()) == received
        assert set(counts) <= {"transmitted", "dispatch_full"}
        assert counts["transmitted"] > received // 10, "the inbox of a worker that has no core is full meanwhile"
        own = [Balancer(engine.workers[n].balancer).count for n in range(workers)]
        assert FLOWS // 2 < sum(own) <= FLOWS or COUNT < FLOWS
        assert min(own) > sum(own) // workers // 2
        assert all(engine.workers[n].dispatched > 0 for n in range(workers))
