"""Driving an embedded engine by the functions of the C interface, called from Python in both modes.

What a C program sees of it is in test_embedded.py.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface
from typing import Any, ClassVar

import pytest
from scapy.packet import Packet as Scapy

from pronghorn.compiled import Array, array_at, bounds, u8
from pronghorn.engine.embedded import (
    BAD_VALUE,
    FORWARD,
    NO_MEMORY,
    RAW_IP,
    EngineConfiguration,
    engine_create,
    engine_destroy,
)
from pronghorn.engine.harness import (
    engine_advance,
    engine_clock,
    engine_inject,
    engine_inject_ip,
    engine_next,
    engine_set_clock,
    engine_take,
    engine_take_time,
    engine_turn,
)
from pronghorn.engine.network import (
    engine_address4,
    engine_address6,
    engine_mtu,
    engine_neighbour4,
    engine_neighbour6,
    engine_remove_address4,
    engine_remove_address6,
    engine_route4,
    engine_route6,
)
from pronghorn.net import change_routes as refusals
from pronghorn.net.create import NetLimits
from pronghorn.net.state import MAPPED, SECOND, net_of
from pronghorn.state.worker import Worker
from tests.wire import judges as j

pytestmark = pytest.mark.skipif(bounds.ENABLED, reason="an embedded engine's memory is not known to the bounds check")

PEER, OWN = "02:00:00:00:00:99", "02:00:00:00:00:10"


class Octets:
    """Octets at an address, for as long as the tests run."""

    _kept: ClassVar[list[Any]] = []

    def __init__(self, content: bytes = b"", room: int = 0) -> None:
        self.memory = ctypes.create_string_buffer(content, max(len(content), room, 1))
        self.array: Array[Any] = array_at(u8, ctypes.addressof(self.memory))
        self.length = len(content)
        self._kept.append(self.memory)


class Harness:
    """One embedded engine."""

    def __init__(self, **values: int) -> None:
        self._memory = Octets(room=EngineConfiguration.SIZE + 8)
        self.configuration = EngineConfiguration(-(-self._memory.array.address // 8) * 8)
        self.configuration.seed, self.configuration.mac = 1, 0x02_00_00_00_00_10
        for name, value in values.items():
            setattr(self.configuration, name, value)
        self.worker: Worker = engine_create(self.configuration)

    def own(self, text: str, interface: int = 0) -> int:
        """Own an address."""
        address = ip_interface(text)
        call = engine_address4 if address.version == 4 else engine_address6
        return call(self.worker, interface, Octets(address.ip.packed).array, address.network.prefixlen)

    def disown(self, text: str, interface: int = 0) -> int:
        address = ip_interface(text)
        call = engine_remove_address4 if address.version == 4 else engine_remove_address6
        return call(self.worker, interface, Octets(address.ip.packed).array, address.network.prefixlen)

    def route(self, text: str, gateway: str = "", interface: int = 0) -> int:
        prefix = ip_interface(text)
        way = Octets(ip_address(gateway).packed).array if gateway else array_at(u8, 0)
        call = engine_route4 if prefix.version == 4 else engine_route6
        return call(self.worker, interface, Octets(prefix.ip.packed).array, prefix.network.prefixlen, way)

    def meet(self, text: str, interface: int = 0) -> int:
        """Set a permanent neighbour."""
        address = ip_address(text)
        call = engine_neighbour4 if address.version == 4 else engine_neighbour6
        return call(self.worker, interface, Octets(address.packed).array, 0x02_00_00_00_00_99)

    def put(self, frame: Scapy, when: int = 0, port: int = 0) -> int:
        own = Octets(bytes(frame))
        call = engine_inject if isinstance(frame, j.Ether) else engine_inject_ip
        return call(self.worker, port, own.array, own.length, when)

    def taken(self, port: int = 0) -> list[tuple[int, bytes]]:
        """What comes out, with its time."""
        own, found = Octets(room=2048), []
        while (when := engine_take_time(self.worker, port)) >= 0:
            octets = engine_take(self.worker, port, own.array, 2048)
            assert octets > 0
            found.append((when, own.memory.raw[:octets]))
        return found

    def close(self) -> None:
        if self.worker.address:
            engine_destroy(self.worker)


@pytest.fixture
def harness() -> Iterator[Harness]:
    """With addresses, and a neighbour of each family; what it announces has been taken."""
    made = Harness()
    assert made.own("192.0.2.1/24") >= 0
    assert made.own("2001:db8::1/64") >= 0
    assert made.meet("192.0.2.9") >= 0
    assert made.meet("2001:db8::9") >= 0
    engine_advance(made.worker, 10 * SECOND)
    made.taken()
    yield made
    made.close()


def echo(version: int) -> Scapy:
    link = j.Ether(src=PEER, dst=OWN)
    if version == 4:
        return link / j.IP(src="192.0.2.9", dst="192.0.2.1") / j.ICMP(id=1) / b"hello"
    return link / j.IPv6(src="2001:db8::9", dst="2001:db8::1") / j.ICMPv6EchoRequest(id=1, data=b"hello")


@pytest.mark.parametrize("version", [4, 6])
def test_a_frame_is_answered_when_it_arrives(harness: Harness, version: int) -> None:
    assert harness.put(echo(version), 20 * SECOND) == 1
    assert engine_next(harness.worker) == 20 * SECOND
    assert engine_turn(harness.worker, 20 * SECOND - 1) == 0
    assert harness.taken() == []
    assert engine_turn(harness.worker, 20 * SECOND) == 1
    ((when, octets),) = harness.taken()
    assert when == 20 * SECOND
    reply = j.Ether(octets)
    assert (reply.dst, reply.src) == (PEER, OWN)
    assert (reply[j.ICMP].type if version == 4 else reply[j.ICMPv6EchoReply].type) == (0 if version == 4 else 129)


def test_frames_arrive_in_order_of_time_then_of_calls(harness: Harness) -> None:
    now = engine_clock(harness.worker)
    for number, later in enumerate((30, 10, 20, 10)):
        frame = echo(4)
        frame[j.ICMP].seq = number
        assert harness.put(frame, now + later) == 1
    assert engine_advance(harness.worker, now + 30) >= 3
    answers = [(when - now, j.Ether(octets)[j.ICMP].seq) for when, octets in harness.taken()]
    assert answers == [(10, 1), (10, 3), (20, 2), (30, 0)]


def test_the_clock_never_goes_back(harness: Harness) -> None:
    now = engine_clock(harness.worker)
    engine_set_clock(harness.worker, now + 5)
    engine_set_clock(harness.worker, now)
    engine_turn(harness.worker, now - 5)
    engine_advance(harness.worker, now - 5)
    assert engine_clock(harness.worker) == now + 5
    assert harness.put(echo(4), now) == 1  # in the past: at once
    assert engine_next(harness.worker) == now + 5


def test_nothing_is_due_once_all_is_quiet() -> None:
    made = Harness(start=77)
    assert engine_clock(made.worker) == engine_next(made.worker) == 77
    turns = engine_advance(made.worker, 100 * SECOND)
    assert 2 < turns < 1000
    assert engine_next(made.worker) == -1
    assert engine_advance(made.worker, 200 * SECOND) == 0
    assert engine_clock(made.worker) == 200 * SECOND
    assert next(when for when, _ in made.taken()) == 77  # the link-local address is announced
    made.own("192.0.2.1/24")
    assert engine_next(made.worker) == 200 * SECOND
    made.close()


def test_the_same_seed_the_same_octets() -> None:
    runs = []
    for seed in (5, 5, 6):
        made = Harness(seed=seed, mac=0)
        made.own("192.0.2.1/24")
        engine_advance(made.worker, 5 * SECOND)
        made.put(j.Ether(src=PEER, dst="ff:ff:ff:ff:ff:ff") / j.ARP(hwsrc=PEER, psrc="192.0.2.9", pdst="192.0.2.1"))
        engine_advance(made.worker, 9 * SECOND)
        runs.append(made.taken())
        made.close()
    assert runs[0] == runs[1] != runs[2]
    drawn = Harness(seed=0)
    assert drawn.configuration.seed != 0
    drawn.close()


@pytest.mark.parametrize("source", ["10.0.0.2", "172.16.0.1", "2001:db8::2", "2001:db9::2", "fe80::2"])
def test_raw_ip_asks_for_nobody(source: str) -> None:
    made = Harness(flags=RAW_IP)
    made.own("10.0.0.1/8")
    made.own("2001:db8::1/64")
    made.route("0.0.0.0/0")
    made.route("::/0")
    four = "." in source
    packet: Scapy
    if four:
        packet = j.IP(src=source, dst="10.0.0.1") / j.ICMP(id=3)
    else:
        packet = j.IPv6(src=source, dst="2001:db8::1") / j.ICMPv6EchoRequest(id=3)
    assert made.put(packet, 40) == 1
    engine_advance(made.worker, 60 * SECOND)
    ((when, octets),) = made.taken()
    reply = j.IP(octets) if four else j.IPv6(octets)
    assert (when, reply.dst) == (40, source)
    made.close()


def test_raw_ip_to_a_group_arrives_as_one() -> None:
    """A frame to a group, not to the port: an echo request to all nodes is answered, TCP would not be."""
    made = Harness(flags=RAW_IP)
    made.own("2001:db8::1/64")
    made.put(j.IPv6(src="fe80::2", dst="ff02::1") / j.ICMPv6EchoRequest(id=3), 40)
    made.put(j.IP(src="10.0.0.9", dst="224.0.0.1") / j.UDP(sport=1, dport=2), 40)
    made.put(j.IP(src="10.0.0.9", dst="255.255.255.255") / j.UDP(sport=1, dport=2), 40)
    engine_advance(made.worker, SECOND)
    replies = [j.IPv6(octets) for _, octets in made.taken()]
    assert all(j.ICMPv6EchoReply in reply for reply in replies)
    made.close()


def test_what_is_not_taken(harness: Harness) -> None:
    worker, frame, now = harness.worker, Octets(bytes(echo(4))), engine_clock(harness.worker)
    for port, octets, when in ((1, 60, now), (-1, 60, now), (0, 13, now), (0, 1523, now), (0, 60, -1)):
        assert engine_inject(worker, port, frame.array, octets, when) == -1
    packet = Octets(b"\x50" + bytes(59))
    assert engine_inject_ip(worker, 0, packet.array, 60, now) == -1
    assert engine_inject_ip(worker, 0, Octets(b"\x60" + bytes(59)).array, 39, now) == -1
    assert engine_inject_ip(worker, 0, Octets(b"\x45" + bytes(59)).array, 1 << 40, now) == -1
    assert engine_take_time(worker, 3) == -1
    assert engine_take(worker, 3, frame.array, 100) == 0
    for _ in range(harness.configuration.frames):
        assert harness.put(echo(4), now) == 1
    assert harness.put(echo(4), now) == 0
    assert engine_advance(worker, now) > harness.configuration.frames // 64


def test_too_little_room_leaves_the_frame(harness: Harness) -> None:
    harness.put(echo(4), engine_clock(harness.worker))
    engine_turn(harness.worker, 0)
    own = Octets(room=100)
    length = -engine_take(harness.worker, 0, own.array, 10)
    assert engine_take(harness.worker, 0, own.array, length - 1) == -length
    assert engine_take(harness.worker, 0, own.array, length) == length
    assert engine_take(harness.worker, 0, own.array, length) == 0


def test_two_ports_forward() -> None:
    made = Harness(ports=2, flags=FORWARD)
    made.own("192.0.2.1/24")
    made.own("198.51.100.1/24", 1)
    made.meet("198.51.100.9", 1)
    made.put(j.Ether(src=PEER, dst=OWN) / j.IP(src="192.0.2.9", dst="198.51.100.9") / j.UDP(sport=1, dport=2), 3)
    engine_advance(made.worker, 3)
    frames = [j.Ether(octets) for _, octets in made.taken(1)]
    assert [frame.dst for frame in frames if j.UDP in frame] == [PEER]
    assert {frame.src for frame in frames} == {"02:00:00:00:00:11"}
    made.close()


def test_addresses_and_routes_are_refused_with_a_reason(harness: Harness) -> None:
    assert harness.own("192.0.2.1/24", 1) == refusals.NO_INTERFACE
    assert harness.own("192.0.2.1/24", -1) == refusals.NO_INTERFACE
    assert harness.own("224.0.0.1/24") == harness.own("ff02::1/64") == harness.own("::1/128") == refusals.BAD_ADDRESS
    assert harness.own("192.0.2.1/25") == harness.own("2001:db8::1/65") == refusals.OTHER_LENGTH
    for length in (-1, 33):
        assert engine_address4(harness.worker, 0, Octets(bytes(4)).array, length) == refusals.BAD_LENGTH
        assert engine_route4(harness.worker, 0, Octets(bytes(4)).array, length, array_at(u8, 0)) == refusals.BAD_LENGTH
    assert engine_address6(harness.worker, 0, Octets(bytes(16)).array, 129) == refusals.BAD_LENGTH
    assert harness.route("0.0.0.0/0", "192.0.2.1") == refusals.OWN_ADDRESS
    assert harness.disown("192.0.2.2/24") == refusals.NOT_THERE
    assert harness.disown("192.0.2.1/25") == refusals.OTHER_LENGTH
    assert harness.disown("192.0.2.1/24") >= 0
    assert harness.disown("2001:db8::1/64") >= 0
    assert harness.disown("192.0.2.1/24") == refusals.NOT_THERE
    assert engine_mtu(harness.worker, 0, 1279) == engine_mtu(harness.worker, 0, 1501) == refusals.BAD_MTU
    assert engine_mtu(harness.worker, 1, 1400) == refusals.BAD_MTU
    assert engine_mtu(harness.worker, 0, 1400) == 0


def test_a_prefix_may_have_host_bits(harness: Harness) -> None:
    for text in ("10.1.2.3/8", "2001:db8:5::77/33"):
        index = harness.route(text, "192.0.2.9" if "." in text else "2001:db8::9")
        route, network = net_of(harness.worker).routes[index], ip_interface(text).network
        if network.version == 4:
            assert route.lo == MAPPED | int(network.network_address)
        else:
            assert route.hi << 64 | route.lo == int(network.network_address)


@pytest.mark.parametrize(
    ("field", "value"), [("mtu", 1279), ("mtu", 65536), ("packets", 63), ("ports", 65), ("offloads", 8), ("flags", 4)]
)
def test_a_configuration_out_of_range(field: str, value: int) -> None:
    made = Harness(**{field: value})
    assert made.worker.address == 0
    assert made.configuration.error == BAD_VALUE
    assert made.configuration.wrong == EngineConfiguration.offset(field)


def test_limits_of_the_network(harness: Harness) -> None:
    assert harness.configuration.net.neighbours == net_of(harness.worker).neighbour_limit == 4096
    made = Harness()
    made.close()
    made.configuration.net.paths = 100
    assert engine_create(made.configuration).address == 0
    assert made.configuration.wrong == EngineConfiguration.offset("net") + NetLimits.offset("paths")


def test_more_than_can_be_reserved() -> None:
    made = Harness(large_packets=1 << 20)
    assert made.worker.address == 0
    assert made.configuration.error == NO_MEMORY
