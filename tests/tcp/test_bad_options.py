"""Bad headers and options, to a listener and to a connection: rows 3 to 6 and 27 of the bad inputs.

Each case names the vulnerabilities it stands for.
"""

from __future__ import annotations

import errno
import struct

import pytest

from pronghorn.wire.tcp import ACK, RST, SYN, URG
from tests.tcp.victim import MSS_1400, Peer, Victim, parse


# CVE-2020-24341, CVE-2018-16523
@pytest.mark.parametrize(
    ("offset", "verdict"), [(1, "tcp_bad_offset"), (4, "tcp_bad_offset"), (15, "tcp_offset_beyond")]
)
def test_data_offset_is_impossible(victim: Victim, offset: int, verdict: str) -> None:
    peer = victim.peer()
    assert peer.send(b"octets", offset=offset) == verdict
    assert peer.tcb.octets_in == 0
    assert peer.heard() == []
    assert peer.send(b"octets") == "delivered"


# CVE-2020-24337, CVE-2020-13988, CVE-2018-16524
BAD = {
    "length-0": b"\xfd\0\0\0",
    "length-1": b"\xfd\1\0\0",
    "past-end": b"\xfd\x09\0\0",
    "kind-alone-at-the-end": b"\1\1\1\xfd",
    "mss-length-0": b"\2\0\0\0",
    "sack-past-end": b"\5\x22\0\0",
    "timestamps-length-0": b"\x08\0\0\0",
}


@pytest.mark.parametrize("options", BAD.values(), ids=BAD)
def test_option_length_in_a_syn(victim: Victim, options: bytes) -> None:
    peer = victim.peer(options=MSS_1400 + options)
    assert peer.tcb.peer_mss == 1400
    assert victim.counter("InErrs") == 1


@pytest.mark.parametrize("options", BAD.values(), ids=BAD)
def test_option_length_in_data(victim: Victim, options: bytes) -> None:
    peer = victim.peer()
    assert peer.send(b"hello", options=options) == "delivered"
    assert victim.read(peer.number) == b"hello"


# CVE-2018-16523 (division by zero), CVE-2019-11479 (work for tiny segments)
@pytest.mark.parametrize("mss", [0, 1, 8, 48, 65535])
def test_mss(victim: Victim, mss: int) -> None:
    peer = victim.peer(options=b"\2\4" + struct.pack("!H", mss))
    assert 64 <= peer.tcb.mss <= 1460
    assert victim.write(peer.number, 6400) == 6400
    victim.turn()
    segments = peer.heard()
    assert 1 <= len(segments) <= 10
    assert all(64 <= len(segment.payload) <= 1460 for segment in segments)


@pytest.mark.parametrize("scale", [14, 15, 255])
def test_window_scale(victim: Victim, scale: int) -> None:
    peer = victim.peer(options=MSS_1400 + bytes((1, 3, 3, scale)))
    assert peer.tcb.snd_scale == 14
    assert peer.send(window=65535) == "delivered"
    assert peer.tcb.snd_window == 65535 << 14


# CVE-2020-17437, CVE-2021-31400, CVE-2019-12255, -12260, -12261, -12263, CVE-2017-6214, WinNuke
@pytest.mark.parametrize("urgent", [0, 1, 5, 6, 1000, 65535])
@pytest.mark.parametrize("payload", [b"", b"hello"])
def test_urgent_pointer(victim: Victim, urgent: int, payload: bytes) -> None:
    peer = victim.peer()
    assert peer.send(payload, flags=ACK | URG, urgent=urgent) == "delivered"
    assert peer.send(b"again", seq=len(payload), flags=ACK | URG, urgent=urgent) == "delivered"
    everything = payload + b"again"
    first, second = max(urgent - 1, 0), max(urgent - 1, 0) + len(payload)  # where the pointers lead
    without = [
        bytes(octet for place, octet in enumerate(everything) if place not in left_out)
        for left_out in ((), (first,), (second,), (first, second))
    ]
    assert read_all(victim, peer) in without
    assert victim.read(peer.number) == -errno.EAGAIN
    assert peer.send(b"more", seq=len(everything)) == "delivered"
    assert read_all(victim, peer) in (b"more", b"ore", b"mre", b"moe", b"mor")


def read_all(victim: Victim, peer: Peer) -> bytes:
    got = b""
    while isinstance(read := victim.read(peer.number), bytes) and read:
        got += read
    return got


def test_urgent_pointer_in_a_syn(victim: Victim) -> None:
    victim.listen()
    peer = Peer(victim)
    assert peer.send(b"early", flags=SYN | URG, urgent=65535) == "delivered"
    assert peer.heard()[0].ack == peer.next + 1 & 0xFFFF_FFFF
    assert peer.send(seq=1, flags=RST) == "tcp_reset"


@pytest.mark.parametrize("wrong", [0, 1, 0x8000, 0xFFFF])
def test_checksum(victim: Victim, wrong: int) -> None:
    peer = victim.peer()
    frame = bytearray(peer.frame(b"hello"))
    at = 34 + 16 if victim.family == 4 else 54 + 16
    right = struct.unpack_from("!H", frame, at)[0]
    struct.pack_into("!H", frame, at, right ^ wrong if wrong else 0)
    assert victim.verdict(bytes(frame)) == "tcp_bad_checksum"
    assert peer.tcb.octets_in == 0
    assert peer.heard() == []


@pytest.mark.parametrize("flags", [0, 3, 6, 7, 32, 0x29, 0xFF, 0x2B])
def test_flags_that_nobody_sends(victim: Victim, flags: int) -> None:
    """Null, SYN with FIN or RST, Christmas trees: to a connection and to a listener."""
    peer = victim.peer()
    before = victim.in_use()
    verdict = peer.send(b"hello", flags=flags)
    assert verdict in ("tcp_bad_flags", "tcp_bad_ack")
    stranger = Peer(victim)
    stranger.send(flags=flags)
    assert victim.in_use() == before
    assert parse(peer.frame()) is not None
