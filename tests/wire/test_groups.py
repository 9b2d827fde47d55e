"""IGMP and multicast listener discovery: octets of the RFCs' examples and of scapy, times as floating-point numbers."""

from __future__ import annotations

import ctypes

import pytest

from pronghorn.wire import igmp, mld
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.reasons import GOOD, IGMP_BAD_CHECKSUM, IGMP_TRUNCATED, MLD_BAD_SENDER, MLD_TRUNCATED
from tests.wire.judges import scapy_checksum
from tests.wire.support import Edge

EDGE = Edge()


class Octets:
    """Octets at an address."""

    def __init__(self, octets: bytes) -> None:
        self.buffer = ctypes.create_string_buffer(octets, max(len(octets), 1))
        self.address = ctypes.addressof(self.buffer)

    def __bytes__(self) -> bytes:
        return self.buffer.raw


def summed(octets: bytes) -> bytes:
    """An IGMP message with its checksum."""
    return octets[:2] + scapy_checksum(octets[:2] + b"\0\0" + octets[4:]).to_bytes(2, "big") + octets[4:]


QUERY3 = bytes.fromhex("11640000 ef010203 027d 0002 0a000001 0a000002")


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (summed(QUERY3), GOOD),
        (summed(QUERY3) + b"more", IGMP_BAD_CHECKSUM),
        (QUERY3, IGMP_BAD_CHECKSUM),
        (summed(QUERY3)[:19], IGMP_TRUNCATED),
        (summed(QUERY3[:8]), GOOD),
        (summed(QUERY3[:8])[:7], IGMP_TRUNCATED),
        (b"", IGMP_TRUNCATED),
        (summed(QUERY3[:10] + b"\xff\xff" + QUERY3[12:]), IGMP_TRUNCATED),
        (summed(b"\x16\0\0\0\xef\1\2\3"), GOOD),
    ],
)
def test_igmp_check(octets: bytes, reason: int) -> None:
    assert igmp.check(EDGE.place(octets), len(octets)) == reason


@pytest.mark.parametrize(
    ("octets", "version"),
    [(QUERY3, 3), (QUERY3[:8], 2), (b"\x11\0" + QUERY3[2:8], 1), (QUERY3[:12], 3), (QUERY3[:9], 0)],
)
def test_igmp_version(octets: bytes, version: int) -> None:
    assert igmp.version(igmp.Query(Octets(octets + bytes(8)).address), len(octets)) == version


@pytest.mark.parametrize(("code", "tenths"), [(0, 100), (1, 1), (127, 127), (128, 128), (0x8F, 248), (0xFF, 31744)])
def test_igmp_response_time(code: int, tenths: int) -> None:
    """RFC 3376 4.1.1: (mant | 0x10) << (exp + 3)."""
    message = Octets(bytes([0x11, code]) + bytes(10))
    assert igmp.response_time(igmp.Query(message.address)) == tenths


def test_igmp_emit() -> None:
    message = Octets(bytes(20))
    ctypes.memmove(message.address + 16, b"\x0a\0\0\1", 4)
    igmp.emit_record(message.address + 8, igmp.TO_EXCLUDE, 1, 0xEF010203)
    igmp.emit_report(message.address, 1, 20)
    assert bytes(message) == summed(bytes.fromhex("22000000 00000001 04000001 ef010203 0a000001"))
    igmp.emit_short(message.address, igmp.LEAVE, 0xEF010203)
    assert bytes(message)[:8] == summed(bytes.fromhex("17000000 ef010203"))


HEADER = bytes.fromhex("60000000 0000 00 01") + bytes.fromhex("fe80" + "00" * 13 + "01" + "ff02" + "00" * 13 + "01")
QUERY2 = bytes.fromhex("82000000 03e80000") + bytes(16) + bytes.fromhex("027d0001") + bytes(16)


@pytest.mark.parametrize(
    ("hops", "source", "octets", "reason"),
    [
        (1, "fe80", 44, GOOD),
        (1, "fe80", 24, GOOD),
        (1, "fe80", 23, MLD_TRUNCATED),
        (1, "fe80", 43, MLD_TRUNCATED),
        (2, "fe80", 44, MLD_BAD_SENDER),
        (1, "2001", 44, MLD_BAD_SENDER),
        (1, "0000", 44, MLD_BAD_SENDER),
    ],
)
def test_mld_check(hops: int, source: str, octets: int, reason: int) -> None:
    header = Octets(HEADER[:7] + bytes([hops]) + bytes.fromhex(source) + HEADER[10:])
    assert mld.check(IPv6(header.address), EDGE.place(QUERY2[:octets]), octets) == reason
    if reason == GOOD:
        assert mld.version(octets) == (2 if octets == 44 else 1)


@pytest.mark.parametrize(
    ("code", "version", "ms"),
    [(1000, 2, 1000), (32767, 2, 32767), (0x8000, 2, 32768), (0xFFFF, 2, 8387584), (0xFFFF, 1, 65535), (0, 2, 0)],
)
def test_mld_response_time(code: int, version: int, ms: int) -> None:
    """RFC 3810 5.1.3: (mant | 0x1000) << (exp + 3)."""
    message = Octets(b"\x82\0\0\0" + code.to_bytes(2, "big") + bytes(22))
    assert mld.response_time(mld.Query(message.address), version) == ms


def test_mld_emit() -> None:
    message = Octets(bytes(28))
    mld.emit_record(message.address, igmp.IS_INCLUDE, 2, 0xFF05 << 48 | 1, 0x1234)
    mld.emit_alert(message.address + 20, 58)
    record, alert = bytes(message)[:20], bytes(message)[20:]
    assert record == bytes.fromhex("01000002 ff05000000000001 0000000000001234")
    assert alert == bytes.fromhex("3a00 05020000 0100")
