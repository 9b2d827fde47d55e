"""A turn: from the port to the verdict and out again; what has no room; what crosses without a stack."""

from __future__ import annotations

import ctypes

import pytest

from pronghorn.engine.engine import Engine
from pronghorn.ports.null import NullPort
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.port import BURST, CROSS, REFLECT, TRANSMIT_BURST
from pronghorn.state.transmit import transmit
from pronghorn.state.verdicts import PORT_DOWN, TRANSMIT_FULL, TRANSMITTED
from pronghorn.state.worker import Worker
from tests.support.feed import OWN, OWN4, ROUTER, EngineBench
from tests.wire import judges as j

LINK = j.Ether(src=ROUTER, dst=OWN[0])


def accounts(worker: Worker) -> tuple[int, int]:
    """What came, and what became of it."""
    waiting = sum(worker.queues[port].waiting for port in range(worker.port_count))
    ended = sum(worker.verdicts[number] for number in range(256))
    return worker.received + worker.originated, ended + worker.held + worker.dispatched + waiting


@pytest.mark.parametrize("role", [REFLECT, CROSS])
def test_ports_joined_without_a_stack(role: int) -> None:
    with Engine(1, 512) as engine:
        source = NullPort(octets=60)
        first = engine.add_port(source, role=role, peer=1)
        second = engine.add_port(NullPort())
        free = engine.free_packets()
        source.queue(0).remaining = 150
        frame = bytes(range(12)) + b"\x08\x00" + bytes(46)
        for index in range(512):
            ctypes.memmove(engine.packets[index].chunk + 256, frame, 60)
        work = [engine.turn(1000 + n) for n in range(4)]
        worker = engine.workers[0]
        assert work == [BURST, BURST, 150 - 2 * BURST, 0]
        assert (worker.received, worker.verdicts[TRANSMITTED]) == (150, 150)
        assert worker.queues[first].rx_packets == worker.queues[second].tx_packets == 150
        assert worker.queues[second].tx_octets == 150 * 60
        sent = Packet(worker.queues[second].burst[0])
        swapped = frame[6:12] + frame[:6] if role == REFLECT else frame[:12]
        assert ctypes.string_at(sent.data, 60) == swapped + frame[12:]
        assert engine.free_packets() == free
        assert (worker.turns, worker.idle_turns) == (4, 0)


def test_a_burst_holds_so_many_and_no_more() -> None:
    with Engine(1, 1024) as engine:
        out = engine.add_port(NullPort())
        worker, free = engine.workers[0], engine.free_packets()
        verdicts = []
        for _ in range(TRANSMIT_BURST + 3):
            packet = originate(worker)
            packet.length = 60
            verdicts.append(transmit(worker, packet, out))
            if verdicts[-1] == TRANSMIT_FULL:
                finish(worker, packet, TRANSMIT_FULL)
        assert verdicts.count(TRANSMIT_FULL) == 3
        assert accounts(worker) == (TRANSMIT_BURST + 3,) * 2
        engine.turn(1)
        assert worker.verdicts[TRANSMITTED] == TRANSMIT_BURST
        assert accounts(worker) == (TRANSMIT_BURST + 3,) * 2
        assert engine.free_packets() == free


def test_what_the_driver_has_no_room_for_ends_as_transmit_full() -> None:
    """A port of a kind that takes nothing: everything is counted and freed."""
    with Engine(1, 512) as engine:
        out = engine.add_port(NullPort())
        engine.ports[out].kind = 99
        worker, free = engine.workers[0], engine.free_packets()
        for _ in range(5):
            assert transmit(worker, originate(worker), out) > 250
        engine.turn(1)
        assert worker.verdicts[TRANSMIT_FULL] == worker.queues[out].tx_full == 5
        assert engine.free_packets() == free
        engine.ports[out].kind = NullPort.kind


def test_a_port_that_is_down_neither_receives_nor_sends() -> None:
    with Engine(1, 512) as engine:
        engine.add_port(NullPort(octets=60), role=CROSS, peer=1)
        engine.add_port(NullPort())
        engine.ports[1].up = 0
        worker = engine.workers[0]
        engine.turn(1)
        assert worker.verdicts[PORT_DOWN] == BURST
        engine.ports[0].up = 0
        assert engine.turn(2) == 0
        assert accounts(worker) == (BURST, BURST)


def test_an_empty_pool_receives_nothing_and_recovers() -> None:
    with Engine(1, 64) as engine:
        engine.add_port(NullPort(octets=60), role=CROSS, peer=1)
        engine.add_port(NullPort())
        worker = engine.workers[0]
        kept = []
        while (packet := originate(worker)).address:
            kept.append(packet.address)
        assert engine.turn(1) == 0
        for address in kept:
            transmit(worker, Packet(address), 1)
        engine.turn(2)
        assert engine.turn(3) > 0
        assert accounts(worker)[0] == accounts(worker)[1]


def test_frames_go_through_input_in_bursts() -> None:
    with EngineBench() as bench:
        for number in range(100):
            bench.put(LINK / j.IP(src="192.0.2.254", dst=OWN4[0]) / j.ICMP(seq=number))
        bench.put(LINK / j.IP(src="192.0.2.254", dst="198.18.0.1") / j.ICMP())
        assert bench.turn() == BURST
        assert bench.turn() == 101 - BURST
        assert bench.turn() == 0
        assert [j.Ether(octets)[j.ICMP].seq for octets in bench.sent(0)] == list(range(100))
        assert bench.counts()["not_for_us"] == 1
