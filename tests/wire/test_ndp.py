"""Neighbour discovery."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.wire import icmpv6, ndp
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.ndp import NDOptions, Neighbour, Prefix, Redirect, RouterAdvertisement
from pronghorn.wire.text import format_mac, parse_ip6
from tests.wire import judges
from tests.wire.support import NAMES, octets_at, place, scratch, vectors

FRAMES = vectors("frames")
MAC = 0x0200_0000_0001
v6 = st.ip_addresses(v=6).map(str)


def check(packet: bytes) -> tuple[str, NDOptions]:
    """The message in an IPv6 packet without extension headers."""
    options = NDOptions(scratch(NDOptions.SIZE))
    address = place(packet)
    return NAMES[ndp.check(IPv6(address), address + 40, len(packet) - 40, options)], options


def built(message: object, src: str = "fe80::1", dst: str = "fe80::2", hlim: int = 255) -> bytes:
    return bytes(judges.IPv6(src=src, dst=dst, hlim=hlim) / message)


def raw(kind: int, units: int, octets: int = 8) -> object:
    """An option of this kind that states this size."""
    return judges.Raw(bytes([kind, units]) + bytes(octets - 2))


def test_a_neighbour_solicitation() -> None:
    reason, options = check(FRAMES["ns"][14:])
    assert (reason, options.present, options.source) == ("GOOD", ndp.HAS_SOURCE, MAC)


def test_a_neighbour_advertisement() -> None:
    packet = FRAMES["na"][14:]
    reason, options = check(packet)
    assert (reason, options.present, options.target) == ("GOOD", ndp.HAS_TARGET, 0x0200_0000_0002)
    message = Neighbour(place(packet) + 40)
    assert message.flags == ndp.FLAG_ROUTER | ndp.FLAG_SOLICITED | ndp.FLAG_OVERRIDE
    assert (message.target_hi, message.target_lo) == parse_ip6("fe80::2")


def test_a_router_advertisement() -> None:
    packet = FRAMES["ra"][14:]
    reason, options = check(packet)
    assert reason == "GOOD"
    assert options.present == ndp.HAS_SOURCE | ndp.HAS_MTU | ndp.HAS_PREFIX
    assert (options.source, options.mtu, options.prefixes) == (MAC, 1500, 1)
    prefix = Prefix(options.prefix)
    assert (prefix.prefix_hi, prefix.prefix_lo, prefix.prefix_length) == (*parse_ip6("2001:db8::"), 64)
    message = RouterAdvertisement(place(packet) + 40)
    assert (message.hop_limit, message.lifetime, message.reachable, message.retransmit) == (64, 1800, 30000, 1000)


def test_a_redirect() -> None:
    packet = FRAMES["redirect"][14:]
    reason, options = check(packet)
    assert (reason, options.present) == ("GOOD", ndp.HAS_TARGET | ndp.HAS_REDIRECTED)
    message = Redirect(place(packet) + 40)
    assert (message.target_hi, message.target_lo) == parse_ip6("fe80::3")
    assert (message.destination_hi, message.destination_lo) == parse_ip6("2001:db8:1::2")
    assert octets_at(options.redirected, 2) == b"\x04\x06"


@given(v6, v6, v6, st.integers(1, (1 << 48) - 1), st.integers(0, 7))
def test_emit_and_scapy_agree(src: str, dst: str, target: str, mac: int, flags: int) -> None:
    ip = judges.IPv6(src=src, dst=dst, hlim=255)
    address = place(bytes(40 + 32))
    asking = judges.ICMPv6ND_NS(tgt=target) / judges.ICMPv6NDOptSrcLLAddr(lladdr=format_mac(mac))
    telling = judges.ICMPv6ND_NA(tgt=target, R=flags >> 2, S=flags >> 1 & 1, O=flags & 1)
    telling /= judges.ICMPv6NDOptDstLLAddr(lladdr=format_mac(mac))
    for kind, bits, message in (
        (icmpv6.NEIGHBOUR_SOLICITATION, 0, asking),
        (icmpv6.NEIGHBOUR_ADVERTISEMENT, flags << 29, telling),
    ):
        wanted = bytes(ip / message)
        place(wanted[:40] + bytes(32))
        assert ndp.emit_neighbour(IPv6(address), address + 40, kind, bits, *parse_ip6(target), mac) == 32
        assert octets_at(address, 72) == wanted


def test_emit_a_probe_and_a_router_solicitation() -> None:
    for name, octets in (("ns-probe", 24), ("rs", 16)):
        wanted = FRAMES[name][14:]
        address = place(wanted[:40] + bytes(octets))
        if name == "rs":
            assert ndp.emit_router_solicitation(IPv6(address), address + 40, MAC) == octets
        else:
            kind = icmpv6.NEIGHBOUR_SOLICITATION
            assert ndp.emit_neighbour(IPv6(address), address + 40, kind, 0, *parse_ip6("fe80::2"), 0) == octets
        assert octets_at(address, len(wanted)) == wanted


NS, NA = judges.ICMPv6ND_NS(tgt="fe80::2"), judges.ICMPv6ND_NA(tgt="fe80::2", S=1)
RS, RA = judges.ICMPv6ND_RS(), judges.ICMPv6ND_RA()
SOURCE = judges.ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01")
HOP = judges.ICMPv6ND_Redirect(tgt="fe80::3", dst="2001:db8::1")

MALFORMED = [
    (built(NS, hlim=254), "ND_HOP_LIMIT"),
    (built(NA, hlim=64), "ND_HOP_LIMIT"),
    (built(RA, hlim=1), "ND_HOP_LIMIT"),
    (built(judges.ICMPv6ND_NS(tgt="fe80::2", code=1)), "ND_BAD_CODE"),
    (built(NS)[:-1], "ND_TRUNCATED"),
    (built(NA)[:47], "ND_TRUNCATED"),
    (built(RA)[:55], "ND_TRUNCATED"),
    (built(HOP)[:79], "ND_TRUNCATED"),
    # options
    (built(NS / raw(1, 0)), "ND_OPTION_ZERO"),
    (built(NS / SOURCE / raw(99, 0)), "ND_OPTION_ZERO"),
    (built(RA / raw(25, 0, 24)), "ND_OPTION_ZERO"),
    (built(NS / raw(1, 2)), "ND_OPTION_BEYOND"),
    (built(NS / raw(1, 1, 7)), "ND_OPTION_BEYOND"),
    (built(NS / SOURCE / judges.Raw(b"\1")), "ND_OPTION_BEYOND"),
    (built(RA / raw(3, 255, 32)), "ND_OPTION_BEYOND"),
    (built(NS / raw(1, 2, 16)), "ND_OPTION_LENGTH"),
    (built(RA / raw(3, 3, 24)), "ND_OPTION_LENGTH"),
    (built(RA / raw(5, 2, 16)), "ND_OPTION_LENGTH"),
    (built(RA / raw(25, 4, 32)), "ND_OPTION_LENGTH"),  # even: CVE-2020-16898
    (built(RA / raw(25, 1)), "ND_OPTION_LENGTH"),
    (built(HOP / raw(4, 1)), "ND_OPTION_LENGTH"),
    # addresses
    (built(judges.ICMPv6ND_NS(tgt="ff02::1")), "ND_BAD_TARGET"),
    (built(judges.ICMPv6ND_NS(tgt="::")), "ND_BAD_TARGET"),
    (built(judges.ICMPv6ND_NA(tgt="ff02::1")), "ND_BAD_TARGET"),
    (built(judges.ICMPv6ND_NA(tgt="::1")), "ND_BAD_TARGET"),
    (built(NS, src="::"), "ND_BAD_DESTINATION"),
    (built(NS, src="::", dst="ff02::1:ff00:3"), "ND_BAD_DESTINATION"),
    (built(NS / SOURCE, src="::", dst="ff02::1:ff00:2"), "ND_OPTION_SOURCE"),
    (built(RS / SOURCE, src="::", dst="ff02::2"), "ND_OPTION_SOURCE"),
    (built(NA, src="::"), "ND_BAD_SOURCE"),
    (built(NA, dst="ff02::1"), "ND_BAD_DESTINATION"),
    (built(RA, src="2001:db8::1"), "ND_BAD_SOURCE"),
    (built(HOP, src="2001:db8::1"), "ND_BAD_SOURCE"),
    (built(judges.ICMPv6ND_Redirect(tgt="fe80::3", dst="ff02::1")), "ND_BAD_DESTINATION"),
    (built(judges.ICMPv6ND_Redirect(tgt="2001:db8::3", dst="2001:db8::1")), "ND_BAD_TARGET"),
]


@pytest.mark.parametrize(("packet", "reason"), MALFORMED)
def test_malformed(packet: bytes, reason: str) -> None:
    assert check(packet)[0] == reason


@pytest.mark.parametrize(
    "packet",
    [
        built(RS, src="::", dst="ff02::2"),
        built(judges.ICMPv6ND_NA(tgt="fe80::2", S=0), dst="ff02::1"),
        built(judges.ICMPv6ND_Redirect(tgt="2001:db8::1", dst="2001:db8::1")),
        built(NS / raw(99, 3, 24) / SOURCE),
        built(RA / raw(25, 5, 40)),
    ],
)
def test_good(packet: bytes) -> None:
    assert check(packet)[0] == "GOOD"


@given(st.integers(133, 137), st.binary(max_size=90))
def test_arbitrary_octets_end_with_a_reason(kind: int, junk: bytes) -> None:
    packet = bytes(judges.IPv6(src="fe80::1", dst="fe80::2", hlim=255)) + bytes([kind, 0]) + junk
    assert check(packet)[0] in NAMES
