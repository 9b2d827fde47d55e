"""Every verdict is provoked: by a frame, or by a situation; each through whole turns of an engine.

`FRAMES` are single frames from port 0 to an engine that has just been set up; `SITUATIONS` take more. A verdict in
neither is in `NOT_YET`, with the reason; that list may only shrink.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pronghorn.state.verdicts import FIRST_OWN, VERDICTS, Severity
from pronghorn.wire.reasons import REASONS
from tests.support.feed import CLIENT, OWN, OWN4, OWN6, ROUTER, SERVICE, EngineBench
from tests.verdicts.access import ACCESS
from tests.verdicts.connections import CONNECTIONS
from tests.verdicts.programs import PROGRAMS
from tests.verdicts.situations import SITUATIONS as OTHERS
from tests.verdicts.syn_proxy import SYN_PROXY
from tests.wire import judges as j

NOT_YET = {
    "tcp_bad_option": "ends the reading of options, and no segment: tests/tcp/test_bad_options.py",
    "bridge_same_port": "ends in a bridge's driver: tests/ports/test_bridge.py",
    "bridge_flood_limit": "ends in a bridge's driver: tests/ports/test_bridge.py",
    "link_broken": "ends in a link's driver: tests/ports/test_veth.py",
}
SITUATIONS = {**OTHERS, **CONNECTIONS, **ACCESS, **PROGRAMS, **SYN_PROXY}
PEER4, PEER6 = "192.0.2.7", "2001:db8:1::7"
LINK = j.Ether(src=ROUTER, dst=OWN[0])
SOLICITED = "ff02::1:ff00:1"


def ip4(**fields: Any) -> Any:
    return LINK / j.IP(**{"src": CLIENT[4], "dst": OWN4[0], **fields})


def ip6(**fields: Any) -> Any:
    return LINK / j.IPv6(**{"src": CLIENT[6], "dst": OWN6[0], **fields})


def arp(**fields: Any) -> Any:
    return j.Ether(src=ROUTER, dst=OWN[0]) / j.ARP(**{"psrc": PEER4, "pdst": OWN4[0], "hwsrc": ROUTER, **fields})


def quote4(quoted: bytes) -> Any:
    return ip4() / j.ICMP(type=3, code=4) / j.Raw(quoted)


def quote6(quoted: bytes) -> Any:
    return ip6() / j.ICMPv6PacketTooBig(mtu=1300) / j.Raw(quoted)


def nd(message: Any, src: str = PEER6, dst: str = OWN6[0], hops: int = 255) -> Any:
    return LINK / j.IPv6(src=src, dst=dst, hlim=hops) / message


def short_solicitation() -> Any:
    """A solicitation of 20 octets, its checksum right."""
    octets = bytearray(b"\x87" + bytes(19))
    pseudo = bytes(j.IPv6(src=PEER6, dst=OWN6[0]))[8:] + bytes((0, 0, 0, 20, 0, 0, 0, 58))
    octets[2:4] = j.scapy_checksum(pseudo + bytes(octets)).to_bytes(2, "big")
    return LINK / j.IPv6(src=PEER6, dst=OWN6[0], hlim=255, nh=58) / bytes(octets)


def query6(message: Any, hops: int = 1) -> Any:
    """A multicast listener query."""
    link = j.Ether(src=ROUTER, dst="33:33:00:00:00:01")
    return link / j.IPv6(src="fe80::fe", dst="ff02::1", hlim=hops) / message


NS = j.ICMPv6ND_NS(tgt=OWN6[0])
PLAIN4 = bytes(j.IP(src=OWN4[0], dst="203.0.113.5", flags="DF", len=1500) / j.TCP())
PLAIN6 = bytes(j.IPv6(src=OWN6[0], dst="2001:db8:77::5", plen=1460, nh=6) / j.TCP())

FRAMES: dict[str, Any] = {
    "ethernet_runt": bytes(13),
    "ethernet_oversize": ip4() / j.UDP() / bytes(1500),
    "ethernet_length_field": j.Ether(src=ROUTER, dst=OWN[0], type=46) / bytes(46),
    "ethernet_bad_length": j.Ether(src=ROUTER, dst=OWN[0], type=1000) / bytes(46),
    "ethernet_group_source": j.Ether(src="01:00:00:00:00:01", dst=OWN[0]) / j.IP(),
    "vlan_truncated": bytes(LINK / j.Dot1Q(vlan=5))[:17],
    "vlan_too_deep": LINK / j.Dot1Q() / j.Dot1Q() / j.Dot1Q() / j.IP(),
    "vlan_reserved": LINK / j.Dot1Q(vlan=4095) / j.IP(),
    "vlan_length_field": LINK / j.Dot1Q(vlan=0, type=46) / bytes(46),
    "arp_truncated": bytes(arp())[:40],
    "arp_bad_hardware": arp(hwtype=6),
    "arp_bad_protocol": arp(ptype=0x86DD),
    "arp_bad_lengths": bytes(arp())[:18] + b"\5" + bytes(arp())[19:],
    "arp_bad_operation": arp(op=9),
    "arp_bad_sender": arp(hwsrc="ff:ff:ff:ff:ff:ff"),
    "ipv4_truncated": bytes(ip4())[:33],
    "ipv4_bad_version": ip4(version=5) / j.UDP(),
    "ipv4_bad_ihl": ip4(ihl=4) / j.UDP(),
    "ipv4_bad_length": ip4(len=1000) / j.UDP(),
    "ipv4_bad_checksum": ip4(chksum=1) / j.UDP(),
    "ipv4_bad_option": ip4(options=[j.Raw(b"\x94\0\0\0")]) / j.UDP(),
    "ipv4_source_route": ip4(options=[j.IPOption_LSRR(routers=["192.0.2.9"])]) / j.UDP(),
    "ipv4_land": ip4(src=OWN4[0]) / j.TCP(flags="S"),
    "ipv4_martian_source": ip4(src="127.0.0.1") / j.UDP(),
    "ipv4_martian_destination": ip4(dst="127.0.0.1") / j.UDP(),
    "ipv4_fragment_empty": ip4(flags="MF", proto=17),
    "ipv4_fragment_unaligned": ip4(flags="MF", proto=17) / bytes(9),
    "ipv4_fragment_beyond": ip4(frag=8191, proto=17) / bytes(64),
    "ipv4_fragment_tiny": ip4(flags="MF", proto=6) / bytes(8),
    "ipv6_truncated": bytes(ip6())[:53],
    "ipv6_bad_version": ip6(version=5) / j.UDP(),
    "ipv6_bad_length": ip6(plen=1000) / j.UDP(),
    "ipv6_land": ip6(src=OWN6[0]) / j.TCP(flags="S"),
    "ipv6_unspecified_source": ip6(src="::") / j.UDP(),
    "ipv6_martian_source": ip6(src="::1") / j.UDP(),
    "ipv6_martian_destination": ip6(dst="::1") / j.UDP(),
    "extension_truncated": ip6(nh=60) / b"\x3a\xff\1\4\0\0\0\0",
    "extension_too_many": ip6(nh=60) / (b"\x3c\0\1\4\0\0\0\0" * 100),
    "extension_hop_by_hop": ip6(nh=60) / b"\0\0\1\4\0\0\0\0\x3b\0\1\4\0\0\0\0",
    "extension_routing": ip6() / j.IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / j.TCP(),
    "extension_bad_option": ip6(nh=60) / b"\x3b\0\1\xff\0\0\0\0",
    "extension_too_many_options": ip6(nh=60) / (b"\x3b\3" + bytes(30)),
    "extension_jumbo": ip6() / j.IPv6ExtHdrHopByHop(nh=59, options=[j.Jumbo(jumboplen=1 << 20)]),
    "extension_option_discard": ip6(nh=60) / b"\x3b\0\x40\4\0\0\0\0",
    "extension_option_report": ip6(nh=60) / b"\x3b\0\x80\4\0\0\0\0",
    "extension_option_report_unicast": ip6(nh=60) / b"\x3b\0\xc0\4\0\0\0\0",
    "extension_fragment_atomic": ip6() / j.IPv6ExtHdrFragment() / j.UDP(),
    "extension_fragment_nested": ip6() / j.IPv6ExtHdrFragment(m=1) / j.IPv6ExtHdrFragment(m=1) / bytes(8),
    "ipv6_fragment_empty": ip6() / j.IPv6ExtHdrFragment(nh=17, m=1),
    "ipv6_fragment_unaligned": ip6() / j.IPv6ExtHdrFragment(nh=17, m=1) / bytes(9),
    "ipv6_fragment_beyond": ip6() / j.IPv6ExtHdrFragment(nh=17, offset=8191) / bytes(64),
    "icmp_truncated": ip4(proto=1) / bytes(7),
    "icmp_bad_checksum": ip4() / j.ICMP(chksum=1),
    "icmp_quote_truncated": quote4(PLAIN4[:27]),
    "icmp_quote_bad": quote4(b"\x65" + PLAIN4[1:]),
    "icmp_quote_fragment": quote4(bytes(j.IP(src=OWN4[0], dst="203.0.113.5", frag=9) / bytes(8))),
    "icmpv6_truncated": ip6(nh=58) / bytes(3),
    "icmpv6_bad_checksum": ip6() / j.ICMPv6EchoRequest(cksum=1),
    "icmpv6_quote_truncated": quote6(PLAIN6[:47]),
    "icmpv6_quote_bad": quote6(b"\x45" + PLAIN6[1:]),
    "icmpv6_quote_fragment": quote6(bytes(j.IPv6(src=OWN6[0]) / j.IPv6ExtHdrFragment(offset=9, nh=17) / bytes(8))),
    "nd_hop_limit": nd(NS, hops=254),
    "nd_bad_code": nd(j.ICMPv6ND_NS(tgt=OWN6[0], code=1)),
    "nd_truncated": short_solicitation(),
    "nd_bad_source": nd(j.ICMPv6ND_RA()),
    "nd_bad_destination": nd(NS, src="::"),
    "nd_bad_target": nd(j.ICMPv6ND_NS(tgt="ff02::1")),
    "nd_option_zero": nd(NS / j.Raw(b"\1\0\0\0\0\0\0\0")),
    "nd_option_beyond": nd(NS / j.Raw(b"\1\2\0\0\0\0\0\0")),
    "nd_option_length": nd(NS / j.Raw(b"\1\2" + bytes(14))),
    "nd_option_source": nd(NS / j.ICMPv6NDOptSrcLLAddr(lladdr=ROUTER), src="::", dst=SOLICITED),
    "sctp_truncated": ip4(proto=132) / bytes(15),
    "sctp_bad_port": ip4() / j.SCTP(sport=0, dport=9) / j.SCTPChunkInit(),
    "sctp_bad_chunk": ip4() / j.SCTP(sport=9, dport=9, tag=1) / j.SCTPChunkCookieAck(len=3),
    "sctp_bad_init": ip4() / j.SCTP(sport=9, dport=9) / j.SCTPChunkInit() / bytes(4),
    "sctp_bad_tag": ip4() / j.SCTP(sport=9, dport=9) / j.SCTPChunkCookieAck(),
    "udp_truncated": ip4(proto=17) / bytes(7),
    "udp_bad_length": ip4() / j.UDP(len=9),
    "udp_bad_checksum": ip4() / j.UDP(chksum=1),
    "udp_no_checksum": ip6() / j.UDP(chksum=0),
    "tcp_truncated": ip4(proto=6) / bytes(19),
    "tcp_bad_offset": ip4() / j.TCP(dataofs=4),
    "tcp_offset_beyond": ip4() / j.TCP(dataofs=9),
    "tcp_bad_flags": ip4() / j.TCP(flags="SF"),
    "tcp_bad_checksum": ip4() / j.TCP(flags="S", chksum=1),
    "igmp_truncated": ip4(dst="224.0.0.1", proto=2) / b"\x11\0\0\0",
    "igmp_bad_checksum": ip4(dst="224.0.0.1", proto=2) / (b"\x11" + bytes(7)),
    "mld_truncated": query6(j.ICMPv6MLQuery2(sources_number=9)),
    "mld_bad_sender": query6(j.ICMPv6MLQuery2(), hops=2),
    "transmitted": ip4() / j.ICMP(),
    "consumed": quote4(bytes(j.IP(src=OWN4[0], dst="203.0.113.5", flags="DF", len=1500) / j.ICMP())),
    "not_for_us": ip4(dst="203.0.113.77") / j.UDP(),
    "other_host": j.Ether(src=ROUTER, dst=OWN[1]) / j.IP(),
    "unknown_ethertype": j.Ether(src=ROUTER, dst=OWN[0], type=0x88CC) / bytes(46),
    "unknown_protocol": ip4(proto=253) / bytes(20),
    "unknown_vlan": LINK / j.Dot1Q(vlan=5) / j.IP(),
    "no_listener": ip4() / j.UDP(dport=9),
    "ttl_expired": ip4(dst=SERVICE[4], ttl=1) / j.TCP(dport=80, flags="S"),
    "multicast_ignored": ip4(dst="224.0.0.251") / j.UDP(),
    "icmp_ignored": ip4() / j.ICMP(type=0),
    "arp_own_address": arp(psrc=OWN4[0], pdst="192.0.2.99"),
    "arp_not_for_us": arp(pdst="192.0.2.99"),
    "arp_unsolicited": arp(op=2),
    "nd_not_for_us": nd(j.ICMPv6ND_NS(tgt="2001:db8:1::99"), dst=SOLICITED),
    "nd_own_address": nd(j.ICMPv6ND_NA(tgt=OWN6[0])),
    "nd_unsolicited": nd(j.ICMPv6ND_NA(tgt=PEER6)),
    "no_conn": ip4(dst=SERVICE[4]) / j.TCP(dport=80, flags="A"),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[EngineBench]:
    with EngineBench() as bench:
        bench.service("tcp", 4)
        yield bench


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_ends_so(shared: EngineBench, name: str) -> None:
    """It ends so, and nothing else happens but that its sender is told."""
    found = shared.hear(FRAMES[name])
    assert found.pop(name) == 1
    assert not found or (found == {"transmitted": 1} and shared.sent(0))
    shared.wait(1)
    shared.check()


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_that_ends_so(name: str) -> None:
    with SITUATIONS[name]() as bench:
        assert bench.counts()[name] > 0
        bench.drain()


def test_every_verdict_is_provoked() -> None:
    names = {verdict.name for verdict in VERDICTS.values()}
    assert names == FRAMES.keys() | SITUATIONS.keys() | NOT_YET.keys()
    assert not NOT_YET.keys() & (FRAMES.keys() | SITUATIONS.keys())


def test_the_table() -> None:
    verdicts = list(VERDICTS.values())
    assert [number for number, verdict in VERDICTS.items() if verdict.number != number] == []
    assert len({verdict.name for verdict in verdicts}) == len(verdicts)
    assert len({verdict.sentence for verdict in verdicts}) == len(verdicts)
    for verdict in verdicts:
        assert 0 < verdict.number < 253
        assert verdict.name == verdict.name.lower()
        assert verdict.name.replace("_", "").isalnum()
        assert verdict.sentence.strip() == verdict.sentence != ""
        assert isinstance(verdict.severity, Severity)
    assert {reason.number for reason in REASONS if reason.number} == {n for n in VERDICTS if n < FIRST_OWN}
