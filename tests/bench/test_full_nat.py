"""The full NAT benchmark measures what it says: every connection open, every packet rewritten and transmitted."""

from __future__ import annotations

from bench import full_nat
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


def test_every_packet_goes_through_its_connection() -> None:
    with Engine(workers=1, packets=1024) as engine:
        full_nat.with_connections(CONNECTIONS)(engine)
        worker = engine.workers[0]
        servers = Balancer(worker.balancer).servers

        def balanced() -> int:
            return sum(servers[number].packets[0] for number in range(len(full_nat.SERVERS)))

        before, then = worker.received, balanced()
        engine.run_turns(TURNS)
        assert worker.received - before == balanced() - then > 0
        assert worker.verdicts[TRANSMITTED] == worker.received + worker.originated


def test_the_frames_are_whole() -> None:
    frame, _, _ = full_nat.template(full_nat.ACK, 0x020000000000)
    assert len(frame) == full_nat.FRAME
    with Engine(workers=1, packets=1024) as engine:
        queue, _ = full_nat.configure(engine, 10)
        full_nat.segments(queue, 10, full_nat.SYN, engine.ports[0].mac)
        worker = engine.workers[0]
        assert null_receive(worker, engine.ports[0], worker.queues[0], 8) == 8
        for place in range(8):
            packet = Packet(worker.burst[place])
            assert verify4(IPv4(packet.data + 14), TCP(packet.data + 34), full_nat.FRAME - 34) == GOOD
