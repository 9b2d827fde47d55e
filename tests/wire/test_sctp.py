"""SCTP headers: what scapy writes is good, and each way to be bad has its reason."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from pronghorn.wire import sctp
from pronghorn.wire.reasons import (
    GOOD,
    SCTP_BAD_CHUNK,
    SCTP_BAD_INIT,
    SCTP_BAD_PORT,
    SCTP_BAD_TAG,
    SCTP_TRUNCATED,
)
from tests.wire import judges as j

INIT = j.SCTPChunkInit(init_tag=7, a_rwnd=9999, n_out_streams=2, n_in_streams=2, init_tsn=1)
DATA = j.SCTPChunkData(data=b"seven..", tsn=1)


def packet(*chunks: Any, **fields: Any) -> bytes:
    made = j.SCTP(**{"sport": 1000, "dport": 80, "tag": 5, **fields})
    for chunk in chunks:
        made /= chunk
    return bytes(made)


def address(octets: bytes) -> tuple[Any, int]:
    buffer = ctypes.create_string_buffer(octets, len(octets) + 1)
    return buffer, ctypes.addressof(buffer)


CASES = {
    "init": (packet(INIT, tag=0), GOOD),
    "data": (packet(DATA), GOOD),
    "two": (packet(j.SCTPChunkCookieEcho(cookie=b"1234"), DATA), GOOD),
    "header-alone": (packet(), SCTP_TRUNCATED),
    "half-a-chunk": (packet(DATA)[:15], SCTP_TRUNCATED),
    "no-sport": (packet(DATA, sport=0), SCTP_BAD_PORT),
    "no-dport": (packet(DATA, dport=0), SCTP_BAD_PORT),
    "length-3": (packet(j.SCTPChunkCookieAck(len=3)), SCTP_BAD_CHUNK),
    "length-0": (packet(j.SCTPChunkCookieAck(len=0)), SCTP_BAD_CHUNK),
    "beyond": (packet(j.SCTPChunkCookieAck(len=5)), SCTP_BAD_CHUNK),
    "short-init": (packet(j.SCTPChunkCookieAck(type=1), tag=0), SCTP_BAD_INIT),
    "init-with-data": (packet(INIT, DATA, tag=0), SCTP_BAD_INIT),
    "init-with-tag": (packet(INIT), SCTP_BAD_TAG),
    "data-without-tag": (packet(DATA, tag=0), SCTP_BAD_TAG),
}


@pytest.mark.parametrize("name", CASES)
def test_check(name: str) -> None:
    octets, reason = CASES[name]
    buffer, at = address(octets)
    assert sctp.check(at, len(octets)) == reason
    assert buffer.raw[:-1] == octets


def test_kinds_stop_at_what_is_not_whole_and_after_a_limit() -> None:
    octets = packet(j.SCTPChunkCookieEcho(cookie=b"12345"), DATA, j.SCTPChunkShutdown())
    _, at = address(octets)
    assert sctp.kinds(at, len(octets)) == 1 << sctp.COOKIE_ECHO | 1 << sctp.DATA | 1 << sctp.SHUTDOWN
    assert sctp.kinds(at, len(octets) - 1) == 1 << sctp.COOKIE_ECHO | 1 << sctp.DATA
    many = packet(*[j.SCTPChunkCookieAck()] * sctp.LIMIT, j.SCTPChunkAbort())
    _, at = address(many)
    assert sctp.kinds(at, len(many)) == 1 << sctp.COOKIE_ACK
    strange = packet(j.SCTPChunkCookieAck(type=0xC1))
    _, at = address(strange)
    assert sctp.kinds(at, len(strange)) == 0


@pytest.mark.parametrize("octets", [0, 1, 3, 1000])
def test_ports_change_with_the_checksum_that_scapy_gives(octets: int) -> None:
    before = packet(j.SCTPChunkData(data=bytes(octets), tsn=1))
    buffer, at = address(before)
    assert sctp.sum_of(at, len(before)) == sctp.SCTP(at).checksum
    ports = int.from_bytes((4321).to_bytes(2, "big") + (8080).to_bytes(2, "big"), "little")
    sctp.rewrite_ports(at, len(before), ports)
    assert buffer.raw[:-1] == packet(j.SCTPChunkData(data=bytes(octets), tsn=1), sport=4321, dport=8080)
