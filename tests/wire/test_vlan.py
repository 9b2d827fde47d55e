"""VLAN tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import vlan
from pronghorn.wire.ethernet import Ethernet
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN
from tests.wire.judges import Dot1Q, Ether
from tests.wire.support import judge, octets_at, place, vectors

FRAMES = vectors("frames")


def test_payload_behind_one_and_two_tags() -> None:
    assert vlan.payload(place(FRAMES["udp4"])) == (ETHERTYPE_IPV4, 14)
    assert vlan.payload(place(FRAMES["vlan-udp4"])) == (ETHERTYPE_IPV4, 18)
    assert vlan.payload(place(FRAMES["qinq-tcp6"])) == (ETHERTYPE_IPV6, 22)


def test_the_outer_tag() -> None:
    assert vlan.outer(place(FRAMES["vlan-udp4"])) == 5 << vlan.PRIORITY_SHIFT | 100
    assert vlan.outer(place(FRAMES["qinq-tcp6"])) & vlan.IDENTIFIER == 7


@given(st.integers(0, 7), st.integers(0, 1), st.integers(0, 4094))
def test_push_is_what_scapy_builds_and_pop_undoes_it(priority: int, eligible: int, identifier: int) -> None:
    plain = FRAMES["udp4"]
    address = place(bytes(4) + plain) + 4
    moved = vlan.push(address, ETHERTYPE_VLAN, priority << vlan.PRIORITY_SHIFT | eligible << 12 | identifier)
    parsed = Ether(plain)
    tag = Dot1Q(prio=priority, dei=eligible, vlan=identifier, type=ETHERTYPE_IPV4)
    wanted = bytes(Ether(src=parsed.src, dst=parsed.dst, type=ETHERTYPE_VLAN) / tag / plain[14:])
    assert octets_at(moved, len(plain) + 4) == wanted
    assert vlan.check(moved, len(wanted)) == 0
    back = vlan.pop(moved)
    assert octets_at(back, len(plain)) == plain


def test_emit_writes_a_tag() -> None:
    address = place(bytes(18))
    Ethernet(address).ethertype = ETHERTYPE_VLAN
    vlan.emit(address + 14, 42, ETHERTYPE_IPV6)
    assert vlan.payload(address) == (ETHERTYPE_IPV6, 18)


TAG = bytes.fromhex("81000064")
HEAD = FRAMES["udp4"][:12]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (HEAD + TAG[:2] + b"\0", "VLAN_TRUNCATED"),
        (HEAD + TAG + b"\x06\x00", "GOOD"),
        (HEAD + TAG + TAG[:2] + b"\0\1\x08", "VLAN_TRUNCATED"),
        (HEAD + TAG * 3 + b"\x08\x00" + bytes(40), "VLAN_TOO_DEEP"),
        (HEAD + bytes.fromhex("81000fff") + b"\x08\x00" + bytes(40), "VLAN_RESERVED"),
        (HEAD + TAG + b"\x00\x10" + bytes(40), "VLAN_LENGTH_FIELD"),
    ],
)
def test_malformed(frame: bytes, reason: str) -> None:
    assert judge(frame) == reason
