"""Frames that are written straight into a link: in order with others, until it is full, beside a partner that lies."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from pronghorn.compiled import copy
from pronghorn.memory.ring import Ring
from pronghorn.ports.direct import FULL, OTHER, ROOM, direct_begin, direct_end, direct_room
from pronghorn.ports.veth import VethQueue
from pronghorn.ports.veth_lane import LANE_DATA, LANE_RING, LaneEnd
from pronghorn.ports.veth_link import LinkQueue
from pronghorn.state.packets import finish
from pronghorn.state.transmit import transmit
from tests.ports.fabric import Fabric
from tests.ports.test_veth import udp
from tests.ports.test_veth_link import two

HEADERS = 54


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(tmp_path))


def send(fabric: Fabric, frame: bytes) -> bool:
    """The frame, its first HEADERS octets from a packet and the rest from elsewhere; False: there was no room."""
    worker = fabric.worker()
    if direct_room(worker, 0, len(frame)) != ROOM:
        return False
    packet, payload = fabric.packet(frame[:HEADERS]), ctypes.create_string_buffer(frame[HEADERS:])
    place = direct_begin(worker, 0, len(frame))
    assert place != 0
    copy(place + packet.length, ctypes.addressof(payload), len(frame) - HEADERS)
    direct_end(worker, 0, packet, place, len(frame))
    return True


def lane_of(fabric: Fabric) -> LaneEnd:
    return LinkQueue(VethQueue(fabric.queue(0).driver).link).outgoing[0]


def test_they_stay_in_order_with_those_that_wait() -> None:
    frames = [udp(number, bytes([number]) * length) for number, length in enumerate((10, 60_000, 20, 1400, 60_000))]
    with two() as (one, other):
        for frame in frames:
            if len(frame) > 1000:
                assert send(one, frame)
            else:
                packet = one.packet(frame)
                finish(one.worker(), packet, transmit(one.worker(), packet, 0))
        one.flush(0)
        assert other.take(0) == frames
        assert one.queue(0).tx_packets == len(frames) == one.count("transmitted")
        assert one.queue(0).tx_octets == sum(map(len, frames))


def test_a_full_link_says_so() -> None:
    with two() as (one, other):
        for length, most in ((60_000, LANE_DATA // 60_000), (100, LANE_RING)):
            frames = [udp(number, bytes([number & 0xFF]) * length) for number in range(600)]
            for _ in range(3):  # from other places in the lane
                sent = 0
                while send(one, frames[sent]):
                    sent += 1
                assert most - 1 <= sent <= most
                assert direct_room(one.worker(), 0, 60_000) == FULL
                assert other.take(0) == frames[:sent]
        assert one.count("transmit_full") == 0


def test_other_ports_are_not_such_links() -> None:
    with two(workers=(2, 1)) as (one, other), Fabric("veth:near", "veth:near") as alone:
        assert direct_room(one.worker(), 0, 100) == OTHER  # several queues: which one, the frame says
        assert direct_room(other.worker(), 0, 100) == OTHER
        assert direct_room(alone.worker(), 0, 100) == OTHER
    with two(second="veth:far?offload=off") as (one, other):
        assert direct_room(one.worker(), 0, 100) == OTHER
        assert direct_room(other.worker(), 0, 100) == ROOM
    with Fabric("veth:nobody") as one, Fabric("null:") as alone:
        assert direct_room(one.worker(), 0, 100) == OTHER
        assert direct_room(alone.worker(), 0, 100) == OTHER


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_partner_that_lies_breaks_the_lane(when: str) -> None:
    with two() as (one, other):
        worker, lane = one.worker(), lane_of(one)
        while send(one, udp(payload=bytes(60_000))):
            pass
        if when == "before":
            Ring(lane.ring).head = 1 << 40
        else:
            other.take(0)
            packet = one.packet(udp())
            place = direct_begin(worker, 0, 1000)
            lane.end.broken = 1  # as after a look at the ring that finds what cannot be
            direct_end(worker, 0, packet, place, 1000)
        assert direct_room(worker, 0, 60_000) == OTHER
        assert one.driver(0).statistics()["broken"] == 1
        one.send(0, udp())
        assert one.count("link_broken") == (1 if when == "before" else 2)
