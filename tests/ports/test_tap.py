"""A TAP device with scapy, and with the kernel's own TCP, at the other end."""

from __future__ import annotations

import ctypes

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet as Scapy

from pronghorn.compiled import mode
from pronghorn.ports.driver import Driver, PortError
from pronghorn.ports.drivers import receive, transmit_burst
from pronghorn.ports.packet_port import PacketPort
from pronghorn.ports.tap_port import TapPort
from pronghorn.state.packet import Packet
from pronghorn.state.packets import release
from pronghorn.state.port import BURST, SEGMENTATION
from pronghorn.state.worker import Worker
from tests.peers.namespaces import stage
from tests.ports.line import line
from tests.ports.support import bench, drive, inside

pytestmark = pytest.mark.root
OURS = "10.8.0.2"
OCTETS = 200_000 if mode() == "interpreted" else 8_000_000


def answer(frame: Ether, mac: str) -> bytes:
    """What a host with address OURS replies; nothing to most."""
    if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst == OURS:
        reply: Scapy = ARP(op=2, hwsrc=mac, psrc=OURS, hwdst=frame.src, pdst=frame[ARP].psrc)
    elif ICMP in frame and frame[ICMP].type == 8:
        echo = ICMP(type=0, id=frame[ICMP].id, seq=frame[ICMP].seq)
        reply = IP(src=OURS, dst=frame[IP].src) / echo / bytes(frame[ICMP].payload)
    else:
        return b""
    return bytes(Ether(src=mac, dst=frame.src) / reply)


def respond(worker: Worker, mac: str) -> int:
    """One turn of that host, which answers in the packet that came; returns how many frames came."""
    port, queue = worker.ports[0], worker.queues[0]
    count = receive(worker, port, queue, BURST)
    for i in range(count):
        packet = Packet(worker.burst[i])
        reply = answer(Ether(ctypes.string_at(packet.data, packet.length)), mac)
        if reply:
            ctypes.memmove(packet.data, reply, len(reply))
            packet.length = len(reply)
            queue.burst[0] = packet.address
            assert transmit_burst(worker, port, queue, queue.burst, 1) == 1
        else:
            release(worker, packet)
    return count


def test_ping_is_answered() -> None:
    """The kernel pings a host that scapy plays."""
    with stage() as place, bench() as one:
        host = place.namespace("host")
        port = TapPort("tap0")
        with inside(host):
            one.open(port)
        host.ip("address add 10.8.0.1/24 dev tap0")
        mac = port.mac.to_bytes(6, "big").hex(":")
        assert mac not in host.run("ip", "link", "show", "tap0").stdout
        ping = host.start("ping", "-c", "3", "-i", "0.05", "-W", "3", OURS, log="ping")
        drive(one, ping, lambda worker: respond(worker, mac))
        assert ping.returncode == 0, (place.scratch / "ping").read_text()
        assert one.total("rx_packets", 0) >= one.total("tx_packets", 0) == 4
        port.close()
        assert "tap0" not in host.run("ip", "link").stdout


@pytest.mark.parametrize("workers", [1, 2])
def test_unsegmented_frames_and_unfinished_checksums_cross_both_ways(workers: int) -> None:
    """A TCP connection from a neighbour behind a veth into the kernel behind the TAP: nobody segments or sums."""
    with line() as place, bench(workers) as one:
        ports: list[Driver] = [PacketPort("left"), TapPort("tap0")]
        with inside(place.gateway):
            one.open(*ports)
        place.gateway.ip("address add 10.9.0.9/24 dev tap0")
        place.transfer(one, "tcp", "10.9.0.9", OCTETS, place.gateway)
        place.transfer(one, "udp", "10.9.0.9", OCTETS // 100, place.gateway)
        assert all(port.offloads & SEGMENTATION for port in ports)
        for port in range(2):
            packets, octets = one.total("rx_packets", port), one.total("rx_octets", port)
            assert octets > OCTETS
            assert octets / packets > 1514, "every frame was a single segment"
        assert one.total("tx_full", 0) == one.total("tx_full", 1) == 0


def test_refusals() -> None:
    with (
        stage() as place,
        bench() as one,
        inside(place.namespace("host")),
        pytest.raises(PortError, match="no TAP device"),
    ):
        one.open(TapPort("lo"))
