"""The way in: which frames are ours, what they carry, and where they go. Every branch by a frame of its own."""

from __future__ import annotations

from typing import Any

import pytest

from pronghorn.state.packet import CHECKSUM_GOOD, CHECKSUM_PARTIAL, UNSEGMENTED
from tests.input.frames import ANY, LINK, both, ip, only, ping
from tests.support.feed import CLIENT, OWN, OWN4, OWN6, ROUTER, SERVICE, EngineBench
from tests.wire import judges as j

ALL_HOSTS, ALL_NODES = "01:00:5e:00:00:01", "33:33:00:00:00:01"


# --- layer 2 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "verdict"),
    [
        (b"\x02" * 13, "ethernet_runt"),
        (b"", "ethernet_runt"),
        (j.Ether(src="01:00:00:00:00:01", dst=OWN[0]) / ip(4) / ping(4), "ethernet_group_source"),
        (j.Ether(src=ROUTER, dst=OWN[1]) / ip(4) / ping(4), "other_host"),
        (j.Ether(src=ROUTER, dst=OWN[0], type=0x88CC) / bytes(46), "unknown_ethertype"),
        (j.Ether(src=ROUTER, dst=OWN[0], type=46) / bytes(46), "ethernet_length_field"),
        (j.Ether(src=ROUTER, dst=OWN[0], type=1000) / bytes(46), "ethernet_bad_length"),
        (LINK / j.Dot1Q(vlan=5) / ip(4) / ping(4), "unknown_vlan"),
        (LINK / j.Dot1Q(vlan=4095) / ip(4) / ping(4), "vlan_reserved"),
        (bytes(LINK / j.Dot1Q(vlan=5))[:17], "vlan_truncated"),
        (LINK / j.Dot1Q() / j.Dot1Q() / j.Dot1Q() / ip(4), "vlan_too_deep"),
        (LINK / j.Dot1Q(vlan=0, type=46) / bytes(46), "vlan_length_field"),
        (LINK / ip(4) / j.UDP() / bytes(1500), "ethernet_oversize"),
    ],
)
def test_frames_that_end_at_layer_2(bench: EngineBench, frame: Any, verdict: str) -> None:
    assert bench.hear(frame) == {verdict: 1}
    assert bench.sent(0) == []


@pytest.mark.parametrize("depth", [1, 2])
@both
def test_priority_tags_are_looked_through(bench: EngineBench, family: int, depth: int) -> None:
    frame = LINK
    for _ in range(depth):
        frame /= j.Dot1Q(vlan=0, prio=5)
    assert bench.hear(frame / ip(family) / ping(family)) == {"transmitted": 1}
    reply = only(bench)
    assert (reply.dst, reply.src) == (ROUTER, OWN[0])
    assert j.Dot1Q not in reply


@both
def test_an_unsegmented_frame_may_be_long(bench: EngineBench, family: int) -> None:
    frame = LINK / ip(family) / j.UDP(dport=9) / bytes(9000)
    bench.put_large(frame, flags=UNSEGMENTED)
    before = bench.counts()
    bench.turn()
    assert bench.counts() - before == {"no_listener": 1, "transmitted": 1}
    bench.put_large(frame)
    bench.turn()
    assert (bench.counts() - before)["ethernet_oversize"] == 1


# --- layer 3 ------------------------------------------------------------------------------------------------------


@both
def test_padding_is_cut_off(bench: EngineBench, family: int) -> None:
    assert bench.hear(bytes(LINK / ip(family) / ping(family)) + b"padding") == {"transmitted": 1}
    assert bytes(only(bench)).endswith(b"hello")


@both
@pytest.mark.parametrize(
    ("src", "dst", "verdict"),
    [
        ("own", "own", "land"),
        ("loopback", "own", "martian_source"),
        ("group", "own", "martian_source"),
        ("nobody", "own", "martian_source"),
        ("client", "loopback", "martian_destination"),
        ("client", "nobody", "martian_destination"),
    ],
)
def test_martians_and_land(bench: EngineBench, family: int, src: str, dst: str, verdict: str) -> None:
    names = {
        4: {"own": OWN4[0], "loopback": "127.0.0.1", "group": "224.0.0.1", "nobody": "0.0.0.0"},
        6: {"own": OWN6[0], "loopback": "::1", "group": "ff02::1", "nobody": "::"},
    }[family] | {"client": CLIENT[family]}
    if family == 6 and src == "nobody":
        verdict = "unspecified_source"
    for layer in (ping(family), j.UDP(dport=53), j.TCP(dport=80)):
        if family == 6 and src == "nobody" and not isinstance(layer, j.UDP | j.TCP):
            continue
        frame = LINK / ip(family, src=names[src], dst=names[dst]) / layer
        assert bench.hear(frame) == {f"ipv{family}_{verdict}": 1}


def test_only_discovery_comes_from_nobody(bench: EngineBench) -> None:
    assert bench.hear(LINK / ip(6, src="::") / ping(6)) == {"ipv6_unspecified_source": 1}
    probe = j.Ether(src=ROUTER, dst=ALL_NODES) / ip(6, src="::", dst="ff02::1:ff00:1", ttl=255)
    assert bench.hear(probe / j.ICMPv6ND_NS(tgt=OWN6[0])) == {"transmitted": 1}


@both
def test_groups(bench: EngineBench, family: int) -> None:
    member, stranger = ("224.0.0.1", "224.0.0.251") if family == 4 else ("ff02::1", "ff02::fb")
    mac = ALL_HOSTS if family == 4 else ALL_NODES
    frame = j.Ether(src=ROUTER, dst=mac)
    assert bench.hear(frame / ip(family, dst=stranger) / ping(family)) == {"multicast_ignored": 1}
    assert bench.hear(frame / ip(family, dst=member) / ping(family)) == {"icmp_ignored": 1}
    assert bench.hear(frame / ip(family, dst=member) / j.UDP(dport=9)) == {"no_listener": 1}
    # a single host's address in a frame to everybody: nobody answers, nothing is balanced (RFC 1122 3.3.6)
    assert bench.hear(frame / ip(family, dst=SERVICE[family]) / j.TCP(dport=80, flags="S")) == {"not_for_us": 1}
    assert bench.hear(j.Ether(src=ROUTER, dst=ANY) / ip(family) / ping(family)) == {"icmp_ignored": 1}
    assert bench.sent(0) == []


def test_broadcasts(bench: EngineBench) -> None:
    everybody = j.Ether(src=ROUTER, dst=ANY)
    for dst in ("255.255.255.255", "192.0.2.255"):
        assert bench.hear(everybody / ip(4, dst=dst) / j.UDP(dport=67)) == {"no_listener": 1}
        assert bench.hear(LINK / ip(4, dst=dst) / ping(4)) == {"icmp_ignored": 1}
    assert bench.hear(everybody / ip(4, dst="198.51.100.255") / j.UDP(dport=67)) == {"not_for_us": 1}
    assert bench.sent(0) == []


EXTENSIONS = {
    "extension_hop_by_hop": (bytes(j.IPv6ExtHdrDestOpt(nh=0)) + bytes(j.IPv6ExtHdrHopByHop(nh=58)), 60, (1, 40)),
    "extension_routing": (b"\x3a\0\0\1\0\0\0\0", 43, (0, 42)),
    "extension_option_report": (b"\x3a\0\x80\4\0\0\0\0", 60, (2, 42)),
    "extension_option_report_unicast": (b"\x3a\0\xc0\4\0\0\0\0", 60, (2, 42)),
    "extension_option_discard": (b"\x3a\0\x40\4\0\0\0\0", 60, None),
    "extension_jumbo": (b"\x3a\0\xc2\4\0\1\0\0", 0, None),
    "extension_bad_option": (b"\x3a\0\1\xff\0\0\0\0", 60, None),
    "extension_too_many": (b"\x3c\0\1\4\0\0\0\0" * 100, 60, None),
    "extension_too_many_options": (b"\x3a\3" + b"\0" * 30, 60, None),
    "extension_truncated": (b"\x3a\xff\1\4\0\0\0\0", 60, None),
    "extension_fragment_atomic": (b"\x3a\0\0\0\0\0\0\1", 44, None),
    "extension_fragment_nested": (b"\x2c\0\0\1\0\0\0\1\x3a\0\0\1\0\0\0\1", 44, None),
}


@pytest.mark.parametrize("verdict", EXTENSIONS)
def test_extension_headers(bench: EngineBench, verdict: str) -> None:
    """Each ends with its own reason, and is reported where RFC 4443 3.4 says so."""
    octets, first, problem = EXTENSIONS[verdict]
    frame = LINK / ip(6, nh=first) / (octets + bytes(ip(6) / ping(6))[40:])
    expected = {verdict: 1, "transmitted": 1} if problem else {verdict: 1}
    assert bench.hear(frame) == expected
    if problem:
        error = only(bench)
        assert (error.payload.payload.type, error.payload.payload.code) == (4, problem[0])
        assert error.payload.payload.ptr == problem[1]
    group = j.Ether(src=ROUTER, dst=ALL_NODES) / ip(6, nh=first, dst="ff02::1") / octets
    told = verdict == "extension_option_report"  # that one about groups, too
    assert bench.hear(group) == ({verdict: 1, "transmitted": 1} if told else {verdict: 1})


def test_good_extension_headers_are_walked(bench: EngineBench) -> None:
    chain = ip(6) / j.IPv6ExtHdrHopByHop() / j.IPv6ExtHdrDestOpt() / j.IPv6ExtHdrRouting(segleft=0)
    assert bench.hear(LINK / chain / ping(6)) == {"transmitted": 1}
    assert bytes(only(bench)).endswith(b"hello")
    chain = ip(6, dst=SERVICE[6]) / j.IPv6ExtHdrDestOpt() / j.TCP(sport=900, dport=80, flags="S")
    assert bench.hear(LINK / chain) == {"transmitted": 1}
    assert only(bench, 1)[j.TCP].dport == 8080


def test_a_whole_that_hides_another_fragment(bench: EngineBench) -> None:
    """CVE-2020-11897: what is put together is no fragment again."""
    inner = bytes(j.IPv6ExtHdrDestOpt(nh=44)) + bytes(j.IPv6ExtHdrFragment(nh=58, m=1, id=3)) + bytes(8)
    parts = [(0, inner[:16], 1), (16, inner[16:], 0)]
    before = bench.counts()
    for start, octets, more in reversed(parts):
        header = j.IPv6ExtHdrFragment(nh=60, offset=start // 8, m=more, id=4)
        bench.hear(LINK / ip(6) / header / octets)
    found = bench.counts() - before
    assert found in ({"reassembled": 2, "extension_fragment_nested": 1}, {"extension_fragment_nested": 1})


def test_ipv4_options_are_passed_over(bench: EngineBench) -> None:
    frame = LINK / ip(4, dst=SERVICE[4], options=[j.Raw(b"\x94\4\0\0")]) / j.TCP(sport=901, dport=80, flags="S")
    assert bench.hear(frame) == {"transmitted": 1}
    assert only(bench, 1)[j.TCP].dport == 8080


# --- layer 4 ------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("layer", "verdict"),
    [
        (j.Raw(bytes(19)), "tcp_truncated"),
        (j.TCP(dport=80, flags="S", dataofs=4), "tcp_bad_offset"),
        (j.TCP(dport=80, flags="S", dataofs=9), "tcp_offset_beyond"),
        (j.TCP(dport=80, flags="SF"), "tcp_bad_flags"),
        (j.TCP(dport=80, flags="SR"), "tcp_bad_flags"),
        (j.TCP(dport=80, flags=""), "tcp_bad_flags"),
        (j.TCP(dport=80, flags="A"), "no_conn"),
        (j.TCP(dport=81, flags="S"), "no_listener"),
        (j.TCP(dport=81, flags="S", chksum=1), "tcp_bad_checksum"),
        (j.UDP(dport=53, len=9), "udp_bad_length"),
        (j.UDP(dport=53, len=7), "udp_bad_length"),
        (j.Raw(b"\0\1\0\1\0\1\0"), "udp_truncated"),
        (j.UDP(dport=9, chksum=1), "udp_bad_checksum"),
        (j.UDP(dport=9), "no_listener"),
    ],
)
def test_transports(bench: EngineBench, family: int, layer: Any, verdict: str) -> None:
    """What is shaped wrongly ends before anybody asks whether it is balanced; what comes to us is verified."""
    dst = SERVICE[family] if verdict == "no_conn" or getattr(layer, "dport", 0) in (80, 53) else ip(family).dst
    number = 17 if verdict == "udp_truncated" or isinstance(layer, j.UDP) else 6
    fields = {"proto": number} if family == 4 else {"nh": number}
    found = bench.hear(LINK / ip(family, dst=dst, **fields) / layer)
    assert found == ({verdict: 1, "transmitted": 1} if verdict == "no_listener" else {verdict: 1})
    if verdict == "no_listener":
        error = only(bench)
        if isinstance(layer, j.TCP):
            assert error[j.TCP].flags == "RA"
            return
        kind = error[j.ICMP] if family == 4 else error[j.ICMPv6DestUnreach]
        assert (kind.type, kind.code) == ((3, 3) if family == 4 else (1, 4))


def test_udp_without_a_checksum(bench: EngineBench) -> None:
    assert bench.hear(LINK / ip(4) / j.UDP(dport=9, chksum=0)) == {"no_listener": 1, "transmitted": 1}
    assert bench.hear(LINK / ip(6) / j.UDP(dport=9, chksum=0)) == {"udp_no_checksum": 1}


@pytest.mark.parametrize("flag", [CHECKSUM_GOOD, CHECKSUM_PARTIAL])
@both
def test_who_vouches_for_a_checksum_is_believed(bench: EngineBench, family: int, flag: int) -> None:
    assert bench.hear(LINK / ip(family) / j.TCP(dport=9, chksum=1), flags=flag) == {"no_listener": 1, "transmitted": 1}


@both
def test_an_unknown_protocol(bench: EngineBench, family: int) -> None:
    frame = LINK / ip(family, **({"proto": 253} if family == 4 else {"nh": 253})) / bytes(20)
    assert bench.hear(frame) == {"unknown_protocol": 1, "transmitted": 1}
    error = only(bench)
    if family == 4:
        assert (error[j.ICMP].type, error[j.ICMP].code) == (3, 2)
    else:
        problem = error.payload.payload
        assert (problem.type, problem.code, problem.ptr) == (4, 1, 6)


@both
def test_icmp_of_the_other_family_is_an_unknown_protocol(bench: EngineBench, family: int) -> None:
    frame = LINK / ip(family, **({"proto": 58} if family == 4 else {"nh": 1})) / bytes(20)
    assert bench.hear(frame)["unknown_protocol"] == 1
