"""Unfinished checksums: found, told from finished ones, finished; scapy is the judge."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet as Scapy
from scapy.packet import Raw

from pronghorn.compiled import bounds
from pronghorn.ports.offload import checksum_place, complete_checksum, is_partial, unfinish_checksum

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
LAYERS3 = {
    "ipv4": IP(src="10.1.2.3", dst="192.0.2.77"),
    "ipv4 options": IP(src="10.1.2.3", dst="192.0.2.77", options=[b"\x94\x04\0\0"]),
    "ipv6": IPv6(src="2001:db8::1", dst="2001:db8:ffff::2"),
    "ipv6 extensions": IPv6(src="2001:db8::1", dst="2001:db8:ffff::2") / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt(),
}
TAGS = {"plain": ETHER, "tagged": ETHER / Dot1Q(vlan=7), "twice": ETHER / Dot1Q(vlan=7) / Dot1Q(vlan=8)}
LAYERS4 = {"tcp": TCP(sport=1234, dport=80, flags="A"), "udp": UDP(sport=1234, dport=53)}


class Frame:
    """Octets that compiled code can read, and that the bounds-check mode knows."""

    def __init__(self, octets: bytes) -> None:
        self._buffer = (ctypes.c_uint8 * max(1, len(octets))).from_buffer_copy(octets or b"\0")
        self.address, self.length = ctypes.addressof(self._buffer), len(octets)
        bounds.register(self.address, max(1, len(octets)), 0, "frame")

    def __del__(self) -> None:
        bounds.unregister(self.address)

    @property
    def octets(self) -> bytes:
        return bytes(self._buffer)


def build(tag: str, three: str, four: str, payload: bytes) -> Scapy:
    return TAGS[tag] / LAYERS3[three] / LAYERS4[four] / Raw(payload)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("three", LAYERS3)
@pytest.mark.parametrize("four", LAYERS4)
def test_unfinish_and_finish(tag: str, three: str, four: str) -> None:
    for payload in (b"", b"x", b"hello", bytes(range(256)) * 4):
        wanted = bytes(build(tag, three, four, payload))
        frame = Frame(wanted)
        assert not is_partial(frame.address, frame.length)
        unfinish_checksum(frame.address, frame.length)
        assert frame.octets != wanted
        assert is_partial(frame.address, frame.length)
        complete_checksum(frame.address, frame.length)
        assert frame.octets == wanted
        start, offset, family = checksum_place(frame.address, frame.length)
        assert start == len(wanted) - len(payload) - (20 if four == "tcp" else 8)
        assert (offset, family) == (16 if four == "tcp" else 6, 4 if "ipv4" in three else 6)


@given(payload=st.binary(max_size=64), sport=st.integers(0, 65535), seq=st.integers(0, 2**32 - 1))
def test_finished_by_chance(payload: bytes, sport: int, seq: int) -> None:
    """The rare coincidence, provoked: two octets of payload are chosen so that the checksum is the pseudo sum."""
    probe = Frame(bytes(build("plain", "ipv4", "tcp", b"\0\0" + payload)))
    unfinish_checksum(probe.address, probe.length)
    pseudo = int.from_bytes(probe.octets[50:52], "big")
    body = TCP(sport=sport, dport=80, seq=seq, chksum=0)
    octets = bytearray(bytes(ETHER / LAYERS3["ipv4"] / body / Raw(b"\0\0" + payload)))
    frame = Frame(bytes(octets))
    complete_checksum(frame.address, frame.length)
    now = int.from_bytes(frame.octets[50:52], "big")
    octets[54:56] = ((now - pseudo) % 0xFFFF).to_bytes(2, "big")  # raises the sum by what the checksum is to fall
    frame = Frame(bytes(octets))
    complete_checksum(frame.address, frame.length)
    wanted = frame.octets
    assert is_partial(frame.address, frame.length)
    complete_checksum(frame.address, frame.length)
    assert frame.octets == wanted


@pytest.mark.parametrize("three", LAYERS3)
def test_no_checksum_in_sight(three: str) -> None:
    base = ETHER / LAYERS3[three]
    frames = [bytes(ETHER / ARP()), bytes(base / Raw(bytes(40))), b"\0" * 14]
    if three == "ipv4":
        frames.append(bytes(ETHER / IP(src="10.1.2.3", dst="192.0.2.77", flags="MF") / UDP() / Raw(bytes(64))))
    if three == "ipv6":
        frames.append(bytes(base / IPv6ExtHdrFragment(m=1) / UDP() / Raw(bytes(64))))
    for octets in frames:
        frame = Frame(octets)
        assert not is_partial(frame.address, frame.length)
        assert checksum_place(frame.address, frame.length) == (0, 0, 0)
        complete_checksum(frame.address, frame.length)
        assert frame.octets == octets


@pytest.mark.parametrize("three", LAYERS3)
@pytest.mark.parametrize("four", LAYERS4)
def test_truncated_anywhere(three: str, four: str) -> None:
    whole = bytes(build("tagged", three, four, b"payload"))
    for end in range(len(whole)):
        frame = Frame(whole[:end])
        assert not is_partial(frame.address, frame.length)
        complete_checksum(frame.address, frame.length)
        assert frame.octets[:end] == whole[:end]


@given(octets=st.binary(max_size=120), three=st.sampled_from(["ipv4", "ipv6"]))
def test_garbage_stays_inside(octets: bytes, three: str) -> None:
    """Any octets behind an EtherType: nothing outside the frame is read or written (the bounds-check mode sees it)."""
    frame = Frame(bytes(12) + (b"\x08\x00" if three == "ipv4" else b"\x86\xdd") + octets)
    start, offset, _ = checksum_place(frame.address, frame.length)
    assert start + offset <= max(0, frame.length - 2)
    is_partial(frame.address, frame.length)
    complete_checksum(frame.address, frame.length)


def test_no_udp_checksum_is_not_unfinished() -> None:
    frame = Frame(bytes(ETHER / LAYERS3["ipv4"] / UDP(chksum=0) / Raw(b"abc")))
    assert not is_partial(frame.address, frame.length)
