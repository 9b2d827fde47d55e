"""Addresses as text."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import text


@given(st.integers(0, (1 << 48) - 1))
def test_mac_round_trip(mac: int) -> None:
    assert text.parse_mac(text.format_mac(mac)) == mac


def test_mac_forms() -> None:
    assert text.parse_mac("02-00-00-00-00-0A") == 0x0200_0000_000A
    assert text.parse_mac("2:0:0:0:0:a") == 0x0200_0000_000A
    assert text.format_mac(0x0200_0000_000A) == "02:00:00:00:00:0a"


@pytest.mark.parametrize("wrong", ["", "02:00:00:00:00", "02:00:00:00:00:001", "02:00:00:00:00:0g", "1:2:3:4:5:-6"])
def test_wrong_mac(wrong: str) -> None:
    with pytest.raises(ValueError, match="not an Ethernet address"):
        text.parse_mac(wrong)


@given(st.ip_addresses(v=4))
def test_ip4_round_trip(ip: ipaddress.IPv4Address) -> None:
    assert text.parse_ip4(str(ip)) == int(ip)
    assert text.format_ip4(int(ip)) == str(ip)


@given(st.ip_addresses(v=6))
def test_ip6_round_trip(ip: ipaddress.IPv6Address) -> None:
    hi, lo = text.parse_ip6(str(ip))
    assert all(-(1 << 63) <= half < 1 << 63 for half in (hi, lo))
    assert text.format_ip6(hi, lo) == str(ip)


@pytest.mark.parametrize("wrong", ["", "::1::", "192.0.2.1", "fe80::1%eth0"])
def test_wrong_ip6(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"[Aa]ddress|expected|permitted|At least|octet|zone"):
        text.parse_ip6(wrong)
