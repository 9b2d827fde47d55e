"""A TAP device (and AF_XDP on a bridge) with a scapy host, and with the kernel's own TCP, at the other end."""

from __future__ import annotations

import pytest

from pronghorn.compiled import mode
from pronghorn.ports.driver import Driver, PortError
from pronghorn.ports.packet_port import PacketPort
from pronghorn.ports.tap_port import TapPort
from pronghorn.ports.xdp_port import XdpPort
from pronghorn.state.port import SEGMENTATION
from tests.peers.namespaces import stage
from tests.ports.host import OURS, respond
from tests.ports.line import line
from tests.ports.support import bench, drive, inside

pytestmark = pytest.mark.root
OCTETS = 200_000 if mode() == "interpreted" else 8_000_000


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


def test_xdp_where_the_driver_has_no_hook() -> None:
    """A bridge knows no XDP: the kernel runs the program later on its way in, and says so; frames pass all the same."""
    with line() as place, bench() as one:
        place.gateway.ip("link add br0 type bridge", "link set left master br0", "link set br0 up")
        place.left.ip("address add 10.8.0.1/24 dev eth0")
        port = XdpPort("br0")
        with inside(place.gateway):
            one.open(port)
        mac = port.mac.to_bytes(6, "big").hex(":")
        ping = place.left.start("ping", "-c", "3", "-i", "0.05", "-W", "3", OURS, log="ping")
        drive(one, ping, lambda worker: respond(worker, mac))
        assert ping.returncode == 0, (place.stage.scratch / "ping").read_text()
        facts = port.statistics()
        assert (facts["program"], facts["frames"]) == ("generic", "copied")
        assert "not supported" in str(facts["not_native"])


def test_refusals() -> None:
    with (
        stage() as place,
        bench() as one,
        inside(place.namespace("host")),
        pytest.raises(PortError, match="no TAP device"),
    ):
        one.open(TapPort("lo"))
