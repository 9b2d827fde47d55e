"""Ethernet headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import ethernet
from pronghorn.wire.ethernet import Ethernet
from pronghorn.wire.numbers import ETHERTYPE_ARP, ETHERTYPE_IPV4
from pronghorn.wire.text import format_mac
from tests.wire.judges import Ether
from tests.wire.support import judge, octets_at, place, vectors

macs = st.integers(0, (1 << 48) - 1)
FRAME = vectors("frames")["udp4"]


@given(macs, macs, st.integers(0, 0xFFFF))
def test_what_scapy_builds_reads_the_same(dst: int, src: int, ethertype: int) -> None:
    eth = Ethernet(place(bytes(Ether(dst=format_mac(dst), src=format_mac(src), type=ethertype))))
    assert (ethernet.destination(eth), ethernet.source(eth), eth.ethertype) == (dst, src, ethertype)


@given(macs, macs, st.integers(0x600, 0xFFFF))
def test_what_emit_writes_scapy_reads(dst: int, src: int, ethertype: int) -> None:
    address = place(bytes(14))
    ethernet.emit(address, dst, src, ethertype)
    parsed = Ether(octets_at(address, 14))
    assert (parsed.dst, parsed.src, parsed.type) == (format_mac(dst), format_mac(src), ethertype)


@given(macs, macs)
def test_swap_exchanges_the_addresses_and_nothing_else(dst: int, src: int) -> None:
    address = place(bytes(14))
    ethernet.emit(address, dst, src, ETHERTYPE_ARP)
    ethernet.swap(Ethernet(address))
    eth = Ethernet(address)
    assert (ethernet.destination(eth), ethernet.source(eth), eth.ethertype) == (src, dst, ETHERTYPE_ARP)


@given(macs, macs)
def test_addresses_are_set_one_by_one(dst: int, src: int) -> None:
    eth = Ethernet(place(FRAME))
    ethernet.set_destination(eth, dst)
    ethernet.set_source(eth, src)
    assert (ethernet.destination(eth), ethernet.source(eth), eth.ethertype) == (dst, src, ETHERTYPE_IPV4)


def test_groups_and_broadcast() -> None:
    assert ethernet.is_group(0x0100_5E00_0001)
    assert not ethernet.is_group(0x0200_0000_0001)
    eth = Ethernet(place(b"\xff" * 6 + FRAME[6:]))
    assert ethernet.is_group_frame(eth)
    assert ethernet.is_broadcast_frame(eth)
    ethernet.set_destination(eth, 0xFFFF_FFFF_FFFE)
    assert not ethernet.is_broadcast_frame(eth)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (FRAME[:13], "ETHERNET_RUNT"),
        (b"", "ETHERNET_RUNT"),
        (FRAME[:12] + b"\x00\x03" + bytes(46), "ETHERNET_LENGTH_FIELD"),
        (FRAME[:12] + b"\x00\x2e" + bytes(46), "ETHERNET_LENGTH_FIELD"),
        (FRAME[:12] + b"\x00\x2f" + bytes(46), "ETHERNET_BAD_LENGTH"),
        (FRAME[:12] + b"\x05\xff" + bytes(46), "ETHERNET_BAD_LENGTH"),
        (FRAME[:12] + b"\x06\x00", "GOOD"),
        (FRAME[:6] + b"\x01" + FRAME[7:12] + b"\x06\x00", "ETHERNET_GROUP_SOURCE"),
        (FRAME[:6] + b"\x01" + FRAME[7:], "ETHERNET_GROUP_SOURCE"),
    ],
)
def test_malformed(frame: bytes, reason: str) -> None:
    assert judge(frame) == reason


def test_size_leaves_room_for_two_tags() -> None:
    assert ethernet.check_size(1522, 1500) == 0
    assert ethernet.check_size(1523, 1500) != 0
