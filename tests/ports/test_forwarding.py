"""Real traffic between two hosts through two ports of one kind that pass everything on: nothing else joins them."""

from __future__ import annotations

import ctypes
import socket
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from pronghorn.compiled import mode
from pronghorn.ports.driver import Driver
from pronghorn.ports.drivers import receive
from pronghorn.ports.packet_port import PacketPort
from pronghorn.ports.xdp_port import XdpPort
from pronghorn.state.packet import Packet
from pronghorn.state.packets import release
from pronghorn.state.port import BURST
from tests.ports.line import RIGHT, line
from tests.ports.support import bench, inside

pytestmark = pytest.mark.root
OCTETS = 200_000 if mode() == "interpreted" else 8_000_000
WAYS = [("tcp", RIGHT[0]), ("tcp", RIGHT[1]), ("udp", RIGHT[0]), ("udp", RIGHT[1])]
KINDS: dict[str, type[XdpPort] | type[PacketPort]] = {"xdp": XdpPort, "packet": PacketPort}


def test_xdp() -> None:
    forward(("xdp", "xdp"), 1, 1, WAYS)


@pytest.mark.parametrize(("workers", "queues"), [(2, 1), (2, 2), (1, 2)])
def test_xdp_with_other_numbers_of_workers_and_queues(workers: int, queues: int) -> None:
    forward(("xdp", "xdp"), workers, queues, WAYS[1:3])


def test_packet() -> None:
    forward(("packet", "packet"), 1, 1, WAYS)


def test_packet_with_two_workers() -> None:
    forward(("packet", "packet"), 2, 1, WAYS[1:3])


def test_what_packet_receives_unsegmented_xdp_cuts() -> None:
    forward(("packet", "xdp"), 1, 1, WAYS[:2])


def forward(kinds: tuple[str, str], workers: int, queues: int, ways: list[tuple[str, str]]) -> None:
    """Ping and checked transfers; then the counters, and (when the bench closes) the pool."""
    with line(queues) as place, bench(workers) as one:
        with inside(place.gateway):
            ports: list[Driver] = [KINDS[kind](name) for kind, name in zip(kinds, ("left", "right"), strict=True)]
            one.open(*ports)
        for address in RIGHT:
            place.ping(one, address)
        for kind, address in ways:
            place.transfer(one, kind, address, OCTETS if kind == "tcp" else OCTETS // 50)
        assert all(port.mtu == 1500 for port in ports)
        received, sent = one.total("rx_packets", 0), one.total("tx_packets", 1)
        assert one.total("rx_octets", 0) > OCTETS
        assert one.total("tx_full", 0) == one.total("tx_full", 1) == 0
        assert sum(worker.held for worker in one.workers) > 0, "no unfinished checksum was seen"
        long = sum(worker.dispatched for worker in one.workers)
        assert (long > 0) == ("packet" in kinds), "unsegmented frames"
        if kinds == ("packet", "xdp"):
            assert sent > received
        else:
            assert sent == received
            assert one.total("tx_octets", 1) == one.total("rx_octets", 0)
        if kinds[1] == "xdp":
            facts = ports[1].statistics()
            assert facts["program"] == "native"
            assert facts["queues"] == queues
            assert facts["wrong"] == facts["unfit"] == 0


@pytest.mark.parametrize("kind", ["packet", "xdp"])
def test_a_tag_in_the_frame_stays_in_the_frame(kind: str) -> None:
    """The kernel takes VLAN tags off before packet sockets see the frame; the port puts them back."""
    with line() as place, bench() as one:
        with inside(place.gateway):
            one.open(KINDS[kind]("left"))
        wanted = bytes(Ether(dst="02:00:00:00:00:09") / Dot1Q(vlan=7, prio=3) / IP() / UDP() / Raw(b"tagged" * 20))
        with inside(place.left), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("eth0", 0))
            sender.send(wanted)
        worker, end = one.workers[0], time.monotonic() + 20
        found: set[bytes] = set()
        while wanted not in found:
            assert time.monotonic() < end, found
            for number in range(receive(worker, one.ports[0], worker.queues[0], BURST)):
                packet = Packet(worker.burst[number])
                found.add(ctypes.string_at(packet.data, packet.length))
                release(worker, packet)
