"""The simulated network itself, with ICMP echo and raw frames: exact times, likely losses, and a trace per seed."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

from pronghorn.compiled import mode
from pronghorn.ports.wire_port import Impairment
from pronghorn.state.port import REFLECT, SEGMENTATION
from tests.simulator.host import Host
from tests.simulator.network import MICROSECOND, MILLISECOND, SECOND, Link, Network, Probe

COUNT = 300 if mode() == "interpreted" else 3000
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def echo(family: int, src: str, dst: str, octets: int = 50) -> Any:
    """An echo request as a packet."""
    if family == 4:
        return IP(src=src, dst=dst) / ICMP(id=7) / (bytes(octets - 30) + b"\xff\xff")
    return IPv6(src=src, dst=dst) / ICMPv6EchoRequest(id=7, data=bytes(octets - 50) + b"\xff\xff")


@cache
def question(family: int, src: str, dst: str, src_mac: int, dst_mac: int, octets: int) -> bytes:
    """An echo request as a frame."""
    ether = Ether(src=src_mac.to_bytes(6).hex(":"), dst=dst_mac.to_bytes(6).hex(":"))
    return bytes(ether / echo(family, src, dst, octets))


def numbered(frame: bytes, number: int) -> bytes:
    """An echo request with another sequence number: the last two octets make up for it in the checksum."""
    place = 40 if frame[12] == 8 else 60
    return frame[:place] + number.to_bytes(2) + frame[place + 2 : -2] + (0xFFFF - number).to_bytes(2)


def request(probe: Probe, host: Host, family: int, number: int = 0, octets: int = 50, dst: str = "") -> bytes:
    """An echo request from the probe to its host, or beyond."""
    mac, address = host.engine.ports[probe.port].mac, dst or probe.host_address(family)
    return numbered(question(family, probe.address(family), address, probe.mac, mac, octets), number)


def replies(probe: Probe, family: int) -> list[tuple[int, int]]:
    """Sequence numbers of echo replies, with the times at which they arrived."""
    kind, place = (0, 34) if family == 4 else (129, 54)
    heard = [(when, frame) for when, frame in probe.heard() if frame[place] == kind]
    return [(int.from_bytes(frame[place + 6 : place + 8]), when) for when, frame in heard]


@FAMILIES
def test_round_trip_is_twice_the_delay(family: int) -> None:
    with Network() as network:
        host = network.host("host")
        probe = network.probe(host, Impairment(delay=30 * MILLISECOND), Impairment(delay=20 * MILLISECOND))
        for number in range(5):
            probe.send(request(probe, host, family, number))
            begin = network.now
            network.run(0.05 - 1e-9)
            assert replies(probe, family) == []
            network.run(0.05)
            assert replies(probe, family) == [(number, begin + 50 * MILLISECOND)]


@FAMILIES
@pytest.mark.parametrize("workers", [1, 2])
def test_across_a_router(family: int, workers: int) -> None:
    """Three engines; rate 10 Mbit/s and 5 ms per wire: 1000 octets of IP, 1014 of frame, take 811.2 us each time."""
    wire = Impairment(rate=10_000_000, delay=5 * MILLISECOND)
    with Network(workers=workers) as network:
        router, host = network.host("router", forwarding=True), network.host("host")
        probe, link = network.probe(router, wire), network.link(router, host, wire)
        host.route(str(probe.networks[0 if family == 4 else 1]), link.ports[1], link.address(0, family))
        for number in range(3):
            probe.send(request(probe, router, family, number, 1000, link.address(1, family)))
            begin = network.now
            network.run(0.1)
            assert replies(probe, family) == [(number, begin + 20 * MILLISECOND + 4 * 811_200)]
        assert [lane.delivered for lane in link.lanes] == [3, 3]


@FAMILIES
def test_many_pings_over_a_bad_wire(family: int) -> None:
    """Loss, copies and disorder are what the wires counted, and what was asked for."""
    bad = Impairment(
        delay=10 * MILLISECOND, jitter=MILLISECOND, loss=50_000, duplicate=20_000, reorder=30_000, corrupt=20_000
    )
    with Network(seed=5) as network:
        host = network.host("host")
        probe = network.probe(host, bad)
        for number in range(COUNT):
            probe.send(request(probe, host, family, number), network.now + number * 100 * MICROSECOND)
        network.run(COUNT / 10_000 + 1)
        out, there = probe.driver.lanes
        heard = replies(probe, family)
        assert there.sent == COUNT
        assert host.worker.received == there.delivered
        for lane, sent in ((there, there.sent), (out, out.sent)):
            for count, parts in ((lane.lost, 0.05), (lane.duplicated, 0.02), (lane.corrupted, 0.02)):
                assert abs(count - parts * sent) < 5 * (parts * sent) ** 0.5 + 2
            assert lane.delivered == lane.sent - lane.lost + lane.duplicated
        assert [number for number, _ in heard] != sorted(number for number, _ in heard)
        assert 0.75 * COUNT < len({number for number, _ in heard if number < COUNT}) < 0.95 * COUNT


def test_hosts_send_by_themselves() -> None:
    """A source of 1000-octet frames at 80 Mbit/s over a line of 40: half of them go, at exactly the line's rate."""
    with Network() as network:
        left, right = network.host("left"), network.host("right")
        link = network.link(left, right, Impairment(rate=40_000_000, delay=MILLISECOND, queue_octets=20_000))
        source = network.source(left, link.ports[0], frame_of(link, 4), 100 * MICROSECOND, COUNT)
        begin = network.now
        network.run(COUNT * 1e-4)
        assert source.sent == COUNT
        sent = COUNT // 2 + 21
        assert abs(sent - (link.lanes[0].sent - link.lanes[0].dropped)) <= 1
        network.run(1)
        delivered = link.lanes[0].delivered
        assert delivered == link.lanes[0].sent - link.lanes[0].dropped
        assert link.lanes[0].busy_until == begin + delivered * 200 * MICROSECOND
        assert link.lanes[1].delivered == delivered, "each was an echo request, and was answered"


def frame_of(link: Link, family: int, octets: int = 1000) -> bytes:
    """An echo request from the first host of the link to the second, `octets` long in all."""
    return question(family, link.address(0, family), link.address(1, family), link.mac(0), link.mac(1), octets - 14)


def test_hosts_that_take_unsegmented_frames() -> None:
    with Network() as network:
        hosts = [network.host(name, large=8 if name != "small" else 0) for name in ("one", "two", "small")]
        both = network.link(hosts[0], hosts[1], options="mtu=1500&offload=on")
        half = network.link(hosts[1], hosts[2], options="offload=on")
        assert both.drivers[0].end.consent & both.drivers[1].end.consent & SEGMENTATION
        assert not half.drivers[0].end.consent & SEGMENTATION, "a host without room for them"


def trace(seed: int) -> list[tuple[int, bytes]]:
    """Everything a probe hears behind a router with bad wires."""
    bad = Impairment(
        rate=20_000_000, delay=3 * MILLISECOND, jitter=MILLISECOND, loss=30_000, burst_begin=5000, burst_end=200_000,
        duplicate=10_000, reorder=10_000, corrupt=5_000, queue_frames=30,
    )  # fmt: skip
    with Network(seed) as network:
        router, host = network.host("router", forwarding=True), network.host("host")
        probe, link = network.probe(router, bad), network.link(router, host, bad)
        for family in (4, 6):
            host.route(str(probe.networks[0 if family == 4 else 1]), link.ports[1], link.address(0, family))
        for number in range(COUNT // 5):
            family = 4 + 2 * (number & 1)
            frame = request(probe, router, family, number, 300, link.address(1, family))
            probe.send(frame, network.now + number * 150 * MICROSECOND)
        network.run(2)
        return [(when - network.now, frame) for when, frame in probe.heard()]


def test_a_seed_fixes_the_trace() -> None:
    first = trace(1)
    assert len(first) > COUNT // 20
    assert first == trace(1)
    assert first != trace(2)


def test_time_jumps_over_nothing() -> None:
    """A day in which nothing happens but a frame an hour."""
    with Network() as network:
        left, right = network.host("left"), network.host("right")
        link = network.link(left, right, Impairment(delay=MILLISECOND))
        network.source(left, link.ports[0], frame_of(link, 6), 3600 * SECOND, 24)
        events, begin = network.loop.events, time.monotonic()
        network.run(24 * 3600)
        assert link.lanes[1].delivered == 24
        assert network.loop.events - events < 200 * 24
        assert time.monotonic() - begin < 20


@pytest.mark.parametrize("delay", [0, 5 * MICROSECOND])
def test_time_that_cannot_pass_is_noticed(delay: int) -> None:
    """Two mirrors without a delay between them: a frame flies for ever at one time."""
    with Network() as network:
        left, right = network.host("left"), network.host("right")
        link = network.link(left, right, Impairment(delay=delay))
        network.settle()
        for host, port in zip((left, right), link.ports, strict=True):
            host.engine.ports[port].role, host.engine.ports[port].peer = REFLECT, port
        network.source(left, link.ports[0], frame_of(link, 4), SECOND, 1)
        if delay == 0 and mode() != "interpreted":
            with pytest.raises(AssertionError, match="time stands still"):
                network.run(1)
        elif delay:
            network.run(0.00001 * COUNT)
            assert abs(link.lanes[0].sent - COUNT) <= 1
