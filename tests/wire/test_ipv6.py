"""IPv6 headers."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import checksum, ipv6
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.text import format_mac, parse_ip6
from tests.wire import judges
from tests.wire.support import NAMES, octets_at, place, vectors

PACKET = vectors("frames")["udp6"][14:]
addresses = st.ip_addresses(v=6).map(str)


def judge(packet: bytes) -> str:
    return NAMES[ipv6.check(place(packet), len(packet))]


@given(st.integers(0, 255), st.integers(0, 0xFFFFF), st.integers(0, 0xFFFF), st.integers(0, 255), addresses, addresses)
def test_emit_and_scapy_agree(tc: int, label: int, length: int, octet: int, src: str, dst: str) -> None:
    address = place(bytes(40))
    ipv6.emit(address, tc << 20 | label, length, octet, 255 - octet, *parse_ip6(src), *parse_ip6(dst))
    wanted = judges.IPv6(tc=tc, fl=label, plen=length, nh=octet, hlim=255 - octet, src=src, dst=dst)
    assert octets_at(address, 40) == bytes(wanted)
    ip = IPv6(address)
    assert (ipv6.traffic_class(ip), ipv6.flow_label(ip), ip.length) == (tc, label, length)
    assert (ip.next_header, ip.hop_limit) == (octet, 255 - octet)
    assert (ip.src_hi, ip.src_lo, ip.dst_hi, ip.dst_lo) == (*parse_ip6(src), *parse_ip6(dst))


@given(addresses, addresses, addresses, addresses)
def test_rewriting_returns_the_change_of_the_pseudo_header(src: str, dst: str, to_src: str, to_dst: str) -> None:
    def total(a: str, b: str) -> int:
        return checksum.finish(checksum.pseudo6(*parse_ip6(a), *parse_ip6(b), 6, 20))

    cases: list[tuple[str, str, Callable[[IPv6], int]]] = [
        (to_src, to_dst, lambda ip: ipv6.rewrite_addresses(ip, *parse_ip6(to_src), *parse_ip6(to_dst))),
        (to_src, dst, lambda ip: ipv6.rewrite_source(ip, *parse_ip6(to_src))),
        (src, to_dst, lambda ip: ipv6.rewrite_destination(ip, *parse_ip6(to_dst))),
    ]
    for new_src, new_dst, rewrite in cases:
        address = place(bytes(judges.IPv6(src=src, dst=dst)))
        change = rewrite(IPv6(address))
        assert octets_at(address, 40) == bytes(judges.IPv6(src=new_src, dst=new_dst))
        assert checksum.apply(total(src, dst), change) == total(new_src, new_dst)


def test_one_hop_less() -> None:
    ip = IPv6(place(PACKET))
    ipv6.decrement_hop_limit(ip)
    assert ip.hop_limit == 63


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (PACKET, "GOOD"),
        (PACKET + bytes(3), "GOOD"),
        (PACKET[:39], "IPV6_TRUNCATED"),
        (b"\x40" + PACKET[1:], "IPV6_BAD_VERSION"),
        (PACKET[:-1], "IPV6_BAD_LENGTH"),
        (PACKET[:4] + b"\xff\xff" + PACKET[6:], "IPV6_BAD_LENGTH"),
    ],
)
def test_check(packet: bytes, reason: str) -> None:
    assert judge(packet) == reason


@pytest.mark.parametrize(
    ("src", "dst", "reason"),
    [
        ("2001:db8::1", "2001:db8::2", "GOOD"),
        ("fe80::1", "ff02::1", "GOOD"),
        ("64:ff9b::192.0.2.1", "2001:db8::2", "GOOD"),
        ("2001:db8::1", "2001:db8::1", "IPV6_LAND"),
        ("::", "ff02::1:ff00:1", "IPV6_UNSPECIFIED_SOURCE"),
        ("::1", "2001:db8::1", "IPV6_MARTIAN_SOURCE"),
        ("::ffff:192.0.2.1", "2001:db8::1", "IPV6_MARTIAN_SOURCE"),
        ("ff02::1", "2001:db8::1", "IPV6_MARTIAN_SOURCE"),
        ("2001:db8::1", "::", "IPV6_MARTIAN_DESTINATION"),
        ("2001:db8::1", "::1", "IPV6_MARTIAN_DESTINATION"),
        ("2001:db8::1", "::ffff:192.0.2.1", "IPV6_MARTIAN_DESTINATION"),
        ("2001:db8::1", "ff01::1", "IPV6_MARTIAN_DESTINATION"),
        ("2001:db8::1", "ff00::1", "IPV6_MARTIAN_DESTINATION"),
    ],
)
def test_addresses(src: str, dst: str, reason: str) -> None:
    ip = IPv6(place(bytes(judges.IPv6(src=src, dst=dst))))
    assert NAMES[ipv6.check_addresses(ip)] == reason


@given(st.ip_addresses(v=6))
def test_classes_agree_with_the_standard_library(ip: ipaddress.IPv6Address) -> None:
    hi, _ = parse_ip6(str(ip))
    assert ipv6.is_multicast(hi) == ip.is_multicast
    assert ipv6.is_link_local(hi) == (ip in ipaddress.ip_network("fe80::/10"))


def test_groups() -> None:
    _, lo = parse_ip6("2001:db8::1:800:200e:8c6c")
    assert (ipv6.ALL_NODES_HI, ipv6.solicited_node_lo(lo)) == parse_ip6("ff02::1:ff0e:8c6c")  # RFC 4291 2.7.1
    assert format_mac(ipv6.group_mac(ipv6.solicited_node_lo(lo))) == "33:33:ff:0e:8c:6c"
    assert parse_ip6("ff02::2") == (ipv6.ALL_NODES_HI, ipv6.ALL_ROUTERS_LO)
