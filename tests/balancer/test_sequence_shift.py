"""Shifted sequence numbers, as scapy sees them: numbers, SACK blocks at even and odd places, checksums."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from pronghorn.balancer.forwarding.sequence_shift import shift
from pronghorn.balancer.tables import REPLY, REQUEST
from pronghorn.state.packet import CHECKSUM_PARTIAL, Packet
from pronghorn.state.verdicts import NO_CONN
from pronghorn.state.worker import Worker
from tests.balancer.frames import CLIENT, SERVICE, Seen, frame
from tests.balancer.gateway import Gateway

HERE = 0xFFFF_FFF0
"""A number that wraps round when something is added."""


def shifted(data: bytes, direction: int, deltas: tuple[int, int], flags: int = 0) -> bytes:
    """The frame after the shift."""
    out = b""

    def enter(worker: Worker, packet: Packet) -> int:
        nonlocal out
        shift(packet, direction, *deltas)
        out = ctypes.string_at(packet.data, packet.length)
        return NO_CONN

    with Gateway() as gateway:
        gateway.put(data, flags=flags, enter=enter)
    return out


def segment(family: int, flags: str = "A", options: list[Any] | None = None) -> bytes:
    data = frame(CLIENT[family], 4000, SERVICE[family], 80, flags, b"odd", options=options or [])
    start = 14 + (20 if family == 4 else 40)
    whole = bytearray(data)
    whole[start + 4 : start + 12] = HERE.to_bytes(4, "big") + (5).to_bytes(4, "big")
    whole[start + 16 : start + 18] = bytes(2)
    again = Ether(bytes(whole))
    del again[TCP].chksum
    return bytes(again)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("direction", "seq", "ack"), [(REQUEST, 0x20, 0xFFFF_FFFE), (REPLY, 0xFFFF_FFF7, 0xFFFF_FFD5)])
def test_numbers_of_both_directions_wrap_round(family: int, direction: int, seq: int, ack: int) -> None:
    seen = Seen(shifted(segment(family), direction, (0x30, 7)))
    assert (seen.layer.seq, seen.layer.ack) == (seq, ack)


@pytest.mark.parametrize("nops", [0, 1, 2, 3])
def test_blocks_at_any_place_shift_with_the_acknowledgement(nops: int) -> None:
    options = [("NOP", None)] * nops + [("SAck", (100, 200, 3, 0xFFFF_FFFF))]
    seen = Seen(shifted(segment(4, "A", options), REPLY, (10, 0)))
    [blocks] = [value for name, value in seen.layer.options if name == "SAck"]
    assert blocks == (90, 190, 0xFFFF_FFF9, 0xFFFF_FFF5)


def test_what_is_not_an_acknowledgement_stays() -> None:
    assert Seen(shifted(segment(4, "R"), REPLY, (10, 0))).layer.ack == 5


def test_a_partial_checksum_stays() -> None:
    data = segment(4)
    assert shifted(data, REQUEST, (1, 1), CHECKSUM_PARTIAL)[50:52] == data[50:52]


@pytest.mark.parametrize("tail", [b"\x05\x01\x00\x00", b"\x05\x28\x00\x00", b"\x01\x01\x01\x05", b"\x05\x00\x05\x00"])
def test_malformed_options_end_the_walk(tail: bytes) -> None:
    data = bytearray(segment(4, "A", [("NOP", None)] * 4))
    data[54:58] = tail
    assert shifted(bytes(data), REPLY, (10, 0))[54:58] == tail
