"""Replay and capture: scapy and tshark write and read the files; damaged ones are refused with the place."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, PcapReader, RawPcapReader, wrpcap

from pronghorn.compiled import mode
from pronghorn.ports.driver import PortError
from pronghorn.ports.pcap_port import PcapPort
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED
from tests.ports.fabric import Fabric
from tests.ports.test_veth import finished, partial, udp

FRAMES = [udp(k, bytes([k]) * (k * 40)) for k in range(30)]
TIMES = [1_700_000_000 + 0.25 * k for k in range(30)]


def classic(frames: list[bytes], order: str = "<", magic: int = 0xA1B23C4D, link: int = 1) -> bytes:
    """A pcap file: a frame each quarter of a second."""
    octets = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    unit = 1 if magic == 0xA1B23C4D else 1000
    for number, frame in enumerate(frames):
        fraction = number % 4 * 250_000_000 // unit
        octets += struct.pack(f"{order}IIII", 1_700_000_000 + number // 4, fraction, len(frame), len(frame)) + frame
    return octets


def blocks(frames: list[bytes], order: str = "<", resolution: int | None = 9) -> bytes:
    """A pcapng file, with a block that nobody knows before each frame."""

    def block(kind: int, body: bytes) -> bytes:
        total = 12 + (len(body) + 3 & ~3)
        return struct.pack(f"{order}II", kind, total) + body.ljust(total - 12, b"\0") + struct.pack(f"{order}I", total)

    options = struct.pack(f"{order}HHB3xHH", 9, 1, resolution, 0, 0) if resolution is not None else b""
    octets = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    octets += block(1, struct.pack(f"{order}HHI", 1, 0, 0) + options)
    for number, frame in enumerate(frames):
        octets += block(0xBAD, b"skip me")
        units = (1_700_000_000 * 4 + number) * 10 ** (resolution or 6) // 4
        head = struct.pack(f"{order}IIIII", 0, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame))
        octets += block(6, head + frame)
    return octets


def raw(path: Path) -> list[tuple[bytes, Any]]:
    """The frames of a capture, as scapy reads them."""
    with RawPcapReader(str(path)) as reader:
        return list(reader)


KINDS = {
    "ns": classic(FRAMES),
    "us": classic(FRAMES, magic=0xA1B2C3D4),
    "ns big": classic(FRAMES, ">"),
    "us big": classic(FRAMES, ">", 0xA1B2C3D4),
    "ng": blocks(FRAMES),
    "ng us": blocks(FRAMES, resolution=None),
    "ng ms": blocks(FRAMES, resolution=3),
    "ng big": blocks(FRAMES, ">"),
    "ng twice": blocks(FRAMES[:7], ">") + blocks(FRAMES[7:]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_replay(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "in.pcap"
    path.write_bytes(KINDS[kind])
    with Fabric(f"pcap:{path}") as fabric:
        assert fabric.take(0) == FRAMES
        assert fabric.take(0) == []
        assert fabric.queue(0).rx_octets == sum(map(len, FRAMES))
        assert fabric.driver(0).statistics() == {"lost": 0, "frames": 30, "replayed": 30, "unfit": 0}
        fabric.send(0, udp())
        assert fabric.count("transmit_full") == 1, "there is nothing to write to"


@pytest.mark.parametrize("kind", ["us", "ns big", "ng", "ng us", "ng ms"])
def test_replay_by_the_times_in_the_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "in.pcap"
    path.write_bytes(KINDS[kind])
    with Fabric(f"pcap:{path}?speed=2") as fabric:
        assert fabric.take(0) == FRAMES[:1]
        for number in range(1, 30):
            fabric.pass_time(0.1249)
            assert fabric.take(0) == []
            fabric.pass_time(0.0001)
            assert fabric.take(0) == FRAMES[number : number + 1]


def test_replay_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "in.pcap"
    path.write_bytes(KINDS["ns"])
    with Fabric(f"pcap:{path}?repeat=on", packets=128) as fabric:
        frames: list[bytes] = []
        for _ in range(3):
            for packet in fabric.packets(0):
                frames.append(packet.length.to_bytes(2))
                fabric.drop(packet)
        wanted = [len(frame).to_bytes(2) for frame in FRAMES] * 7
        assert frames == wanted[: 3 * 64]


def test_files_of_scapy(tmp_path: Path) -> None:
    path, ng = str(tmp_path / "in.pcap"), str(tmp_path / "in.pcapng")
    wrpcap(path, [Ether(frame) for frame in FRAMES])
    with PcapNgWriter(ng) as writer:
        for frame in FRAMES:
            writer.write(Ether(frame))
    with Fabric(f"pcap:{path}", f"pcap:{ng}") as fabric:
        assert fabric.take(0) == fabric.take(1) == FRAMES


def test_capture(tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    with Fabric(f"pcap:>{path}", large=24) as fabric:
        fabric.send(0, *FRAMES[:10])
        assert len(raw(path)) == 0
        fabric.pass_time(0.2)
        fabric.take(0)
        assert len(raw(path)) == 10, "it is written after a while"
        fabric.send(0, *FRAMES[10:])
        long = partial(TCP(sport=1, dport=2, flags="A"), bytes(60_000))
        fabric.send(0, partial(UDP(sport=1, dport=2), b"x"), flags=CHECKSUM_PARTIAL)
        fabric.send(0, *[long] * 20, flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1448)
        assert fabric.queue(0).tx_packets == 51
    with PcapReader(str(path)) as reader:
        packets = list(reader)
    assert [bytes(packet) for packet in packets[:30]] == FRAMES
    assert all(bytes(packet) == finished(packet) for packet in packets)
    assert path.stat().st_mode & 0o777 == 0o600
    assert float(packets[10].time) - float(packets[0].time) == pytest.approx(0.2, abs=1e-6)


def test_capture_of_the_first_octets(tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    with Fabric(f"pcap:>{path}?snaplen=60") as fabric:
        fabric.send(0, *FRAMES)
    for (octets, facts), frame in zip(raw(path), FRAMES, strict=True):
        assert octets == frame[:60]
        assert facts.wirelen == len(frame)


def test_several_workers_write_one_file(tmp_path: Path) -> None:
    path, again = tmp_path / "out.pcap", tmp_path / "in.pcap"
    again.write_bytes(KINDS["ns"])
    with Fabric(f"pcap:{again}>{path}", workers=2) as fabric:
        assert fabric.take(0, worker=1) == []
        assert fabric.take(0, worker=0) == FRAMES
        for _ in range(5):
            for worker in range(2):
                fabric.send(0, *FRAMES, worker=worker)
    assert sorted(octets for octets, _ in raw(path)) == sorted(FRAMES * 10)


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark")
def test_tshark_reads_a_capture(tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    with Fabric(f"pcap:>{path}") as fabric:
        fabric.send(0, *FRAMES)
    command = ["tshark", "-r", str(path), "-o", "udp.check_checksum:TRUE", "-Y", "udp.checksum.status == 1"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert len(process.stdout.splitlines()) == 30


def test_a_full_disk_ends_the_capture() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    fabric = Fabric()
    with pytest.raises(PortError, match="No space"):
        fabric.open("pcap:>/dev/full")
    fabric.close()


def test_a_frame_that_no_packet_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "in.pcap"
    path.write_bytes(classic([bytes(70_000), bytes(5000), FRAMES[0]]))
    with Fabric(f"pcap:{path}", large=2) as fabric:
        assert fabric.take(0) == [bytes(5000), FRAMES[0]]
        assert fabric.queue(0).rx_errors == 1
    with Fabric(f"pcap:{path}") as fabric:
        assert fabric.take(0) == FRAMES[:1]
        assert fabric.queue(0).rx_errors == 2


def cut(octets: bytes, place: int, value: bytes) -> bytes:
    return octets[:place] + value + octets[place + len(value) :]


GOOD, NG = classic(FRAMES[:2]), blocks(FRAMES[:1])
BROKEN = {
    "empty": (b"", 0, "no capture"),
    "text": (b"#!/bin/sh\necho hello, world\n", 0, "no capture"),
    "header cut": (GOOD[:20], 0, "middle of a header"),
    "version": (cut(GOOD, 4, b"\7"), 0, "version"),
    "link type": (classic(FRAMES[:1], link=101), 0, "not Ethernet"),
    "record cut": (GOOD[:30], 24, "middle of a header"),
    "frame cut": (GOOD[:-1], 24 + 16 + len(FRAMES[0]), "middle of a frame"),
    "huge frame": (cut(GOOD, 32, b"\xff\xff\xff\xff"), 24, "more than 262144"),
    "block cut": (NG[:-1], 80, "middle of a frame"),
    "block lengths": (cut(NG, 32, b"\x18"), 28, "two lengths"),
    "no interface": (NG[:28] + NG[60:], 48, "not described"),
    "byte order": (cut(NG, 8, b"abcd"), 0, "no capture"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_damaged_files_are_refused(name: str, tmp_path: Path) -> None:
    octets, place, said = BROKEN[name]
    path = tmp_path / "in.pcap"
    path.write_bytes(octets)
    with Fabric() as fabric:
        with pytest.raises(PortError, match=said) as caught:
            fabric.open(f"pcap:{path}")
        assert f"octet {place}:" in str(caught.value)


@settings(max_examples=20 if mode() == "interpreted" else 150)
@given(kind=st.sampled_from(sorted(KINDS)), edits=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=5))))
def test_any_damage(tmp_path_factory: pytest.TempPathFactory, kind: str, edits: list[tuple[int, bytes]]) -> None:
    octets = KINDS[kind]
    for place, value in edits:
        octets = cut(octets, place, value)
    path = tmp_path_factory.getbasetemp() / "damaged.pcap"
    path.write_bytes(octets)
    fabric = SHARED.get("fabric") or SHARED.setdefault("fabric", Fabric(large=4))
    try:
        index = fabric.open(f"pcap:{path}")
    except PortError as refusal:
        assert "octet" in str(refusal)  # noqa: PT017
    else:
        fabric.take(index)
        fabric.engine.remove_port(index)


SHARED: dict[str, Fabric] = {}


def test_files_that_cannot_be_had(tmp_path: Path) -> None:
    with Fabric() as fabric:
        for device in (f"pcap:{tmp_path}/nothing", f"pcap:>{tmp_path}/no/such", "pcap:", "pcap:?speed=1"):
            with pytest.raises(PortError):
                fabric.open(device)
    for device in ("x?speed=0", "x?speed=fast", "x?snaplen=1", "x?repeat=2"):
        with pytest.raises(PortError):
            PcapPort(device)
