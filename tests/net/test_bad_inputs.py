"""Inputs that a stack must survive, as far as net sees them: ARP, neighbour discovery, ICMP, martians.

Each test names the class of vulnerability it stands for.
"""

from __future__ import annotations

from ipaddress import ip_interface
from random import Random
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.utils import checksum

from pronghorn.compiled import mode
from pronghorn.net.configure import add_address
from pronghorn.net.path_mtu import path_mtu_find
from pronghorn.net.state import MAPPED
from pronghorn.wire.text import parse_ip4, parse_ip6
from tests.net.fixture import ANY, OWN, PEER, NetBench, advertisement, assert_rebuilds, reply, request

US4, US6, PEER4, PEER6 = "192.0.2.1", "2001:db8:1::1", "192.0.2.7", "2001:db8:1::7"


# --- neighbour discovery with bad options or from afar (CVE-2021-21279, CVE-2020-16898) ---------------------------


def solicitation(options: bytes, hops: int = 255, src: str = PEER6) -> Any:
    ip = IPv6(src=src, dst="ff02::1:ff00:1", hlim=hops)
    return Ether(src=PEER, dst="33:33:ff:00:00:01") / ip / ICMPv6ND_NS(tgt=US6) / options


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ("01000000 00000000", "nd_option_zero"),
        ("0101020000000001 1900000000000000", "nd_option_zero"),
        ("01020200 00000001", "nd_option_beyond"),
        ("0101020000", "nd_option_beyond"),
        ("1902000000000000 0000000000000000", "nd_option_length"),  # DNS servers of an even length
        ("0102020000000001 0000000000000000", "nd_option_length"),
    ],
)
def test_bad_discovery_options_drop_the_message(bench: NetBench, options: str, verdict: str) -> None:
    assert bench.hear(solicitation(bytes.fromhex(options))) == verdict
    assert bench.net.neighbour_high == 0
    assert not bench.sent()


def test_discovery_from_beyond_the_link_is_refused(bench: NetBench) -> None:
    bench.meet(PEER6)
    for hops in (0, 1, 64, 254):
        assert bench.hear(solicitation(bytes(ICMPv6NDOptSrcLLAddr(lladdr=PEER)), hops)) == "nd_hop_limit"
        frame = advertisement(PEER6, "02:00:00:00:00:66")
        frame[IPv6].hlim = hops
        assert bench.hear(frame) == "nd_hop_limit"
    assert bench.neighbour(PEER6).mac & 0xFF == 0xAA


def test_discovery_cannot_take_our_address(bench: NetBench) -> None:
    frame = advertisement(US6)
    assert bench.hear(frame) == "nd_own_address"
    assert bench.hear(solicitation(bytes(ICMPv6NDOptSrcLLAddr(lladdr=PEER)), src=US6)) == "nd_own_address"
    assert bench.net.neighbour_high == 0
    assert bench.net.conflicts == 2
    bench.wait(1)
    (defence,) = bench.frames()
    assert (defence[ICMPv6ND_NA].tgt, defence[ICMPv6ND_NA].O) == (US6, 1)


def test_discovery_cannot_give_a_group_address(bench: NetBench) -> None:
    bench.send(IPv6(src="2001:db8:2::9", dst=PEER6) / UDP(), 1)
    bench.hear(advertisement(PEER6, "33:33:00:00:00:01"))
    assert bench.state(PEER6) == "incomplete"
    bench.hear(advertisement(PEER6))


# --- ARP: wrong lengths, our address claimed, floods, what nobody asked for (CVE-2020-11914, CVE-2019-12262) ------


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"hwlen": 5}, "arp_bad_lengths"),
        ({"hwlen": 255}, "arp_bad_lengths"),
        ({"plen": 16}, "arp_bad_lengths"),
        ({"hwtype": 6}, "arp_bad_hardware"),
        ({"ptype": 0x86DD}, "arp_bad_protocol"),
        ({"op": 3}, "arp_bad_operation"),
        ({"hwsrc": "01:00:5e:00:00:01"}, "arp_bad_sender"),
        ({"hwsrc": "00:00:00:00:00:00"}, "arp_bad_sender"),
        ({"psrc": "224.0.0.1"}, "arp_bad_sender"),
        ({"psrc": "127.0.0.1"}, "arp_bad_sender"),
        ({"psrc": "255.255.255.255"}, "arp_bad_sender"),
    ],
)
def test_wrong_arp(bench: NetBench, fields: dict[str, Any], verdict: str) -> None:
    good = bytes(Ether(src=PEER, dst=ANY) / ARP(op=1, hwsrc=PEER, psrc=PEER4, pdst=US4))
    places = {"hwtype": (14, 2), "ptype": (16, 2), "hwlen": (18, 1), "plen": (19, 1), "op": (20, 2)}
    places |= {"hwsrc": (22, 6), "psrc": (28, 4)}
    frame = bytearray(good)
    for name, value in fields.items():
        start, octets = places[name]
        frame[start : start + octets] = bytes(ARP(**{"hwlen": 6, "plen": 4, name: value}))[start - 14 :][:octets]
    assert bench.hear(bytes(frame)) == verdict
    assert bench.net.neighbour_high == 0


def test_truncated_arp(bench: NetBench) -> None:
    frame = bytes(request(US4, PEER4))
    for octets in range(14, 42):
        assert bench.hear(frame[:octets]) == "arp_truncated"


@pytest.mark.parametrize("op", [1, 2])
def test_our_ip_claimed_by_arp(bench: NetBench, op: int) -> None:
    """Refused, and answered once in ten seconds (RFC 5227 2.4)."""
    claim = Ether(src=PEER, dst=ANY) / ARP(op=op, hwsrc=PEER, psrc=US4, hwdst=ANY, pdst=US4)
    for _ in range(50):
        assert bench.hear(claim) == "arp_own_address"
    assert bench.net.neighbour_high == 0
    bench.wait(5)
    (defence,) = bench.frames()
    assert (defence[ARP].psrc, defence[ARP].pdst, defence.src) == (US4, US4, OWN[0])
    bench.wait(6)
    assert bench.hear(claim) == "arp_own_address"
    bench.wait(1)
    assert len(bench.frames()) == 1


def test_a_service_address_claimed_by_arp(bench: NetBench) -> None:
    add_address(bench.worker, 0, ip_interface("203.0.113.80/32"))
    bench.settle()
    claim = Ether(src=PEER, dst=ANY) / ARP(op=2, hwsrc=PEER, psrc="203.0.113.80", pdst="192.0.2.9")
    assert bench.hear(claim) == "arp_own_address"


def test_our_own_announcement_that_comes_back_is_no_claim(bench: NetBench) -> None:
    own = Ether(src=OWN[0], dst=ANY) / ARP(op=1, hwsrc=OWN[0], psrc=US4, pdst=US4)
    assert bench.hear(own) == "arp_own_address"
    assert bench.net.conflicts == 0
    bench.wait(1)
    assert not bench.frames()


def test_unsolicited_replies_make_no_entries(bench: NetBench) -> None:
    for n in range(2, 100):
        assert bench.hear(reply(f"192.0.2.{n}")) == "arp_unsolicited"
        assert bench.hear(advertisement(f"2001:db8:1::{n:x}")) == "nd_unsolicited"
    assert bench.net.neighbour_high == 0


def test_gratuitous_flood(bench: NetBench) -> None:
    for n in range(2, 100):
        for op in (1, 2):
            frame = Ether(src=PEER, dst=ANY) / ARP(op=op, hwsrc=PEER, psrc=f"192.0.2.{n}", pdst=f"192.0.2.{n}")
            assert bench.hear(frame) == "arp_unsolicited"
    assert bench.net.neighbour_high == 0
    assert not bench.sent()


def test_a_flood_of_askers_is_bounded(bench: NetBench) -> None:
    bench.meet(PEER4)
    generation = bench.net.generation
    for n in range(2, 100):
        bench.hear(request(US4, f"192.0.2.{n}"))
        bench.sent()
    assert bench.net.neighbour_high == 64
    assert bench.net.generation == generation
    assert bench.state(PEER4) == "reachable"


# --- forged path MTUs and unreachables (CVE-2004-1060, CVE-2004-0790; RFC 5927) -----------------------------------


def needed(mtu: int, quoted: Any) -> Any:
    head = Ether(src=PEER, dst=OWN[0]) / IP(src="203.0.113.66", dst=US4)
    return head / ICMP(type=3, code=4, nexthopmtu=mtu) / quoted


def segment(src: str = US4, dst: str = "203.0.113.5", size: int = 1460, flags: str = "DF") -> Any:
    return bytes(IP(src=src, dst=dst, len=size + 40, flags=flags) / TCP(sport=80, dport=5000))


def known4(bench: NetBench, address: str = "203.0.113.5") -> int:
    return path_mtu_find(bench.worker, 0, MAPPED | parse_ip4(address))


@pytest.mark.parametrize(
    ("mtu", "believed"), [(1400, 1400), (552, 552), (551, 552), (68, 552), (67, 552), (1, 552), (0, 552)]
)
def test_an_mtu_below_the_floor(bench: NetBench, mtu: int, believed: int) -> None:
    assert bench.hear(needed(mtu, segment())) == "consumed"
    assert known4(bench) == believed


@pytest.mark.parametrize(
    "quoted",
    [
        segment(src="192.0.2.99"),  # we did not send that
        segment(dst=US4),
        segment(size=1000),  # it would have fitted
        segment(size=1360),
        segment(flags=""),  # a router would have cut it
        segment(dst="224.0.0.5"),
        segment(dst="255.255.255.255"),
        segment(dst="127.0.0.1"),
    ],
)
def test_a_forged_fragmentation_needed(bench: NetBench, quoted: bytes) -> None:
    assert bench.hear(needed(1400, quoted)) == "icmp_ignored"
    assert bench.net.path_count == 0


def test_an_error_that_quotes_too_little(bench: NetBench) -> None:
    for octets in range(28):
        assert bench.hear(needed(1400, segment()[:octets])) == "icmp_quote_truncated"
    assert bench.hear(needed(1400, b"\x65" + segment()[1:])) == "icmp_quote_bad"
    later = bytes(IP(src=US4, dst="203.0.113.5", len=1500, flags="DF", frag=5) / bytes(8))
    assert bench.hear(needed(1400, later)) == "icmp_quote_fragment"
    assert bench.net.path_count == 0


@pytest.mark.parametrize(("mtu", "believed"), [(1400, 1400), (1280, 1280), (1279, 1280), (68, 1280), (0, 1280)])
def test_an_ipv6_mtu_below_the_floor(bench: NetBench, mtu: int, believed: int) -> None:
    quoted = bytes(IPv6(src=US6, dst="2001:db8:77::5", plen=1460, nh=6) / TCP())
    head = Ether(src=PEER, dst=OWN[0]) / IPv6(src="2001:db8:66::6", dst=US6)
    assert bench.hear(head / ICMPv6PacketTooBig(mtu=mtu) / quoted) == "consumed"
    assert path_mtu_find(bench.worker, *parse_ip6("2001:db8:77::5")) == believed
    for src, length in (("2001:db8:1::99", 1460), (US6, 1200)):
        forged = bytes(IPv6(src=src, dst="2001:db8:78::5", plen=length, nh=6) / TCP())
        assert bench.hear(head / ICMPv6PacketTooBig(mtu=mtu) / forged) == "icmp_ignored"
    assert path_mtu_find(bench.worker, *parse_ip6("2001:db8:78::5")) == 0


def test_unreachables_and_redirects_change_nothing(bench: NetBench) -> None:
    generation = bench.net.generation
    head = Ether(src=PEER, dst=OWN[0]) / IP(src="203.0.113.66", dst=US4)
    for kind, code in ((3, 0), (3, 1), (3, 3), (4, 0), (5, 0), (5, 1), (11, 0), (12, 0)):
        assert bench.hear(head / ICMP(type=kind, code=code) / segment()) == "icmp_ignored"
    assert (bench.net.generation, bench.net.path_count) == (generation, 0)


def test_bad_icmp_checksums(bench: NetBench) -> None:
    four = Ether(src=PEER, dst=OWN[0]) / IP(src=PEER4, dst=US4) / ICMP(chksum=1)
    six = Ether(src=PEER, dst=OWN[0]) / IPv6(src=PEER6, dst=US6) / ICMPv6EchoRequest(cksum=1)
    assert bench.hear(four) == "icmp_bad_checksum"
    assert bench.hear(six) == "icmpv6_bad_checksum"


# --- LAND, martians, group and broadcast senders (CVE-1999-0016, CVE-2020-8558) -----------------------------------


@pytest.mark.parametrize(
    "source", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.255", US4]
)
def test_nothing_is_sent_to_an_impossible_sender(bench: NetBench, source: str) -> None:
    """input/ drops most of these before; this room would not answer them either."""
    verdict = bench.hear(Ether(src=PEER, dst=OWN[0]) / IP(src=source, dst=US4) / ICMP())
    assert verdict == "no_route"
    assert not bench.sent()


@pytest.mark.parametrize("source", ["::", "ff02::1", US6])
def test_nothing_is_sent_to_an_impossible_ipv6_sender(bench: NetBench, source: str) -> None:
    verdict = bench.hear(Ether(src=PEER, dst=OWN[0]) / IPv6(src=source, dst=US6) / ICMPv6EchoRequest())
    assert verdict == ("ipv6_unspecified_source" if source == "::" else "no_route")
    assert not bench.sent()


# --- anything at all ----------------------------------------------------------------------------------------------


def mended(frame: bytearray) -> bytearray:
    """The frame with a good ICMP checksum: mutations reach what lies behind it."""
    if frame[12:14] == b"\x08\x00":
        at, pseudo = 34, b""
    elif frame[12:14] == b"\x86\xdd" and frame[20] == 58:
        at, pseudo = 54, bytes(frame[22:54]) + (len(frame) - 54).to_bytes(4, "big") + b"\0\0\0\x3a"
    else:
        return frame
    frame[at + 2 : at + 4] = b"\0\0"
    frame[at + 2 : at + 4] = checksum(pseudo + bytes(frame[at:])).to_bytes(2, "big")
    return frame


def test_mutated_frames(bench: NetBench) -> None:
    """Whatever comes in ends in one verdict, what goes out is well formed, and no packet is lost."""
    random = Random(11)
    bench.meet(PEER4)
    bench.meet(PEER6)
    seeds = [
        bytes(frame)
        for frame in (
            request(US4, PEER4),
            reply(PEER4),
            solicitation(bytes(ICMPv6NDOptSrcLLAddr(lladdr=PEER))),
            advertisement(PEER6),
            Ether(src=PEER, dst=OWN[0]) / IP(src=PEER4, dst=US4) / ICMP() / (b"x" * 20),
            Ether(src=PEER, dst=OWN[0]) / IPv6(src=PEER6, dst=US6) / ICMPv6EchoRequest(data=b"y" * 20),
            needed(1400, segment()),
        )
    ]
    for _ in range(300 if mode() == "interpreted" else 3000):
        frame = bytearray(random.choice(seeds))
        for _ in range(random.randint(1, 4)):
            frame[random.randrange(22, len(frame))] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))
        if frame[12] != 8 or frame[13] != 0 or frame[14] == 0x45:
            bench.hear(bytes(mended(frame)))
        if random.random() < 0.1:
            bench.wait(0.3)
        for octets in bench.sent():
            assert_rebuilds(Ether(octets))
    bench.wait(9)
    bench.sent()
    assert bench.worker.held == 0
