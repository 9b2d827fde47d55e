"""A user-veth between two engines: both ways, several queues, whoever dies comes back, and a partner that lies."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Ether

from pronghorn.compiled import mode
from pronghorn.ports.driver import PortError
from pronghorn.ports.veth_lane import LANE_DATA, LANE_RING, SIDES
from pronghorn.ports.veth_port import VethPort
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED
from pronghorn.state.port import CHECKSUM_RX, SEGMENTATION
from tests.ports.fabric import Fabric
from tests.ports.test_veth import finished, partial, udp

SMALL_LANE = LANE_DATA // 1600


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRONGHORN_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "veth"


@contextlib.contextmanager
def two(first: str = "veth:far", second: str = "veth:far", workers: tuple[int, int] = (1, 1)) -> Iterator[list[Fabric]]:
    """Two engines joined by a link that is up."""
    with (
        Fabric(first, workers=workers[0], packets=2048, large=8) as one,
        Fabric(second, workers=workers[1], packets=2048, large=8) as other,
    ):
        greet(one, other)
        yield [one, other]


def greet(*engines: Fabric) -> None:
    """As turns do: every worker looks at its queues."""
    for _ in range(4):
        for one in engines:
            one.pass_time(0.001)
            for worker in range(one.engine.worker_count):
                one.take(0, worker)


def test_frames_pass_both_ways(runtime: Path) -> None:
    with two() as (one, other):
        for number in range(3 if mode() == "interpreted" else 40):
            frames = [udp(k, bytes([number]) * (k % 1400)) for k in range(100)]
            one.send(0, *frames)
            other.send(0, *frames[:7])
            assert other.take(0) == frames
            assert one.take(0) == frames[:7]
        assert one.queue(0).tx_octets == other.queue(0).rx_octets > 1000
        assert one.engine.ports[0].mac != other.engine.ports[0].mac
        for each in (one, other):
            assert each.driver(0).statistics() == {"link": "up", "other_end": "another process", "broken": 0}
        assert (runtime / "far" / "memory").stat().st_mode & 0o777 == 0o600
    assert not (runtime / "far").exists(), "whoever leaves last takes the files away"


def test_64_kilobytes(runtime: Path) -> None:
    frame = partial(TCP(sport=1, dport=2, flags="A"), bytes(range(256)) * 250)
    with two() as (one, other):
        for _ in range(30):
            one.send(0, frame, flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1460)
            (packet,) = other.packets(0)
            assert (packet.flags, packet.gso_size) == (CHECKSUM_PARTIAL | UNSEGMENTED, 1460)
            assert ctypes.string_at(packet.data, packet.length) == frame
            other.drop(packet)


def test_for_an_end_that_takes_no_offloads_frames_are_finished_and_cut() -> None:
    payload = bytes(range(256)) * 250
    with two(second="veth:far?offload=off") as (one, other):
        long = partial(TCP(sport=1, dport=2, flags="PA"), payload)
        one.send(0, partial(UDP(sport=1, dport=2), b"hello"), flags=CHECKSUM_PARTIAL)
        one.send(0, long, flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1460)
        pieces = [Ether(frame) for frame in other.take(0)]
        assert all(bytes(piece) == finished(piece) for piece in pieces)
        assert b"".join(bytes(piece[TCP].payload) for piece in pieces[1:]) == payload
        other.send(0, partial(UDP(sport=1, dport=2), b"hello"), flags=CHECKSUM_PARTIAL)
        assert len(one.take(0)) == 1


def test_full_lanes_refuse(runtime: Path) -> None:
    with two() as (one, other):
        for _ in range(4):
            one.send(0, *[udp()] * 200)
        assert one.count("transmit_full") == one.queue(0).tx_full == 800 - LANE_RING
        assert len(other.take(0)) == LANE_RING
        for _ in range(4):
            one.send(0, *[udp(payload=b"x" * 1500)] * 100)
        arrived = len(other.take(0))
        assert SMALL_LANE - 1 <= arrived <= LANE_DATA // 1500
        one.send(0, udp())
        assert other.take(0) == [udp()]


@pytest.mark.parametrize("workers", [(2, 2), (2, 1), (3, 2)])
def test_several_workers(workers: tuple[int, int]) -> None:
    with two(workers=workers) as (one, other):
        frames = [udp(sport) for sport in range(1000, 1100)]
        for sending, receiving, senders, receivers in ((one, other, *workers), (other, one, *workers[::-1])):
            for worker in range(senders):
                sending.send(0, *frames, worker=worker)
            shares = [receiving.take(0, worker) for worker in range(receivers)]
            assert sum(map(len, shares)) == 100 * senders
            for share in shares:
                assert all(share.count(frame) == senders for frame in share), "a flow was split"


def test_more_workers_than_queues() -> None:
    with Fabric("veth:far"), Fabric(workers=2) as other, pytest.raises(PortError, match=r"queues=2"):
        other.open("veth:far")


def test_three_is_too_many() -> None:
    with two() as (one, _), Fabric() as third:
        with pytest.raises(PortError, match="both ends"):
            third.open("veth:far")
        with pytest.raises(PortError, match="another process"):
            one.open("veth:far")


@pytest.mark.parametrize("name", ["../etc", "a/b", ".hidden", "x" * 65, "\N{SNOWMAN}"])
def test_impossible_names(name: str) -> None:
    with Fabric() as one, pytest.raises(PortError):
        one.open(f"veth:{name}")


def test_without_a_directory_it_is_for_one_engine(runtime: Path) -> None:
    runtime.write_text("in the way")
    with Fabric("veth:near") as one:
        assert one.driver(0).statistics()["link"] == "down"
        one.open("veth:near")
        one.send(0, udp())
        assert one.take(1) == [udp()]


def test_others_may_not_own_the_directory(runtime: Path) -> None:
    (runtime / "near").mkdir(parents=True, mode=0o755)
    with Fabric() as one, pytest.raises(PortError, match="0700"):
        one.open("veth:near")


def test_a_partner_in_the_own_engine_goes_first(runtime: Path) -> None:
    with Fabric("veth:near") as one:
        assert (runtime / "near").exists()
        one.open("veth:near")
        assert not (runtime / "near").exists()
        one.engine.remove_port(1)
        with Fabric("veth:near") as other:
            greet(one, other)
            one.send(0, udp())
            assert other.take(0) == [udp()]


def test_a_sleeper_is_woken() -> None:
    with two() as (one, other):
        fd = other.queue(0).fd
        waiter = select.poll()
        waiter.register(fd, select.POLLIN)
        for _ in range(3):
            other.pass_time(0.001)
            assert other.take(0) == []
            assert waiter.poll(0) == []
            one.send(0, udp())
            assert waiter.poll(0) == [(fd, select.POLLIN)]
            assert other.take(0) == [udp()]
            one.send(0, udp())
            other.pass_time(0.001)
            assert other.take(0) == [udp()]


def test_one_leaves_and_comes_back() -> None:
    with Fabric("veth:far", large=8) as one:
        for round_ in range(4):
            with Fabric("veth:far", large=8) as other:
                greet(one, other)
                one.send(0, udp(round_), udp(7))
                assert other.take(0) == [udp(round_), udp(7)]
                other.send(0, udp(8))
                if round_ % 2:
                    assert one.take(0) == [udp(8)]
                one.send(0, udp(9), udp(9))
            one.take(0)
            one.send(0, udp())
            assert one.queue(0).tx_full == round_ + 1, "nobody is there"
            assert one.driver(0).statistics()["link"] == "down"


PARTNER = """
import sys
from tests.ports.fabric import Fabric
from tests.ports.test_veth import udp
fabric = Fabric("veth:far", large=8)
print("up", flush=True)
while True:
    fabric.send(0, *fabric.take(0)[:100])
"""


def test_kill_the_partner_at_any_moment() -> None:
    with Fabric("veth:far", large=8) as one:
        for _ in range(2):
            command = [sys.executable, "-c", PARTNER]
            with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as partner:
                assert partner.stdout is not None
                partner.stdout.readline()
                echoed = 0
                for _ in range(100_000):
                    one.pass_time(0.0001)
                    one.send(0, udp(1), udp(2))
                    frames = one.take(0)
                    assert set(frames) <= {udp(1), udp(2)}
                    echoed += len(frames)
                    if echoed > 50:
                        break
                os.kill(partner.pid, signal.SIGKILL)
            assert echoed > 50
            for _ in range(LANE_RING):
                one.send(0, udp(1), udp(2))
                one.take(0)
            assert one.driver(0).statistics()["link"] == "down"
            assert one.driver(0).statistics()["broken"] == 0


WORD = st.integers(0, 2**64 - 1) | st.integers(0, 2000) | st.sampled_from([2**63, 2**63 - 1, 2**64 - 1])
PLACES = list(range(0, SIDES + 128 + 8 * 6, 8))
COMMANDS = st.one_of(st.tuples(st.sampled_from(PLACES), WORD, st.booleans()), st.sampled_from(["send", "take", "peer"]))


@settings(max_examples=10 if mode() == "interpreted" else 60)
@given(commands=st.lists(COMMANDS, max_size=30))
def test_a_partner_that_writes_anything_anywhere(commands: list[tuple[int, int, bool] | str]) -> None:
    with two() as (one, other):
        share = other.driver(0)._link.share  # type: ignore[attr-defined]
        for command in commands:
            if command == "send":
                one.send(0, udp(1), udp(2))
            elif command == "take":
                frames = one.take(0)
                assert len(frames) <= 2 * LANE_RING * 10
            elif command == "peer":
                other.take(0)
                other.send(0, udp(3))
            else:
                assert isinstance(command, tuple)
                place, value, incoming = command
                lane = share.lane("b" if incoming else "a", 0, 0)
                ctypes.c_uint64.from_address(lane + place).value = value
        other.engine.remove_port(0)
        assert other.open("veth:far") == 0
        greet(one, other)
        one.take(0)
        other.take(0)
        one.send(0, udp(5))
        other.send(0, udp(6))
        assert other.take(0) == [udp(5)], "a partner that behaves is welcome again"
        assert one.take(0) == [udp(6)]


def test_a_broken_link_says_so() -> None:
    with two() as (one, other):
        lane = other.driver(0)._link.share.lane("a", 0, 0)  # type: ignore[attr-defined]
        ctypes.c_uint64.from_address(lane + SIDES + 64).value = 9999  # it has taken what was never sent
        for _ in range(3):
            one.send(0, *[udp()] * 256)
        assert one.count("link_broken") > 0
        assert one.driver(0).statistics()["broken"] == 1


@pytest.mark.parametrize(
    "word",
    [0, 13 << 20, 65555 << 20, 60 << 20 | LANE_DATA - 59, 60 << 20 | 2 << 56, 60 << 20 | 1 << 59, 1 << 63 | 60 << 20],
)
def test_impossible_descriptors(word: int) -> None:
    with two() as (one, other):
        lane = other.driver(0)._link.share.lane("b", 0, 0)  # type: ignore[attr-defined]
        other.send(0, udp())
        ctypes.c_uint64.from_address(lane + SIDES + 128).value = word
        assert one.take(0) == []
        assert one.driver(0).statistics()["broken"] == 1


def test_an_engine_without_long_packets_does_not_consent_to_long_frames() -> None:
    with Fabric("veth:far") as one, Fabric("veth:far", large=8) as other:
        greet(one, other)
        lane = one.driver(0)._link._lanes[0]  # type: ignore[attr-defined]
        assert lane.consent == CHECKSUM_RX
        assert VethPort("x").offloads & SEGMENTATION
        payload = bytes(range(256)) * 250
        other.send(0, partial(TCP(sport=1, dport=2, flags="A"), payload), flags=6, gso=1460)
        assert b"".join(bytes(Ether(frame)[TCP].payload) for frame in one.take(0)) == payload
