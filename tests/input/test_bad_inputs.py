"""Inputs that a stack and a balancer must survive, end to end: a frame in, its verdict, and nothing else of it left.

Each case is named after what it is, and grouped under the vulnerabilities that it stands for. Fragments that overlap,
never complete or flood are in tests/net/test_fragments.py; what mutation finds, in tests/fuzz; single headers, with a
guard page behind them, in tests/wire/test_bad_inputs.py; ARP and discovery in tests/net/test_bad_inputs.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pronghorn.balancer.lookup import flow_hash
from pronghorn.balancer.tables import Balancer
from pronghorn.balancer.tcp_state import follow
from pronghorn.compiled import mode
from pronghorn.memory.hashtable import HashIndex
from pronghorn.net.state import net_of
from pronghorn.state.worker import Worker
from pronghorn.wire.tcp import ACK, SYN
from tests.support.feed import CLIENT, LOCAL, OWN, OWN4, OWN6, ROUTER, SERVICE, EngineBench, server_mac
from tests.wire import judges as j

LINK = j.Ether(src=ROUTER, dst=OWN[0])
INSIDE = j.Ether(src=server_mac(80).to_bytes(6, "big").hex(":"), dst=OWN[1])


@pytest.fixture(scope="module")
def shared() -> Iterator[EngineBench]:
    with EngineBench() as bench:
        for family in (4, 6):
            bench.service("tcp", family)
            bench.service("udp", family, 53)
        yield bench


@pytest.fixture
def bench(shared: EngineBench) -> Iterator[EngineBench]:
    """Whatever came, every packet is free again in the end and every count adds up."""
    yield shared
    shared.drain()
    shared.sent(0)
    shared.sent(1)


def ip4(**fields: Any) -> Any:
    """From the client to the IPv4 service."""
    return LINK / j.IP(**{"src": CLIENT[4], "dst": SERVICE[4], **fields})


def ip6(**fields: Any) -> Any:
    return LINK / j.IPv6(**{"src": CLIENT[6], "dst": SERVICE[6], **fields})


def tcp(**fields: Any) -> Any:
    return j.TCP(**{"sport": 1000, "dport": 80, "flags": "S", **fields})


def quoted(octets: bytes, **fields: Any) -> Any:
    """An ICMP error to the balancer's local address, as a router behind the servers would send it."""
    fields = {"type": 3, "code": 4, "nexthopmtu": 1300, **fields}
    return INSIDE / j.IP(src="198.51.100.254", dst=LOCAL[4]) / j.ICMP(**fields) / j.Raw(octets)


TO_SERVER = bytes(j.IP(src=LOCAL[4], dst="198.51.100.80", len=1500, flags="DF") / j.TCP(sport=2000, dport=8080))
SENT = "transmitted"

CASES: list[tuple[str, Any, dict[str, int]]] = [
    # CVE-2021-31401, CVE-2018-16601, CVE-2020-11909, CVE-2020-13987
    ("ihl-0", ip4(ihl=0) / tcp(), {"ipv4_bad_ihl": 1}),
    ("ihl-4", ip4(ihl=4) / tcp(), {"ipv4_bad_ihl": 1}),
    ("ihl-beyond-packet", ip4(ihl=15, proto=6), {"ipv4_bad_ihl": 1}),
    ("total-length-0", ip4(len=0) / tcp(), {"ipv4_bad_length": 1}),
    ("total-length-below-header", ip4(len=19) / tcp(), {"ipv4_bad_length": 1}),
    ("total-length-beyond-frame", ip4(len=41) / tcp(), {"ipv4_bad_length": 1}),
    ("total-length-within-tcp-header", bytes(ip4(len=39) / tcp()), {"tcp_truncated": 1}),
    ("trailing-pad", bytes(ip4() / tcp()) + b"x" * 6, {SENT: 1}),
    # CVE-2018-16603, CVE-2020-35683, CVE-2020-35684, CVE-2020-17443
    ("ends-after-ipv4-tcp", ip4(proto=6), {"tcp_truncated": 1}),
    ("ends-after-ipv4-udp", ip4(proto=17), {"udp_truncated": 1}),
    ("ends-after-ipv4-icmp", ip4(proto=1, dst=OWN4[0]), {"icmp_truncated": 1}),
    ("ends-after-ipv6-tcp", ip6(nh=6), {"tcp_truncated": 1}),
    ("ends-after-ipv6-udp", ip6(nh=17), {"udp_truncated": 1}),
    ("ends-after-ipv6-icmp", ip6(nh=58, dst=OWN6[0]), {"icmpv6_truncated": 1}),
    # CVE-2020-24341
    ("tcp-offset-0", ip4() / tcp(dataofs=0) / bytes(20), {"tcp_bad_offset": 1}),
    ("tcp-offset-4", ip4() / tcp(dataofs=4) / bytes(20), {"tcp_bad_offset": 1}),
    ("tcp-offset-beyond-segment", ip6() / tcp(dataofs=15) / bytes(39), {"tcp_offset_beyond": 1}),
    # CVE-2020-24337, CVE-2018-16524: options are the ends' business; a balancer neither reads nor loops over them
    ("tcp-option-length-0", ip4() / tcp(dataofs=6) / b"\x02\0\0\0", {SENT: 1}),
    ("tcp-option-past-end", ip6() / tcp(dataofs=6) / b"\xfd\xff\0\0", {SENT: 1}),
    # CVE-2020-17437, CVE-2019-12255, WinNuke: so is urgent data
    ("urgent-without-data", ip4() / tcp(flags="SU", urgptr=0), {SENT: 1}),
    ("urgent-beyond-segment", ip6() / tcp(flags="SU", urgptr=65535) / b"x", {SENT: 1}),
    # CVE-1999-0015, CVE-1999-0128, CVE-2020-17438
    ("fragment-beyond-65535", ip4(frag=8191, proto=17) / bytes(64), {"ipv4_fragment_beyond": 1}),
    ("fragment-unaligned", ip4(flags="MF", proto=17) / bytes(9), {"ipv4_fragment_unaligned": 1}),
    ("fragment-empty", ip4(flags="MF", proto=17), {"ipv4_fragment_empty": 1}),
    ("fragment-tiny", ip4(flags="MF", proto=6) / bytes(16), {"ipv4_fragment_tiny": 1}),
    ("fragment-hides-flags", ip4(frag=1, proto=6) / bytes(16), {"ipv4_fragment_tiny": 1}),
    # CVE-2020-13984 to -13986, CVE-2020-17445, CVE-2024-38063, CVE-2022-34718
    ("extension-past-end", ip6() / j.IPv6ExtHdrDestOpt(len=9, nh=6) / tcp(), {"extension_truncated": 1}),
    ("extension-100-headers", ip6(nh=60) / (b"\x3c\0\1\4\0\0\0\0" * 100), {"extension_too_many": 1}),
    ("extension-option-length-255", ip6(nh=60) / b"\x06\0\1\xff\0\0\0\0", {"extension_bad_option": 1}),
    ("hop-by-hop-not-first", ip6(nh=60) / (b"\0\0\1\4\0\0\0\0" * 2), {"extension_hop_by_hop": 1, SENT: 1}),
    ("routing-type-0", ip6() / j.IPv6ExtHdrRouting(addresses=[OWN6[0]]) / tcp(), {"extension_routing": 1, SENT: 1}),
    ("jumbo", ip6() / j.IPv6ExtHdrHopByHop(options=[j.Jumbo(jumboplen=1 << 20)]) / tcp(), {"extension_jumbo": 1}),
    # CVE-2020-17441, CVE-2020-11897, CVE-2020-11899, CVE-2020-11913
    ("payload-length-beyond-frame", ip6(plen=2000) / tcp(), {"ipv6_bad_length": 1}),
    ("payload-length-0", ip6(plen=0) / tcp(), {"tcp_truncated": 1}),
    ("fragment-atomic", ip6() / j.IPv6ExtHdrFragment() / tcp(), {"extension_fragment_atomic": 1}),
    # CVE-2021-21279, CVE-2020-16898
    (
        "rdnss-even-length",
        LINK / j.IPv6(src="fe80::1", dst="ff02::1", hlim=255) / j.ICMPv6ND_RA() / (b"\x19\4" + bytes(30)),
        {"nd_option_length": 1},
    ),
    # CVE-2019-12256, CVE-2021-24074
    ("loose-source-route", ip4(options=[j.IPOption_LSRR(routers=[OWN4[0]])]) / tcp(), {"ipv4_source_route": 1}),
    ("strict-source-route", ip4(options=[j.Raw(b"\x89\7\4\1\2\3\4\0")]) / tcp(), {"ipv4_source_route": 1}),
    ("record-route-bad-pointer", ip4(options=[j.Raw(b"\7\7\2\0\0\0\0\0")]) / tcp(), {"ipv4_bad_option": 1}),
    (
        "source-route-in-a-quote",
        quoted(bytes(j.IP(src=LOCAL[4], dst="198.51.100.80", options=[j.Raw(b"\x83\3\4\0")]) / tcp())),
        {"not_for_us": 1},
    ),
    # CVE-2020-11914, CVE-2018-16600, CVE-2019-12262
    (
        "arp-hlen-255",
        bytes(LINK / j.ARP(psrc="192.0.2.7", pdst=OWN4[0])).replace(b"\6\4", b"\xff\4"),
        {"arp_bad_lengths": 1},
    ),
    ("arp-claims-our-address", LINK / j.ARP(op=2, hwsrc=ROUTER, psrc=OWN4[0], pdst=OWN4[0]), {"arp_own_address": 1}),
    ("arp-unsolicited", LINK / j.ARP(op=2, hwsrc=ROUTER, psrc="192.0.2.7", pdst=OWN4[0]), {"arp_unsolicited": 1}),
    # CVE-2020-11906
    ("runt", bytes(LINK)[:13], {"ethernet_runt": 1}),
    ("oversize", ip4() / j.UDP(dport=53) / bytes(1510), {"ethernet_oversize": 1}),
    ("vlan-truncated", bytes(LINK / j.Dot1Q(vlan=0))[:16], {"vlan_truncated": 1}),
    ("802.3", j.Ether(src=ROUTER, dst=OWN[0], type=46) / bytes(46), {"ethernet_length_field": 1}),
    # CVE-2004-0790, CVE-2004-0791, CVE-2004-1060: errors about what is not ours, or to addresses that only balance
    ("needed-with-mtu-0", quoted(TO_SERVER, nexthopmtu=0), {"not_for_us": 1}),
    ("unreachable-port", quoted(TO_SERVER, code=3), {"not_for_us": 1}),
    (
        "forged-needed",
        LINK / j.IP(src="100.64.0.9", dst=OWN4[0]) / j.ICMP(type=3, code=4, nexthopmtu=68) / j.Raw(TO_SERVER),
        {"icmp_ignored": 1},
    ),
    # CVE-1999-0016, CVE-2020-8558
    ("land", ip4(src=SERVICE[4]) / tcp(sport=80), {"ipv4_land": 1}),
    ("land-ipv6", ip6(src=SERVICE[6]) / tcp(sport=80), {"ipv6_land": 1}),
    ("source-0.0.0.0", ip4(src="0.0.0.0") / tcp(), {"ipv4_martian_source": 1}),
    ("source-127", ip4(src="127.0.0.1") / tcp(), {"ipv4_martian_source": 1}),
    ("source-multicast", ip4(src="224.0.0.1") / tcp(), {"ipv4_martian_source": 1}),
    ("source-broadcast", ip4(src="255.255.255.255") / tcp(), {"ipv4_martian_source": 1}),
    ("destination-127", ip4(dst="127.0.0.1") / tcp(), {"ipv4_martian_destination": 1}),
    ("ethernet-group-source", j.Ether(src="01:00:5e:00:00:01", dst=OWN[0]) / j.IP(), {"ethernet_group_source": 1}),
    # layer-4 checksums: who ends the packet verifies, who passes it on keeps an error an error
    ("udp-checksum-wrong-to-us", ip4(dst=OWN4[0]) / j.UDP(chksum=1), {"udp_bad_checksum": 1}),
    ("udp-without-checksum-ipv6", ip6() / j.UDP(dport=53, chksum=0), {"udp_no_checksum": 1}),
    ("tcp-checksum-wrong-to-us", ip6(dst=OWN6[0]) / tcp(chksum=1), {"tcp_bad_checksum": 1}),
    ("udp-length-below-ip", ip4() / j.UDP(dport=53, len=8) / b"more", {"udp_bad_length": 1}),
    ("udp-length-beyond-ip", ip6() / j.UDP(dport=53, len=20) / b"more", {"udp_bad_length": 1}),
    # errors with a truncated packet inside; a first fragment without a layer-4 header
    ("quote-truncated", quoted(TO_SERVER[:27]), {"not_for_us": 1}),
    ("quote-nothing", LINK / j.IP(src="100.64.0.9", dst=OWN4[0]) / j.ICMP(type=3), {"icmp_quote_truncated": 1}),
    ("first-fragment-without-ports", ip6() / j.IPv6ExtHdrFragment(nh=17, m=1), {"ipv6_fragment_empty": 1}),
]


@pytest.mark.parametrize(("frame", "verdicts"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_bad_frame(bench: EngineBench, frame: Any, verdicts: dict[str, int]) -> None:
    assert bench.hear(frame, port=int(bytes(frame)[:6] == bytes(INSIDE)[:6])) == verdicts


def test_every_truncation_of_good_frames(bench: EngineBench) -> None:
    """A frame cut at any octet ends somewhere, and what goes out of it is never longer than what came."""
    step = 7 if mode() == "interpreted" else 1
    chain = j.IPv6ExtHdrHopByHop() / j.IPv6ExtHdrDestOpt()
    for frame in (
        ip4() / tcp(),
        ip6() / tcp(),
        ip6() / chain / tcp(),
        ip6() / chain / j.IPv6ExtHdrFragment(m=1) / tcp(),
    ):
        octets = bytes(frame)
        for length in range(0, len(octets), step):
            assert sum(bench.hear(octets[:length]).values()) == 1
        assert not bench.sent(1)


def test_a_wrong_checksum_stays_wrong(bench: EngineBench) -> None:
    """Through full NAT, so that the server sees that the segment was damaged."""
    for ip, layer in ((ip4, tcp), (ip6, tcp), (ip4, lambda **more: j.UDP(sport=1, dport=53, **more) / b"data")):
        assert bench.hear(ip() / layer(chksum=0x1234)) == {"transmitted": 1}
        (octets,) = bench.sent(1)
        frame = j.Ether(octets)
        inner = frame[j.TCP] if j.TCP in frame else frame[j.UDP]
        seen = inner.chksum
        del inner.chksum
        right = j.Ether(bytes(frame))
        assert seen != (right[j.TCP] if j.TCP in right else right[j.UDP]).chksum


def test_an_arp_flood_makes_no_neighbours(bench: EngineBench) -> None:
    """CVE-2020-11914: nobody gets into the table by talking without being asked."""
    high = net_of(bench.engine.workers[0]).neighbour_high
    for number in range(200):
        mac = f"02:00:00:01:00:{number:02x}"
        address = f"192.0.2.{number % 100 + 100}"
        bench.put(j.Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / j.ARP(op=2, hwsrc=mac, psrc=address, pdst=address))
        bench.put(j.Ether(src=mac, dst=OWN[0]) / j.ARP(op=2, hwsrc=mac, psrc=address, pdst=OWN4[0], hwdst=OWN[0]))
        bench.turn()
    assert net_of(bench.engine.workers[0]).neighbour_high == high


# --- the table of connections -------------------------------------------------------------------------------------


def test_the_hash_of_connections_is_keyed() -> None:
    """Nobody can prepare addresses that collide: two engines hash the same connections differently (CVE-2003-0364)."""
    places = []
    for _ in range(2):
        with EngineBench() as bench:
            bench.service("tcp", 4)
            for sport in range(1000, 1008):
                bench.hear(ip4() / tcp(sport=sport))
            balancer = Balancer(bench.engine.workers[0].balancer)
            secret = HashIndex(balancer.index).secret
            assert secret != 0
            places.append([flow_hash(balancer, 2 * n, secret) for n in range(8)])
    assert len(set(places[0] + places[1])) == 16


def test_a_flood_of_syns_pushes_out_its_own_connections_and_not_the_open_ones() -> None:
    """In a table full of half-open connections new ones take their places; what is open stays (CVE-1999-0116)."""
    with EngineBench(conns=32) as bench:
        bench.service("tcp", 4)
        assert bench.hear(ip4() / tcp(sport=1000)) == {"transmitted": 1}
        balancer = Balancer(bench.engine.workers[0].balancer)
        bench.everywhere(lambda worker: opened(worker, 0))
        found: Counter[str] = Counter()
        for sport in range(1001, 1301):
            found.update(bench.hear(ip4() / tcp(sport=sport)))
        assert found == {"transmitted": 300}
        assert (balancer.count, balancer.given_up) == (32, 300 - 31)
        assert bench.hear(ip4() / tcp(sport=1000, flags="A")) == {"transmitted": 1}
        bench.wait(130, 1)
        assert balancer.count == 1


def opened(worker: Worker, number: int) -> None:
    """The server and the client have confirmed the connection."""
    balancer = Balancer(worker.balancer)
    follow(worker, balancer, 2 * number + 1, SYN | ACK)
    follow(worker, balancer, 2 * number, ACK)
