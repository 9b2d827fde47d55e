"""The simulated wire between two ends, and from outside: frames, times, limits."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Packet_

from pronghorn.compiled import bounds
from pronghorn.ports.driver import PortError
from pronghorn.ports.drivers import receive
from pronghorn.ports.wire import WireEnd, wire_end, wire_inject, wire_next, wire_send, wire_take, wire_take_time
from pronghorn.ports.wire_port import Impairment, Wire, WirePort
from pronghorn.ports.wire_store import lane_clear, lane_drop_first, lane_first, lane_next, lane_put
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, Packet
from pronghorn.state.packets import release
from pronghorn.state.worker import NEVER
from tests.ports.fabric import START, Fabric
from tests.ports.test_veth import A, B, udp

MS = 1_000_000
IPS = {"IPv4": IP(src="192.0.2.1", dst="192.0.2.2"), "IPv6": IPv6(src="2001:db8::1", dst="2001:db8::2")}
_room = ctypes.create_string_buffer(70_000)
_frame = ctypes.create_string_buffer(70_000)
for buffer in (_room, _frame):
    bounds.register(ctypes.addressof(buffer), len(buffer), 0, "test")


def unfinished(ip: Packet_, layer4: Packet_, payload: bytes) -> bytes:
    """A frame whose layer-4 checksum is the pseudo header's sum."""
    octets = bytearray(bytes(Ether(src=A, dst=B) / ip / layer4 / payload))
    start = 54 if IPv6 in ip else 34
    pseudo = octets[22 if IPv6 in ip else 26 : start] + bytes([0, 17 if UDP in layer4 else 6])
    pseudo += (len(octets) - start).to_bytes(2)
    total = sum(int.from_bytes(pseudo[k : k + 2]) for k in range(0, len(pseudo), 2))
    place = start + (6 if UDP in layer4 else 16)
    octets[place : place + 2] = (total % 0xFFFF).to_bytes(2)
    return bytes(octets)


def finished(octets: bytes) -> bytes:
    """The frame with its checksums worked out by scapy."""
    frame = Ether(octets)
    if IP in frame:
        del frame[IP].chksum
    del frame[TCP if TCP in frame else UDP].chksum
    return bytes(frame)


def driver(fabric: Fabric, port: int = 0) -> WirePort:
    found = fabric.driver(port)
    assert isinstance(found, WirePort)
    return found


def take(end: WireEnd) -> list[tuple[int, bytes]]:
    """All outgoing frames with their times."""
    frames = []
    while (when := wire_take_time(end)) >= 0:
        octets = wire_take(end, ctypes.addressof(_room), len(_room))
        frames.append((when, _room.raw[:octets]))
    assert wire_take(end, ctypes.addressof(_room), len(_room)) == 0
    return frames


def put(end: WireEnd, frame: bytes, when: int) -> int:
    ctypes.memmove(_frame, frame, len(frame))
    return wire_inject(end, ctypes.addressof(_frame), len(frame), when)


def send(end: WireEnd, frame: bytes, when: int) -> int:
    ctypes.memmove(_frame, frame, len(frame))
    return wire_send(end, ctypes.addressof(_frame), len(frame), when)


@pytest.fixture
def pair() -> Iterator[Fabric]:
    with Fabric("wire:pair", "wire:pair") as fabric:
        yield fabric


def test_a_perfect_wire(pair: Fabric) -> None:
    frames = [udp(k, bytes([k]) * (k * 40)) for k in range(30)]
    pair.send(0, *frames)
    assert pair.take(1) == frames
    pair.send(1, *reversed(frames))
    assert pair.take(0) == frames[::-1]
    assert pair.queue(0).tx_packets == pair.queue(1).rx_packets == 30
    assert pair.queue(0).tx_octets == pair.queue(1).rx_octets == sum(map(len, frames))
    facts = driver(pair).statistics()
    assert facts["out_sent"] == facts["in_sent"] == facts["out_delivered"] == 30
    assert facts["other_end"] == "a port"


def test_two_engines_with_memory_of_their_own() -> None:
    with Fabric("wire:between") as one, Fabric("wire:between?delay=1ms") as two:
        assert one.driver(0).mac != two.driver(0).mac
        one.send(0, udp(1))
        two.send(0, udp(2), udp(3))
        assert two.take(0) == [udp(1)]
        assert one.take(0) == []
        one.pass_time(0.001)
        assert one.take(0) == [udp(2), udp(3)]


def test_delay_and_when_to_wake(pair: Fabric) -> None:
    driver(pair).impair(Impairment(delay=5 * MS))
    worker, there = pair.worker(), driver(pair, 1).end
    worker.due = NEVER
    assert pair.take(1) == []
    assert wire_next(there) == -1
    assert worker.due == NEVER
    pair.send(0, udp(1))
    assert worker.due == START + 5 * MS, "it receives at the other end too"
    worker.due = NEVER
    assert wire_next(there) == START + 5 * MS
    assert pair.take(1) == []
    assert worker.due == START + 5 * MS
    pair.pass_time(0.002)
    worker.due = NEVER
    pair.send(0, udp(2))
    assert worker.due == START + 5 * MS
    pair.pass_time(0.003)
    assert pair.take(1) == [udp(1)]
    assert worker.due == START + 5 * MS
    assert wire_next(there) == START + 7 * MS
    pair.pass_time(0.002)
    assert pair.take(1) == [udp(2)]


@pytest.mark.parametrize("rate", [10_000_000, 333_333_333, 7])
def test_rate_is_exact(rate: int) -> None:
    with Fabric("wire:rate") as fabric:
        end = driver(fabric).end
        driver(fabric).impair_inbound(Impairment(rate=max(rate, 8), overhead=24))
        bits = 0
        for number in range(20):
            bits += 8 * (len(udp(number)) + 24)
            assert send(end, udp(number), START) == 1
        fabric.pass_time(bits / max(rate, 8))
        times = []
        while wire_next(end) >= 0:
            times.append(wire_next(end))
            lane_drop_first(driver(fabric).lanes[1])
        assert times[-1] == START + bits * 10**9 // max(rate, 8)
        assert times == sorted(times)


def test_an_idle_line_is_free_at_once() -> None:
    with Fabric("wire:idle?rate=8mbit&delay=1ms") as fabric:
        end = driver(fabric).end
        fabric.send(0, bytes(1000))
        fabric.pass_time(0.5)
        fabric.send(0, bytes(500), bytes(500))
        ms = [when - START for when, _ in take(end)]
        assert ms == [2 * MS, 501 * MS + MS // 2, 502 * MS]


def test_the_queue_is_bounded() -> None:
    """A frame on the line does not wait; three of 1000 octets do, the rest is dropped."""
    with Fabric("wire:queue?rate=8mbit&queue=3500") as fabric:
        fabric.send(0, *[bytes([k]) * 1000 for k in range(6)])
        assert driver(fabric).lanes[0].dropped == 2
        assert [frame[0] for _, frame in take(driver(fabric).end)] == [0, 1, 2, 3]
        fabric.pass_time(0.0021)  # two have left since, the third is on the line
        fabric.send(0, *[bytes([k]) * 1000 for k in range(6, 10)])
        assert [frame[0] for _, frame in take(driver(fabric).end)] == [6, 7]
        driver(fabric).impair(Impairment(rate=8_000_000, queue_frames=5))
        fabric.pass_time(1)
        fabric.send(0, *[bytes([k]) * 100 for k in range(10)])
        assert [frame[0] for _, frame in take(driver(fabric).end)] == [0, 1, 2, 3, 4, 5]
        assert fabric.count("transmitted") == 20, "what the wire drops has been sent"


def test_the_store_is_bounded() -> None:
    with Fabric("wire:store?store=4") as fabric:
        end = driver(fabric).end
        for _ in range(3):
            fabric.send(0, *map(udp, range(7)))
            assert [frame for _, frame in take(end)] == list(map(udp, range(4)))
            assert [put(end, udp(k), START) for k in range(6)] == [1, 1, 1, 1, 0, 0]
            assert fabric.take(0) == list(map(udp, range(4)))
        assert driver(fabric).lanes[0].dropped == 9
        driver(fabric).impair(Impairment(rate=8_000_000))
        fabric.send(0, *map(udp, range(40)))
        assert len(take(end)) == 4


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=120), st.integers(1, 20))
def test_frames_in_flight_are_ordered_by_time(steps: list[tuple[int, bool]], slots: int) -> None:
    """Against a sorted list."""
    wire = Wire(1500, slots, 1, 0)
    try:
        lane = wire.lanes[0]
        oracle: list[tuple[int, int]] = []
        for number, (when, pull) in enumerate(steps):
            if pull and oracle:
                oracle.sort()
                assert lane_next(lane) == oracle[0][0]
                slot = lane_first(lane)
                assert lane.frames[slot].length == oracle.pop(0)[1]
                lane_drop_first(lane)
                continue
            slot = lane_put(lane, ctypes.addressof(_room), number, 0, 0, when)
            assert (slot < 0) == (len(oracle) == slots)
            if slot >= 0:
                oracle.append((when, number))
            assert lane.waiting == len(oracle)
        lane_clear(lane)
        assert lane_next(lane) == -1
        assert lane_put(lane, ctypes.addressof(_room), 1, 0, 0, 5) >= 0
    finally:
        wire.close()


# --- from outside -------------------------------------------------------------------------------------------------


def test_inject_and_take() -> None:
    with Fabric("null:", "wire:harness?rate=1kbit&loss=100%") as fabric:
        worker = fabric.worker()
        assert wire_end(worker, 0).address == wire_end(worker, 2).address == wire_end(worker, -1).address == 0
        end = wire_end(worker, 1)
        assert end == driver(fabric, 1).end
        for number, when in ((1, 30), (2, 10), (3, 20)):
            assert put(end, udp(number), START + when) == 1
        assert wire_next(end) == START + 10
        worker.now += 20
        assert fabric.take(1) == [udp(2), udp(3)]
        worker.now += 20
        assert fabric.take(1) == [udp(1)]
        assert put(end, udp(4), 0) == 1
        assert fabric.take(1) == [udp(4)], "in the past: at once"
        assert wire_take_time(end) == -1
        driver(fabric, 1).impair(Impairment())
        fabric.send(1, udp(5))
        fabric.pass_time(1)
        fabric.send(1, udp(6))
        assert wire_take_time(end) == START + 40
        assert wire_take(end, ctypes.addressof(_room), 10) == -len(udp(5))
        assert take(end) == [(START + 40, udp(5)), (START + 40 + 10**9, udp(6))]


def test_sizes_that_no_wire_takes() -> None:
    with Fabric("wire:sizes?mtu=600") as fabric:
        end = driver(fabric).end
        assert fabric.driver(0).mtu == fabric.engine.ports[0].mtu == 600
        for octets, taken in ((0, -1), (13, -1), (14, 1), (622, 1), (623, -1), (70_000, -1)):
            assert put(end, bytes(octets), START) == taken
            assert send(end, bytes(octets), START) == taken
        assert wire_inject(end, ctypes.addressof(_room), -1, START) == -1
        assert put(end, udp(1), -1) == -1
        fabric.send(0, udp(1), bytes(623), udp(2))
        assert [frame for _, frame in take(end)] == [udp(1), udp(2)]
        assert fabric.count("transmit_full") == 1
        assert sorted(map(len, fabric.take(0))) == [14, 14, 622, 622]


def test_frames_for_which_there_is_no_packet() -> None:
    with Fabric("wire:pool?mtu=9000", packets=64) as fabric:
        end = driver(fabric).end
        assert put(end, bytes(5000), START) == 1
        assert fabric.take(0) == []
        for number in range(80):
            assert put(end, udp(number), START) == 1
        assert len(fabric.packets(0)) <= 64
        lost = fabric.queue(0).rx_errors
        assert lost > 0
        assert lost == driver(fabric).lanes[1].unfit
        received = [Packet(fabric.worker().burst[place]) for place in range(fabric.queue(0).rx_packets)]
        for packet in received:
            fabric.drop(packet)
        fabric.take(0)


# --- offload ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", IPS)
def test_unsegmented_frames_between_ends_that_consent(family: str) -> None:
    with Fabric("wire:big?offload=on", "wire:big?offload=on", large=4) as fabric:
        frame = unfinished(IPS[family], TCP(sport=1, dport=2, flags="A"), bytes(60_000))
        fabric.send(0, frame, flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1448)
        (packet,) = fabric.packets(1)
        assert (packet.flags, packet.gso_size) == (CHECKSUM_PARTIAL | UNSEGMENTED, 1448)
        assert ctypes.string_at(packet.data, packet.length) == frame
        fabric.drop(packet)


@pytest.mark.parametrize("family", IPS)
@pytest.mark.parametrize("ends", ["off on", "on off", "on none"])
def test_frames_are_finished_and_cut_for_others(ends: str, family: str) -> None:
    one, other = ends.split()
    devices = [f"wire:cut?offload={one}"] + ([f"wire:cut?offload={other}"] if other != "none" else [])
    with Fabric(*devices, large=4) as fabric:
        frame = unfinished(IPS[family], TCP(sport=1, dport=2, flags="A"), bytes(range(250)) * 20)
        fabric.send(0, frame, flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1000)
        fabric.send(0, unfinished(IPS[family], UDP(sport=1, dport=2), b"x" * 30), flags=CHECKSUM_PARTIAL)
        frames = [octets for _, octets in take(driver(fabric).end)] if other == "none" else fabric.take(1)
        assert len(frames) == 6
        payload = b"".join(bytes(Ether(octets)[TCP].payload) for octets in frames[:5])
        assert payload == bytes(range(250)) * 20
        assert all(octets == finished(octets) for octets in frames)
        fabric.send(0, frame, bytes(60), flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1600)
        assert fabric.count("transmit_full") == 2, "segments longer than the wire takes; nothing to cut"


# --- ends ---------------------------------------------------------------------------------------------------------


def test_ends_come_and_go(pair: Fabric) -> None:
    with pytest.raises(PortError, match="both ends are open"):
        pair.open("wire:pair")
    pair.send(0, udp(1))
    pair.engine.remove_port(1)
    assert driver(pair).statistics()["other_end"] == "open"
    assert take(driver(pair).end) == [], "what was in flight is lost"
    pair.send(0, udp(2))
    assert len(take(driver(pair).end)) == 1
    assert pair.open("wire:pair") == 1
    pair.send(1, udp(3))
    assert pair.take(0) == [udp(3)]


@pytest.mark.parametrize(
    ("device", "fault"),
    [
        ("", "name is missing"),
        ("x?rate=fast", "units kbit, mbit, gbit"),
        ("x?rate=1", "from 8 to"),
        ("x?delay=-1ms", "units ns, us, ms, s"),
        ("x?loss=101%", "units %, ppm"),
        ("x?burst=1%", "BEGIN/END"),
        ("x?delay=1ms&jitter=2ms", "more than the delay"),
        ("x?mtu=65536", "from 68 to 65535"),
        ("x?corrupt=1%&offload=on", "unfinished checksums"),
        ("x?store=0", "from 1 to"),
    ],
)
def test_names_that_are_refused(device: str, fault: str) -> None:
    with pytest.raises(PortError, match=fault):
        WirePort(device)


def test_options() -> None:
    text = "?rate=10.5mbit&delay=20ms&jitter=1.5us&loss=0.1%&burst=1%/20%/50%&queue=5&frames=6&mark=7&order=keep"
    with Fabric(f"wire:o{text}&duplicate=10ppm&reorder=0.5&reorder_delay=1s&overhead=24&seed=4") as fabric:
        lane = driver(fabric).lanes[0]
        assert (lane.rate, lane.delay, lane.jitter, lane.loss) == (10_500_000, 20 * MS, 1500, 1000)
        assert (lane.burst_begin, lane.burst_end, lane.burst_loss) == (10_000, 200_000, 500_000)
        assert (lane.queue_octets, lane.queue_frames, lane.mark_octets, lane.keep_order) == (5, 6, 7, 1)
        assert (lane.duplicate, lane.reorder, lane.reorder_delay, lane.overhead) == (10, 500_000, 10**9, 24)
        with pytest.raises(PortError, match="mtu, store and seed"):
            fabric.open("wire:o?seed=5")
        with pytest.raises(PortError, match="mtu, store and seed"):
            fabric.open("wire:o?mtu=9000")


def test_several_workers() -> None:
    """Worker 0 receives; all send."""
    with Fabric("wire:many", "wire:many", workers=2) as fabric:
        fabric.send(0, udp(1), worker=1)
        fabric.send(0, udp(2), worker=0)
        assert fabric.take(1, worker=1) == []
        assert fabric.take(1, worker=0) == [udp(1), udp(2)]


def test_a_frame_of_the_largest_mtu() -> None:
    with Fabric("wire:mtu?mtu=65535", "wire:mtu", large=2) as fabric:
        frame = bytes(65_535 + 14)
        assert put(driver(fabric).end, frame, START) == 1
        count = receive(fabric.worker(), fabric.engine.ports[0], fabric.queue(0), 8)
        assert count == 1
        packet = Packet(fabric.worker().burst[0])
        assert packet.length == len(frame)
        release(fabric.worker(), packet)
