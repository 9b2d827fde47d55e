"""What a simulated wire does to frames: chances within their bounds, from a seed, and nothing else touched."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from pronghorn.compiled import bounds, mode
from pronghorn.ports.wire import WireEnd, wire_send
from pronghorn.ports.wire_lane import mark_congestion
from pronghorn.ports.wire_port import Impairment, WirePort
from pronghorn.ports.wire_store import WireLane, lane_drop_first, lane_first, lane_next, lane_octets
from tests.ports.fabric import START, Fabric
from tests.ports.test_veth import A, B

MS = 1_000_000
COUNT = 1500 if mode() == "interpreted" else 20_000
MILLION = 1_000_000
_buffer = ctypes.create_string_buffer(2048)
bounds.register(ctypes.addressof(_buffer), len(_buffer), 0, "test")


class Road:
    """A wire with one end and many numbered frames sent towards it."""

    def __init__(self, impairment: Impairment, seed: int = 1, count: int = COUNT, gap: int = 1000) -> None:
        self.impairment, self.seed, self.count, self.gap = impairment, seed, count, gap
        self.counts: dict[str, int] = {}

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        """Each arrival: its number, when (ns since it was sent), its octets."""
        with Fabric(f"wire:road?seed={self.seed}&store=4096") as fabric:
            driver = fabric.driver(0)
            assert isinstance(driver, WirePort)
            driver.impair_inbound(self.impairment)
            lane, end = driver.lanes[1], driver.end
            for number in range(self.count):
                now = START + number * self.gap
                ctypes.memmove(_buffer, number.to_bytes(4) * 25, 100)
                assert wire_send(end, ctypes.addressof(_buffer), 100, now) == 1
                yield from self._arrivals(lane, now)
            yield from self._arrivals(lane, 1 << 62)
            self.counts = {name: getattr(lane, name) for name in ("sent", "lost", "duplicated", "reordered")}
            self.counts |= {"corrupted": lane.corrupted, "dropped": lane.dropped, "marked": lane.marked}

    def _arrivals(self, lane: WireLane, now: int) -> Iterator[tuple[int, int, bytes]]:
        while 0 <= lane_next(lane) <= now:
            octets = ctypes.string_at(lane_octets(lane, lane_first(lane)), 100)
            number = int.from_bytes(octets[40:44])
            yield number, lane_next(lane) - START - number * self.gap, octets
            lane_drop_first(lane)


def likely(count: int, parts: int, trials: int = COUNT) -> bool:
    """Whether `count` of `trials` is within five standard deviations of `parts` in a million."""
    mean = trials * parts / MILLION
    return abs(count - mean) <= 5 * math.sqrt(mean * (1 - parts / MILLION)) + 1


@pytest.mark.parametrize("parts", [0, 20_000, 300_000, MILLION])
def test_loss(parts: int) -> None:
    road = Road(Impairment(loss=parts, delay=MS))
    arrived = [number for number, _, _ in road]
    assert arrived == sorted(set(arrived))
    assert len(arrived) + road.counts["lost"] == road.counts["sent"] == COUNT
    assert likely(road.counts["lost"], parts)


def test_loss_in_bursts() -> None:
    """Mean loss begin / (begin + end); a burst is 1 / end frames long."""
    road = Road(Impairment(burst_begin=20_000, burst_end=250_000, delay=MS))
    arrived = [-1] + [number for number, _, _ in road] + [COUNT]
    lost = [after - before - 1 for before, after in pairwise(arrived) if after - before > 1]
    assert sum(lost) == road.counts["lost"]
    assert 0.5 < sum(lost) / COUNT / (20 / 270) < 1.5
    assert 3 < sum(lost) / len(lost) < 5.2
    partly = Road(Impairment(burst_begin=500_000, burst_end=500_000, burst_loss=100_000))
    list(partly)
    assert likely(partly.counts["lost"], 50_000)


def test_duplication() -> None:
    road = Road(Impairment(duplicate=100_000, delay=MS))
    arrived = [number for number, _, _ in road]
    assert set(arrived) == set(range(COUNT))
    assert len(arrived) == COUNT + road.counts["duplicated"]
    assert likely(road.counts["duplicated"], 100_000)


@pytest.mark.parametrize("delay", [0, MS // 2, 2 * MS])
def test_reordering(delay: int) -> None:
    road = Road(Impairment(reorder=50_000, reorder_delay=delay, delay=MS))
    times = {number: when for number, when, _ in road}
    assert len(times) == COUNT
    assert set(times.values()) == {delay, MS}
    assert list(times.values()).count(delay) == road.counts["reordered"]
    assert likely(road.counts["reordered"], 50_000)
    order = list(times)
    assert order != sorted(order)


def test_jitter() -> None:
    arrived = list(Road(Impairment(jitter=100_000, delay=MS)))
    delays = [when for _, when, _ in arrived]
    assert MS - 100_000 <= min(delays) < MS - 98_000
    assert MS + 98_000 < max(delays) <= MS + 100_000
    assert abs(sum(delays) / COUNT - MS) < 5 * 100_000 / (3 * COUNT) ** 0.5
    order = [number for number, _, _ in arrived]
    assert order != sorted(order)
    kept = list(Road(Impairment(jitter=100_000, delay=MS, keep_order=1)))
    assert [number for number, _, _ in kept] == list(range(COUNT))
    assert max(when for _, when, _ in kept) <= MS + 100_000


def test_corruption_turns_one_bit() -> None:
    road = Road(Impairment(corrupt=200_000))
    damaged, places = 0, set()
    for number, (_, _, octets) in enumerate(road):
        wrong = int.from_bytes(octets) ^ int.from_bytes(number.to_bytes(4) * 25)
        assert wrong.bit_count() <= 1
        damaged += wrong.bit_count()
        places |= {wrong.bit_length()} - {0}
    assert damaged == road.counts["corrupted"]
    assert likely(damaged, 200_000)
    assert len(places) > 200
    assert max(places) > 700


def test_rate_delay_and_loss_together() -> None:
    """100 octets each microsecond is 800 Mbit/s: at 400 every second frame waits longer, until the queue is full."""
    road = Road(Impairment(rate=400_000_000, queue_frames=50, delay=MS, loss=10_000))
    arrived = list(road)
    assert max(when for _, when, _ in arrived) == MS + 51 * 2000
    assert abs(road.counts["dropped"] - COUNT // 2) < 100
    assert len(arrived) + road.counts["dropped"] + road.counts["lost"] == COUNT
    gaps = [b * 1000 + after - a * 1000 - before for (a, before, _), (b, after, _) in pairwise(arrived)]
    assert {gap % 2000 for gap in gaps} == {0}, "a frame that is lost used the line"
    assert set(gaps) >= {2000, 4000}


def test_a_seed_fixes_the_trace() -> None:
    everything = Impairment(
        rate=900_000_000, delay=MS, jitter=MS // 2, loss=10_000, burst_begin=1000, burst_end=100_000,
        duplicate=10_000, reorder=10_000, corrupt=10_000, queue_octets=20_000,
    )  # fmt: skip
    first, again, other = (list(Road(everything, seed, 1000)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [a for a, _, _ in first] != [a for a, _, _ in other]


# --- marks --------------------------------------------------------------------------------------------------------


def ecn(octets: bytes) -> tuple[bytes, bool]:
    """The frame after mark_congestion."""
    ctypes.memmove(_buffer, octets, len(octets))
    marked = mark_congestion(ctypes.addressof(_buffer), len(octets))
    return _buffer.raw[: len(octets)], marked


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize("family", [4, 6])
def test_marks(family: int, tagged: bool) -> None:
    outside = Ether(src=A, dst=B) / Dot1Q(vlan=5) if tagged else Ether(src=A, dst=B)
    for field, after in ((0, 0), (1, 3), (2, 3), (3, 3)):
        for dscp in (0, 0xB8, 0xFC):
            tos = dscp | field
            four, six = IP(src="192.0.2.1", dst="192.0.2.2", tos=tos), IPv6(tc=tos, fl=0xABCDE)
            octets, marked = ecn(bytes(outside / (four if family == 4 else six) / UDP(sport=1, dport=2) / b"x"))
            assert marked == (field != 0)
            four.tos, six.tc = dscp | after, dscp | after
            wanted = bytes(outside / (four if family == 4 else six) / UDP(sport=1, dport=2) / b"x")
            assert octets == wanted, "IPv4's checksum included"


def test_what_has_no_mark() -> None:
    whole = bytes(Ether(src=A, dst=B) / IP(tos=1) / UDP())
    for octets in (whole[:14], whole[:33], b"", whole[:12] + b"\x08\x06" + whole[14:]):
        assert ecn(octets) == (octets, False)


def test_marks_begin_where_the_queue_is_long() -> None:
    frame = bytes(Ether(src=A, dst=B) / IP(tos=2) / UDP() / bytes(958))
    assert len(frame) == 1000
    with Fabric("wire:marks?rate=8mbit&mark=3000") as fabric:
        driver = fabric.driver(0)
        assert isinstance(driver, WirePort)
        fabric.send(0, *[frame] * 6)
        lane, marks = driver.lanes[0], []
        while lane.waiting:
            marks.append(ctypes.string_at(lane_octets(lane, lane_first(lane)), 16)[15] & 3)
            lane_drop_first(lane)
        assert marks == [2, 2, 2, 3, 3, 3], "the first is on the line, the second and third wait"
        assert lane.marked == 3
        assert WireEnd(driver.end.other).inbound == lane.address
