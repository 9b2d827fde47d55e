"""The benchmarks of balancing measure what it says: every connection open, every packet rewritten and transmitted."""

from __future__ import annotations

import pytest

from bench import balanced as lb
from pronghorn.balancer.tables import Balancer
from pronghorn.compiled import mode
from pronghorn.engine.engine import Engine
from pronghorn.ports.null import null_receive
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import TRANSMITTED
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import TCP, verify4

CONNECTIONS = 100 if mode() == "interpreted" else 10_000
TURNS = 1 if mode() == "interpreted" else 100


@pytest.mark.parametrize(("method", "services"), [("full-nat", 1), ("nat", 3), ("direct", 3)])
def test_every_packet_goes_through_its_connection(method: str, services: int) -> None:
    with Engine(workers=1, packets=1024) as engine:
        lb.with_connections(CONNECTIONS, method, services, 4)(engine)
        worker = engine.workers[0]
        balancer = Balancer(worker.balancer)

        def balanced() -> int:
            return sum(balancer.servers[number].packets[0] for number in range(balancer.server_limit))

        before, then = worker.received, balanced()
        engine.run_turns(TURNS)
        assert worker.received - before == balanced() - then > 0
        assert worker.verdicts[TRANSMITTED] == worker.received + worker.originated


def test_the_frames_are_whole() -> None:
    frame, _, _ = lb.template(lb.ACK, 0x020000000000)
    assert len(frame) == lb.FRAME
    with Engine(workers=1, packets=1024) as engine:
        queue, _ = lb.configure(engine, 10)
        lb.segments(queue, 10, lb.SYN, engine.ports[0].mac)
        worker = engine.workers[0]
        assert null_receive(worker, engine.ports[0], worker.queues[0], 8) == 8
        for place in range(8):
            packet = Packet(worker.burst[place])
            assert verify4(IPv4(packet.data + 14), TCP(packet.data + 34), lb.FRAME - 34) == GOOD
