"""A user-veth within one engine: both ends, down and up, consent, several workers, sleep, and closing at any time."""

from __future__ import annotations

import functools
import select
import time

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Frame

from pronghorn.compiled import bounds, mode
from pronghorn.engine.layout import SPIN
from pronghorn.engine.loop import Loop
from pronghorn.engine.run import run
from pronghorn.ports.driver import PortError
from pronghorn.ports.null import NullPort
from pronghorn.ports.veth_port import VethPort
from pronghorn.ports.veth_rings import QUIET, RING
from pronghorn.state.packet import CHECKSUM_PARTIAL, MULTICAST, ORIGINATED, PREPARED, UNSEGMENTED
from pronghorn.state.port import CHECKSUM_RX, CHECKSUM_TX, CROSS, RSS, SEGMENTATION
from tests.ports.fabric import Fabric

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"


@functools.cache
def udp(sport: int = 1000, payload: bytes = b"x" * 30) -> bytes:
    return bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=sport, dport=53) / payload)


def test_frames_pass_both_ways_without_a_copy() -> None:
    with Fabric("veth:one", "veth:one", "veth:two", "veth:two") as fabric:
        packet = fabric.packet(udp())
        home = packet.data
        fabric.send(0, udp(1), udp(2))
        fabric.send(1, udp(3))
        fabric.send(3, udp(4))
        assert fabric.take(1) == [udp(1), udp(2)]
        assert fabric.take(0) == [udp(3)]
        assert fabric.take(2) == [udp(4)]
        assert fabric.take(3) == []
        fabric.queue(0).burst[0] = packet.address
        fabric.queue(0).waiting = 1
        fabric.flush(0)
        (arrived,) = fabric.packets(1)
        assert arrived.data == home
        fabric.drop(arrived)
        assert fabric.queue(0).tx_packets == fabric.queue(1).rx_packets == 3
        assert fabric.queue(0).tx_octets == fabric.queue(1).rx_octets == 3 * len(udp())


def test_the_facts_of_a_port() -> None:
    with Fabric("veth:one", "veth:one?mtu=9000&offload=off") as fabric:
        first, second = fabric.engine.ports[0], fabric.engine.ports[1]
        assert (first.mtu, second.mtu) == (1500, 9000)
        assert first.mac != second.mac
        assert first.mac >> 40 == 2
        assert first.offloads == CHECKSUM_TX | CHECKSUM_RX | SEGMENTATION
        assert second.offloads == 0
        assert fabric.driver(0).statistics() == {"link": "up", "other_end": "this engine"}


@pytest.mark.parametrize("device", ["", "?mtu=9000", "x?mtu=1", "x?mtu=1e3", "x?speed=1", "x?key=mine", "x?offload"])
def test_impossible_names(device: str) -> None:
    with pytest.raises(PortError):
        VethPort(device)


def test_an_end_alone_is_down() -> None:
    with Fabric("veth:one") as fabric:
        fabric.send(0, udp())
        assert fabric.count("transmit_full") == fabric.queue(0).tx_full == 1
        assert fabric.driver(0).statistics()["link"] == "down"
        other = fabric.open("veth:one")
        fabric.send(0, udp())
        fabric.send(other, udp(7))
        assert fabric.take(other) == [udp()]
        fabric.engine.remove_port(other)
        fabric.send(0, udp())
        assert fabric.count("transmit_full") == 2
        again = fabric.open("veth:one")
        fabric.send(again, udp(5))
        assert fabric.take(0) == [udp(7), udp(5)], "what had arrived is still there"


def test_three_ends_are_too_many() -> None:
    with Fabric("veth:one", "veth:one") as fabric:
        with pytest.raises(PortError, match="both ends"):
            fabric.open("veth:one")
        fabric.send(0, udp())
        assert fabric.take(1) == [udp()]


def test_what_finds_no_room_is_refused() -> None:
    with Fabric("veth:one", "veth:one") as fabric:
        for _ in range(RING // 200 + 1):
            fabric.send(0, *[udp()] * 200)
        extra = (RING // 200 + 1) * 200 - RING
        assert fabric.count("transmit_full") == fabric.queue(0).tx_full == extra
        assert fabric.queue(0).tx_packets == RING
        assert len(fabric.take(1)) == RING


def test_marks_of_the_sender_do_not_travel() -> None:
    with Fabric("veth:one", "veth:one") as fabric:
        kept = CHECKSUM_PARTIAL | UNSEGMENTED
        fabric.send(0, udp(), flags=MULTICAST | ORIGINATED | PREPARED | kept, gso=8)
        (packet,) = fabric.packets(1)
        assert packet.flags == kept
        assert (packet.gso_size, packet.network, packet.transport) == (8, 0, 0)
        fabric.drop(packet)


def test_64_kilobytes_pass_between_consenting_ends() -> None:
    frame = partial(TCP(sport=1, dport=2, flags="A"), bytes(range(256)) * 250)
    with Fabric("veth:one", "veth:one", large=4) as fabric:
        fabric.send(0, frame, flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1460)
        assert fabric.take(1) == [frame]


def test_for_others_the_sender_finishes_and_cuts() -> None:
    payload = bytes(range(256)) * 250
    with Fabric("veth:one", "veth:one?offload=off", large=4) as fabric:
        fabric.send(0, partial(UDP(sport=1, dport=2), b"hello"), flags=CHECKSUM_PARTIAL)
        fabric.send(
            0, partial(TCP(sport=1, dport=2, flags="PA"), payload), flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1460
        )
        whole, *pieces = (Ether(frame) for frame in fabric.take(1))
        assert bytes(whole) == finished(whole)
        assert b"".join(bytes(piece[TCP].payload) for piece in pieces) == payload
        assert all(bytes(piece) == finished(piece) for piece in pieces)
        assert fabric.engine.workers[0].verdicts[128] == 2


def partial(layer4: Frame, payload: bytes) -> bytes:
    """A frame whose layer-4 checksum is the pseudo header's sum."""
    frame = Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / layer4 / payload
    octets = bytearray(bytes(frame))
    place = 34 + (6 if UDP in frame else 16)
    number = 17 if UDP in frame else 6
    pseudo = octets[26:34] + bytes([0, number]) + (len(octets) - 34).to_bytes(2)
    total = sum(int.from_bytes(pseudo[k : k + 2]) for k in range(0, 12, 2))
    octets[place : place + 2] = (total % 0xFFFF).to_bytes(2)
    return bytes(octets)


def finished(frame: Frame) -> bytes:
    """The frame with its checksums worked out by scapy."""
    again = frame.copy()
    del again[IP].chksum, again[IP].payload.chksum
    return bytes(again)


def test_several_workers_share_by_flow() -> None:
    with Fabric("veth:one", "veth:one?key=symmetric", workers=3) as fabric:
        assert fabric.engine.ports[0].offloads & RSS
        assert fabric.engine.ports[0].queues == 3
        frames = [udp(sport) for sport in range(1000, 1200)]
        for sender in range(3):
            fabric.send(0, *frames, worker=sender)
        shares = [fabric.take(1, worker) for worker in range(3)]
        assert sum(len(share) for share in shares) == 600
        assert all(len(share) > 100 for share in shares)
        for share in shares:
            assert all(share.count(frame) == 3 for frame in share), "a flow was split"


def test_with_several_workers_only_the_full_ring_refuses() -> None:
    with Fabric("veth:one", "veth:one", workers=2) as fabric:
        frames = [udp(sport) for sport in range(1000, 1200)]
        fabric.send(0, *frames)
        mine = fabric.take(1, 0)
        for _ in range(1 + RING // len(mine)):
            fabric.send(0, *mine)
        refused = fabric.queue(0).tx_full
        assert refused > 0
        fabric.send(0, *frames)
        assert fabric.queue(0).tx_full == refused + len(mine)
        assert len(fabric.take(1, 0)) == RING
        assert len(fabric.take(1, 1)) == 2 * (len(frames) - len(mine))


def test_a_sleeper_is_woken() -> None:
    with Fabric("veth:one", "veth:one", workers=2) as fabric:
        fd = fabric.queue(1).fd
        waiter = select.poll()
        waiter.register(fd, select.POLLIN)
        for _ in range(3):
            fabric.send(0, udp())
            assert waiter.poll(0) == [], "it did not ask"
            while not fabric.take(1, 0) and not fabric.take(1, 1):
                pass
            fabric.pass_time(0.001)
            assert fabric.take(1, 0) == fabric.take(1, 1) == []
            for sport in range(20):
                fabric.send(0, udp(sport), worker=1)
            assert waiter.poll(0) == [(fd, select.POLLIN)]
            assert len(fabric.take(1, 0)) + len(fabric.take(1, 1)) == 20
            fabric.pass_time(0.001)
            assert fabric.take(1, 0) == []
            assert waiter.poll(0) == []


@pytest.mark.skipif(bounds.ENABLED, reason="the table of known memory is rewritten while workers look things up in it")
def test_workers_that_run_while_ends_come_and_go() -> None:
    fabric = Fabric(workers=2)
    engine = fabric.engine
    source = engine.add_port(NullPort(octets=60), CROSS)
    Loop(engine.workers[0].loop).stop = 1
    run(engine.workers[0])  # compiles, which may take longer than a command may
    engine.start()
    try:
        rounds, turns = (1, 3) if mode() == "interpreted" else (10, 20)
        for _ in range(rounds):
            near = engine.add_port(VethPort("one"))
            far = engine.add_port(VethPort("one"), CROSS, source)
            engine.ports[source].peer = near
            before = engine.workers[0].turns
            while engine.workers[0].turns < before + turns:
                time.sleep(0.001)
            for port in (far, near):
                engine.remove_port(port)
    finally:
        engine.stop()
    fabric.close()


def test_it_is_quiet_before_a_worker_sleeps() -> None:
    assert QUIET < SPIN, "a sleeping worker would not have asked for a wake-up"
