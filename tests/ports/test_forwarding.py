"""Real traffic between two hosts through two ports of one kind that pass everything on: nothing else joins them."""

from __future__ import annotations

import pytest

from pronghorn.compiled import mode
from pronghorn.ports.driver import Driver
from pronghorn.ports.packet_port import PacketPort
from pronghorn.ports.xdp_port import XdpPort
from tests.ports.line import RIGHT, line
from tests.ports.support import bench, inside

pytestmark = pytest.mark.root
OCTETS = 200_000 if mode() == "interpreted" else 8_000_000
KINDS: dict[str, type[XdpPort] | type[PacketPort]] = {"xdp": XdpPort, "packet": PacketPort}


@pytest.mark.parametrize(("kind", "workers", "queues"), [("xdp", 1, 1), ("xdp", 2, 1), ("xdp", 2, 2), ("xdp", 1, 2)])
def test_xdp_forwards(kind: str, workers: int, queues: int) -> None:
    forward(kind, workers, queues)


@pytest.mark.parametrize("workers", [1, 2])
def test_packet_forwards(workers: int) -> None:
    forward("packet", workers, 1)


def forward(kind: str, workers: int, queues: int) -> None:
    """Ping and checked transfers over both families; then the counters, and the pool."""
    with line(queues) as place, bench(workers) as one:
        with inside(place.gateway):
            ports: list[Driver] = [KINDS[kind](name) for name in ("left", "right")]
            one.open(*ports)
        for address in RIGHT:
            place.ping(one, address)
            place.transfer(one, "tcp", address, OCTETS)
            place.transfer(one, "udp", address, OCTETS // 10)
        assert all(port.mtu == 1500 for port in ports)
        received, sent = one.total("rx_packets", 0), one.total("tx_packets", 1)
        assert received == sent > 2 * OCTETS / 65536
        assert one.total("rx_octets", 0) == one.total("tx_octets", 1) > 2 * OCTETS
        assert one.total("tx_full", 0) == one.total("tx_full", 1) == 0
        assert sum(worker.held for worker in one.workers) > 0, "no unfinished checksum was seen"
        long = sum(worker.dispatched for worker in one.workers)
        assert (long > 0) == (kind == "packet"), "unsegmented frames"
        if kind == "xdp":
            facts = ports[0].statistics()
            assert facts["program"] == "native"
            assert facts["queues"] == queues
            assert facts["wrong"] == facts["unfit"] == 0
