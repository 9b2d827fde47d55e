"""Classes of hostile input that concern single headers, each with the vulnerability it stands for, as whole frames.

The frames are made by scapy with right checksums, so that each is refused for what is wrong with it alone.
Classes that need state (floods, reassembly, sequence numbers) are tested where the state is.
"""

from __future__ import annotations

from typing import Any

import pytest

from pronghorn.wire import icmp, icmpv6, tcp
from pronghorn.wire.icmp import ICMP
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.tcp import TCP, TCPOptions
from tests.wire import judges as j
from tests.wire.support import judge, place, scratch, vectors

FRAMES = vectors("frames")
ETH = j.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
SYN = j.TCP(sport=1024, dport=80, flags="S")


def ip4(**fields: Any) -> Any:
    return ETH / j.IP(**{"src": "192.0.2.1", "dst": "198.51.100.2", **fields})


def ip6(**fields: Any) -> Any:
    return ETH / j.IPv6(**{"src": "2001:db8::1", "dst": "2001:db8:1::2", **fields})


def raw4(options: bytes) -> bytes:
    return bytes(ip4(proto=59, options=[j.Raw(options)]))


CASES: list[tuple[str, Any, str]] = [
    # 1: CVE-2021-31401, CVE-2018-16601, CVE-2020-11909, CVE-2020-13987
    ("ihl-below-5", ip4(ihl=4) / SYN, "IPV4_BAD_IHL"),
    ("ihl-beyond-packet", ip4(ihl=15, proto=59), "IPV4_BAD_IHL"),
    ("total-length-below-header", ip4(len=12) / SYN, "IPV4_BAD_LENGTH"),
    ("total-length-beyond-frame", ip4(len=65535) / SYN, "IPV4_BAD_LENGTH"),
    ("trailing-pad", bytes(ip4() / SYN) + bytes(6), "GOOD"),
    # 2: CVE-2018-16603, CVE-2020-35683, CVE-2020-35684, CVE-2020-17443
    ("ends-after-ipv4-tcp", ip4(proto=6), "TCP_TRUNCATED"),
    ("ends-after-ipv4-udp", ip4(proto=17), "UDP_TRUNCATED"),
    ("ends-after-ipv4-icmp", ip4(proto=1), "ICMP_TRUNCATED"),
    ("ends-after-ipv6-tcp", ip6(nh=6), "TCP_TRUNCATED"),
    ("ends-after-ipv6-udp", ip6(nh=17), "UDP_TRUNCATED"),
    ("ends-after-ipv6-icmp", ip6(nh=58), "ICMPV6_TRUNCATED"),
    # 3: CVE-2020-24341
    ("tcp-offset-below-5", ip4() / j.TCP(dataofs=4, flags="S"), "TCP_BAD_OFFSET"),
    ("tcp-offset-beyond-segment", ip4() / j.TCP(dataofs=15, flags="S") / b"data", "TCP_OFFSET_BEYOND"),
    # 4: CVE-2020-24337, CVE-2020-13988, CVE-2018-16524
    ("tcp-option-length-0", ip4() / j.TCP(dataofs=6, flags="S") / b"\x02\0\0\0", "TCP_BAD_OPTION"),
    ("tcp-option-length-1", ip4() / j.TCP(dataofs=6, flags="S") / b"\x02\1\0\0", "TCP_BAD_OPTION"),
    ("tcp-option-past-end", ip6() / j.TCP(dataofs=6, flags="S") / b"\x02\x09\0\0", "TCP_BAD_OPTION"),
    ("tcp-unknown-option-length-0", ip6() / j.TCP(dataofs=6, flags="S") / b"\xfd\0\0\0", "TCP_BAD_OPTION"),
    # 6: an urgent pointer is nobody's business here
    ("tcp-urgent-beyond-segment", ip4() / j.TCP(flags="UA", urgptr=65535), "GOOD"),
    # 10: CVE-1999-0015, CVE-1999-0128, CVE-2020-17438
    ("fragment-beyond-65535", ip4(frag=8191, proto=17) / bytes(64), "IPV4_FRAGMENT_BEYOND"),
    ("fragment-unaligned", ip4(flags="MF", proto=17) / bytes(9), "IPV4_FRAGMENT_UNALIGNED"),
    ("fragment-empty", ip4(flags="MF", proto=17), "IPV4_FRAGMENT_EMPTY"),
    ("fragment-tiny", ip4(flags="MF", proto=6) / bytes(8), "IPV4_FRAGMENT_TINY"),
    ("fragment6-beyond-65535", ip6() / j.IPv6ExtHdrFragment(nh=17, offset=8191) / bytes(64), "IPV6_FRAGMENT_BEYOND"),
    ("fragment6-unaligned", ip6() / j.IPv6ExtHdrFragment(nh=59, m=1) / bytes(9), "IPV6_FRAGMENT_UNALIGNED"),
    ("fragment6-empty", ip6() / j.IPv6ExtHdrFragment(nh=59, m=1), "IPV6_FRAGMENT_EMPTY"),
    # 11: CVE-2020-13984 to -13986, CVE-2020-17445, CVE-2024-38063, CVE-2022-34718
    ("extension-past-end", ip6() / j.IPv6ExtHdrDestOpt(len=9, nh=59), "EXTENSION_TRUNCATED"),
    ("extension-100-headers", ip6(nh=60) / (b"\x3c\0\1\4\0\0\0\0" * 100), "EXTENSION_TOO_MANY"),
    ("extension-option-length-255", ip6(nh=60) / b"\x3b\0\1\xff\0\0\0\0", "EXTENSION_BAD_OPTION"),
    ("hop-by-hop-not-first", ip6(nh=60) / b"\0\0\1\4\0\0\0\0\x3b\0\1\4\0\0\0\0", "EXTENSION_HOP_BY_HOP"),
    ("jumbo-option", ip6() / j.IPv6ExtHdrHopByHop(nh=59, options=[j.Jumbo(jumboplen=1 << 20)]), "EXTENSION_JUMBO"),
    ("routing-type-0", ip6() / j.IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / SYN, "EXTENSION_ROUTING"),
    # 12: CVE-2020-17441, CVE-2020-11897, CVE-2020-11899, CVE-2020-11913
    ("payload-length-beyond-frame", ip6(plen=2000) / SYN, "IPV6_BAD_LENGTH"),
    ("fragment6-atomic", ip6() / j.IPv6ExtHdrFragment() / SYN, "EXTENSION_FRAGMENT_ATOMIC"),
    (
        "fragment6-nested",
        ip6() / j.IPv6ExtHdrFragment(m=1) / j.IPv6ExtHdrFragment(m=1) / bytes(8),
        "EXTENSION_FRAGMENT_NESTED",
    ),
    # 13: CVE-2021-21279, CVE-2020-16898
    ("nd-option-length-0", ip6(hlim=255) / j.ICMPv6ND_NS(tgt="fe80::2") / b"\1\0\0\0\0\0\0\0", "ND_OPTION_ZERO"),
    (
        "rdnss-even-length",
        ip6(src="fe80::1", hlim=255) / j.ICMPv6ND_RA() / (b"\x19\4" + bytes(30)),
        "ND_OPTION_LENGTH",
    ),
    ("nd-hop-limit", ip6(hlim=254) / j.ICMPv6ND_NA(tgt="fe80::2"), "ND_HOP_LIMIT"),
    # 14: CVE-2019-12256, CVE-2021-24074
    ("loose-source-route", ip4(proto=59, options=[j.IPOption_LSRR(routers=["192.0.2.9"])]), "IPV4_SOURCE_ROUTE"),
    ("strict-source-route", raw4(b"\x89\7\4\1\2\3\4\0"), "IPV4_SOURCE_ROUTE"),
    ("record-route-bad-pointer", raw4(b"\7\7\2\0\0\0\0\0"), "IPV4_BAD_OPTION"),
    ("option-length-0", raw4(b"\x94\0\0\0"), "IPV4_BAD_OPTION"),
    # 16: CVE-2020-11914, CVE-2018-16600
    ("arp-hlen", ETH / j.ARP(hwlen=8), "ARP_BAD_LENGTHS"),
    ("arp-plen", ETH / j.ARP(plen=16), "ARP_BAD_LENGTHS"),
    # 17: CVE-2020-11906
    ("ethernet-runt", FRAMES["udp4"][:13], "ETHERNET_RUNT"),
    ("ethernet-802.3", FRAMES["udp4"][:12] + b"\0\x26" + bytes(46), "ETHERNET_LENGTH_FIELD"),
    ("vlan-truncated", FRAMES["vlan-udp4"][:17], "VLAN_TRUNCATED"),
    # 25: CVE-1999-0016, CVE-2020-8558
    ("land", ip4(dst="192.0.2.1") / SYN, "IPV4_LAND"),
    ("source-0", ip4(src="0.0.0.0") / SYN, "IPV4_MARTIAN_SOURCE"),
    ("source-127", ip4(src="127.0.0.1") / SYN, "IPV4_MARTIAN_SOURCE"),
    ("source-multicast", ip4(src="224.0.0.1") / SYN, "IPV4_MARTIAN_SOURCE"),
    ("source-broadcast", ip4(src="255.255.255.255") / SYN, "IPV4_MARTIAN_SOURCE"),
    ("destination-127", ip4(dst="127.0.0.1") / SYN, "IPV4_MARTIAN_DESTINATION"),
    # 27
    ("tcp-checksum-0", ip4() / j.TCP(chksum=0, flags="S"), "TCP_BAD_CHECKSUM"),
    ("tcp-checksum-wrong", ip6() / j.TCP(chksum=1, flags="S"), "TCP_BAD_CHECKSUM"),
    ("udp-checksum-wrong", ip4() / j.UDP(chksum=1), "UDP_BAD_CHECKSUM"),
    ("udp-checksum-0-over-ipv4", ip4() / j.UDP(chksum=0), "GOOD"),
    ("udp-checksum-0-over-ipv6", ip6() / j.UDP(chksum=0), "UDP_NO_CHECKSUM"),
    ("udp-length-below-ip-length", ip4() / j.UDP(len=8) / b"more", "UDP_BAD_LENGTH"),
    ("udp-length-beyond-ip-length", ip6() / j.UDP(len=20) / b"more", "UDP_BAD_LENGTH"),
    # 29: errors that quote too little
    ("icmp-quotes-nothing", ip4() / j.ICMP(type=3, code=3), "ICMP_QUOTE_TRUNCATED"),
    ("icmp-quotes-no-ports", ip4() / j.ICMP(type=11) / j.IP(proto=6), "ICMP_QUOTE_TRUNCATED"),
    ("icmp-quotes-later-fragment", ip4() / j.ICMP(type=3) / j.IP(frag=1) / bytes(8), "ICMP_QUOTE_FRAGMENT"),
    ("icmp6-quotes-nothing", ip6() / j.ICMPv6DestUnreach(), "ICMPV6_QUOTE_TRUNCATED"),
    ("icmp6-quotes-no-ports", ip6() / j.ICMPv6TimeExceeded() / j.IPv6(nh=6), "ICMPV6_QUOTE_TRUNCATED"),
]


@pytest.mark.parametrize(("frame", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input(frame: Any, reason: str) -> None:
    assert judge(bytes(frame)) == reason


def test_case_names_are_distinct() -> None:
    assert len({case[0] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("mss", [0, 1, 8, 48])
def test_a_tiny_mss_is_raised_and_a_huge_scale_lowered(mss: int) -> None:
    """5: CVE-2018-16523 divided by zero, CVE-2019-11479 sent one octet in each packet."""
    frame = bytes(ip4() / j.TCP(flags="S", options=[("MSS", mss), ("WScale", 255)]))
    assert judge(frame) == "GOOD"
    found = TCPOptions(scratch(TCPOptions.SIZE))
    tcp.parse_options(TCP(place(frame) + 34), found)
    assert (found.mss, found.window_scale) == (tcp.MSS_FLOOR, 14)


def test_reversed_sack_blocks_are_bounded() -> None:
    """7: at most four blocks come through, whatever is in them (CVE-2019-11477 is for the connection to refuse)."""
    frame = bytes(ip4() / j.TCP(flags="A", options=[("SAck", (9, 1, 8, 2, 7, 3, 6, 4))]))
    assert judge(frame) == "GOOD"
    found = TCPOptions(scratch(TCPOptions.SIZE))
    tcp.parse_options(TCP(place(frame) + 34), found)
    assert found.sack_blocks == 4
    assert [found.sack[i] for i in range(8)] == [9, 1, 8, 2, 7, 3, 6, 4]


def test_source_routes_in_quoted_packets_are_passed_over() -> None:
    """14: options inside an ICMP error's quote are not obeyed."""
    quoted = j.IP(options=[j.IPOption_LSRR(routers=["192.0.2.9"])]) / j.UDP(sport=1, dport=2)
    frame = bytes(ip4() / j.ICMP(type=3, code=3) / quoted)
    assert judge(frame) == "GOOD"
    assert icmp.quote(place(frame) + 34, len(frame) - 34)[1:] == (17, 8 + 28)


@pytest.mark.parametrize("mtu", [0, 68, 1279, 65535])
def test_a_reported_mtu_is_told_as_it_is(mtu: int) -> None:
    """18: the floor is path MTU discovery's; here any value is read."""
    frame = bytes(ip4() / j.ICMP(type=3, code=4, nexthopmtu=mtu) / j.IP(proto=17) / bytes(8))
    assert judge(frame) == "GOOD"
    assert icmp.next_hop_mtu(ICMP(place(frame) + 34)) == mtu
    frame = bytes(ip6() / j.ICMPv6PacketTooBig(mtu=mtu) / j.IPv6(nh=17) / bytes(8))
    assert judge(frame) == "GOOD"
    assert icmpv6.next_hop_mtu(ICMPv6(place(frame) + 54)) == mtu
