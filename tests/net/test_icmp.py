"""ICMP and ICMPv6: echo, errors and when not to send them, rate limits (RFC 792, RFC 1122, RFC 4443)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import Ether

from pronghorn.net import errors
from pronghorn.net.icmpv6 import parameter_problem
from pronghorn.net.rates import DESTINATION_BURST, ECHO_BURST, ERROR_BURST
from pronghorn.state.packet import BROADCAST, MULTICAST, ORIGINATED
from tests.net.fixture import OWN, PEER, ROUTER, NetBench

CLIENT4, CLIENT6 = "192.0.2.7", "2001:db8:1::7"


def ping4(octets: int = 56, dst: str = "192.0.2.1", **fields: Any) -> Any:
    message = ICMP(type=8, id=9, seq=3) / bytes(range(256))[:octets]
    return Ether(src=PEER, dst=OWN[0]) / IP(src=CLIENT4, dst=dst, ttl=17, **fields) / message


def ping6(octets: int = 56, dst: str = "2001:db8:1::1", src: str = CLIENT6) -> Any:
    message = ICMPv6EchoRequest(id=9, seq=3, data=bytes(range(256))[:octets])
    return Ether(src=PEER, dst=OWN[0]) / IPv6(src=src, dst=dst, hlim=17) / message


@pytest.mark.parametrize("octets", [0, 1, 56, 255])
def test_echo(bench: NetBench, octets: int) -> None:
    bench.meet(CLIENT4)
    bench.meet(CLIENT6)
    assert bench.hear(ping4(octets)) == "queued"
    assert bench.hear(ping6(octets)) == "queued"
    four, six = bench.frames()
    reply = ICMP(type=0, id=9, seq=3) / bytes(range(256))[:octets]
    assert bytes(four) == bytes(Ether(src=OWN[0], dst=PEER) / IP(src="192.0.2.1", dst=CLIENT4, ttl=64) / reply)
    reply6 = ICMPv6EchoReply(id=9, seq=3, data=bytes(range(256))[:octets])
    wanted = Ether(src=OWN[0], dst=PEER) / IPv6(src="2001:db8:1::1", dst=CLIENT6, hlim=64) / reply6
    assert bytes(six) == bytes(wanted)


def test_echo_over_the_router_and_from_a_link_local_address(bench: NetBench) -> None:
    bench.meet("192.0.2.254", ROUTER)
    frame = ping4()
    frame[IP].src = "8.8.8.8"
    assert bench.hear(frame) == "queued"
    assert bench.frames()[0].dst == ROUTER
    assert bench.hear(ping6(src="fe80::7", dst="fe80::ff:fe00:10")) == "held"
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr

    ip = IPv6(src="fe80::7", dst="fe80::ff:fe00:10", hlim=255)
    answer = ICMPv6ND_NA(tgt="fe80::7", S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=PEER)
    assert bench.hear(Ether(src=PEER, dst=OWN[0]) / ip / answer) == "consumed"
    assert bench.frames()[-1][IPv6].dst == "fe80::7"


def test_groups_are_not_answered(bench: NetBench) -> None:
    """Smurf: the answer of a whole network to one packet."""
    for dst in ("192.0.2.255", "255.255.255.255", "224.0.0.1"):
        assert bench.hear(ping4(dst=dst)) == "icmp_ignored"
    frame = ping4()
    frame.dst = "ff:ff:ff:ff:ff:ff"
    assert bench.hear(frame) == "icmp_ignored"
    assert bench.hear(ping6(dst="ff02::1")) == "icmp_ignored"
    assert not bench.sent()


def test_replies_and_unknown_messages_are_ignored(bench: NetBench) -> None:
    for kind in (0, 13, 17, 200):
        frame = ping4()
        frame[ICMP].type = kind
        assert bench.hear(frame) == "icmp_ignored"
    head = Ether(src=PEER, dst=OWN[0]) / IPv6(src=CLIENT6, dst="2001:db8:1::1")
    assert bench.hear(head / ICMPv6EchoReply(id=1)) == "icmp_ignored"


def test_echo_replies_are_limited(bench: NetBench) -> None:
    bench.meet(CLIENT4)
    verdicts, ping = [], bytes(ping4(0))
    for _ in range(ECHO_BURST + 5):
        verdicts.append(bench.hear(ping))
        bench.sent()
    assert verdicts == ["queued"] * ECHO_BURST + ["icmp_rate_limited"] * 5
    bench.pass_time(0.001)
    assert [bench.hear(ping) for _ in range(11)] == ["queued"] * 10 + ["icmp_rate_limited"]


# --- errors -------------------------------------------------------------------------------------------------------

DATAGRAM4 = IP(src=CLIENT4, dst="192.0.2.1") / UDP(sport=5, dport=53) / b"question"
DATAGRAM6 = IPv6(src=CLIENT6, dst="2001:db8:1::1") / UDP(sport=5, dport=53) / b"question"
REPORTS: list[tuple[Callable[..., None], tuple[int, int], tuple[int, int]]] = [
    (errors.report_no_route, (3, 0), (1, 0)),
    (errors.report_unreachable, (3, 1), (1, 3)),
    (errors.report_port_unreachable, (3, 3), (1, 4)),
    (errors.report_expired, (11, 0), (3, 0)),
    (errors.report_incomplete, (11, 1), (3, 1)),
]


def report(bench: NetBench, ip: Any, function: Callable[..., None], *more: int, flags: int = 0) -> int:
    """Report the packet; how many frames that sent on port 0."""
    packet = bench.made(ip, 0, flags)
    function(bench.worker, packet, *more)
    bench.end(packet, 148)
    return bench.worker.queues[0].waiting


@pytest.mark.parametrize(("function", "four", "six"), REPORTS)
def test_errors(bench: NetBench, function: Any, four: tuple[int, int], six: tuple[int, int]) -> None:
    bench.meet(CLIENT4)
    bench.meet(CLIENT6)
    assert report(bench, DATAGRAM4, function) == 1
    assert report(bench, DATAGRAM6, function) == 2
    error4, error6 = bench.frames()
    assert (error4[ICMP].type, error4[ICMP].code) == four
    assert (error4[IP].src, error4[IP].dst, error4.dst) == ("192.0.2.1", CLIENT4, PEER)
    assert bytes(error4)[42:] == bytes(DATAGRAM4)
    assert (bytes(error6)[54], bytes(error6)[55]) == six
    assert (error6[IPv6].src, error6[IPv6].dst, error6.dst) == ("2001:db8:1::1", CLIENT6, PEER)
    assert bytes(error6)[62:] == bytes(DATAGRAM6)
    assert ICMPv6DestUnreach in error6 or ICMPv6TimeExceeded in error6


def test_unknown_protocol(bench: NetBench) -> None:
    bench.meet(CLIENT4)
    bench.meet(CLIENT6)
    report(bench, DATAGRAM4, errors.report_unknown_protocol)
    report(bench, DATAGRAM6, errors.report_unknown_protocol)
    packet = bench.made(DATAGRAM6)
    parameter_problem(bench.worker, packet, 0, 42, 0)
    bench.end(packet, 148)
    packet = bench.made(IPv6(src=CLIENT6, dst="2001:db8:1::1") / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt(nh=253))
    packet.transport += 16
    errors.report_unknown_protocol(bench.worker, packet)
    bench.end(packet, 148)
    four, six, other, last = bench.frames()
    assert (last[ICMPv6ParamProblem].code, last[ICMPv6ParamProblem].ptr) == (1, 48)
    assert (four[ICMP].type, four[ICMP].code) == (3, 2)
    assert (six[ICMPv6ParamProblem].code, six[ICMPv6ParamProblem].ptr) == (1, 6)
    assert (other[ICMPv6ParamProblem].code, other[ICMPv6ParamProblem].ptr) == (0, 42)


def test_padding_is_not_quoted(bench: NetBench) -> None:
    bench.meet(CLIENT4)
    packet = bench.made(DATAGRAM4)
    packet.length += 10
    errors.report_port_unreachable(bench.worker, packet)
    bench.end(packet, 148)
    assert len(bench.sent()[0]) == 42 + len(DATAGRAM4)


QUENCHED = {
    "an ICMP error": IP(src=CLIENT4, dst="192.0.2.1") / ICMP(type=3, code=1) / DATAGRAM4,
    "an ICMP header that is not there": IP(src=CLIENT4, dst="192.0.2.1", proto=1),
    "a later fragment": IP(src=CLIENT4, dst="192.0.2.1", frag=3, proto=17) / b"12345678",
    "to a group": IP(src=CLIENT4, dst="224.0.0.1") / UDP(),
    "to everybody": IP(src=CLIENT4, dst="255.255.255.255") / UDP(),
    "to all of a network": IP(src=CLIENT4, dst="192.0.2.255") / UDP(),
    "from all of a network": IP(src="192.0.2.255", dst="192.0.2.1") / UDP(),
    "from nobody": IP(src="0.0.0.0", dst="192.0.2.1") / UDP(),
    "from a group": IP(src="224.0.0.9", dst="192.0.2.1") / UDP(),
    "from ourselves": IP(src="198.51.100.1", dst="192.0.2.1") / UDP(),
    "an ICMPv6 error": IPv6(src=CLIENT6, dst="2001:db8:1::1") / ICMPv6DestUnreach() / DATAGRAM6,
    "an ICMPv6 header that is not there": IPv6(src=CLIENT6, dst="2001:db8:1::1", nh=58),
    "a later IPv6 fragment": IPv6(src=CLIENT6, dst="2001:db8:1::1") / IPv6ExtHdrFragment(offset=9, nh=17) / b"12345678",
    "to an IPv6 group": IPv6(src=CLIENT6, dst="ff02::1") / UDP(),
    "from an IPv6 group": IPv6(src="ff02::9", dst="2001:db8:1::1") / UDP(),
    "from no IPv6 address": IPv6(src="::", dst="2001:db8:1::1") / UDP(),
    "from our IPv6 address": IPv6(src="2001:db8:2::1", dst="2001:db8:1::1") / UDP(),
}


@pytest.mark.parametrize("what", QUENCHED)
def test_no_error_about(bench: NetBench, what: str) -> None:
    """RFC 1122 3.2.2, RFC 1812 4.3.2.7, RFC 4443 2.4 (e)."""
    assert report(bench, QUENCHED[what], errors.report_unreachable) == 0
    assert bench.net.errors_sent == 0
    assert not bench.worker.held


@pytest.mark.parametrize("flags", [BROADCAST, MULTICAST, ORIGINATED])
def test_no_error_about_frames_to_many_or_of_our_own(bench: NetBench, flags: int) -> None:
    bench.worker.originated += 2 if flags == ORIGINATED else 0
    bench.worker.received -= 2 if flags == ORIGINATED else 0
    assert report(bench, DATAGRAM4, errors.report_unreachable, flags=flags) == 0
    assert report(bench, DATAGRAM6, errors.report_unreachable, flags=flags) == 0


def test_an_error_about_an_echo_is_sent(bench: NetBench) -> None:
    bench.meet(CLIENT4)
    bench.meet(CLIENT6)
    assert report(bench, ping4()[IP], errors.report_unreachable) == 1
    assert report(bench, ping6()[IPv6], errors.report_unreachable) == 2
    assert report(bench, IP(src=CLIENT4, dst="192.0.2.1") / TCP(), errors.report_unreachable) == 3


def test_too_big_is_reported_to_senders_to_groups(bench: NetBench) -> None:
    """RFC 4443 2.4 (e.3): path MTU discovery works for multicast."""
    bench.meet(CLIENT6)
    group = IPv6(src=CLIENT6, dst="ff0e::9") / UDP() / bytes(1400)
    assert report(bench, group, errors.report_too_big, 1280, flags=MULTICAST) == 1
    assert bench.frames()[0][IPv6].src == "2001:db8:1::1"


def test_errors_to_one_destination_are_limited(bench: NetBench) -> None:
    bench.meet(CLIENT4)
    bench.meet("192.0.2.8")
    for _ in range(20):
        report(bench, DATAGRAM4, errors.report_unreachable)
    assert len(bench.sent()) == DESTINATION_BURST
    other = IP(src="192.0.2.8", dst="192.0.2.1") / UDP()
    assert report(bench, other, errors.report_unreachable) == 1
    assert bench.net.errors_limited == 20 - DESTINATION_BURST
    bench.sent()
    bench.pass_time(0.2)
    for _ in range(20):
        report(bench, DATAGRAM4, errors.report_unreachable)
    assert len(bench.sent()) == 2


def test_all_errors_are_limited_and_not_by_a_number_that_can_be_counted(bench: NetBench) -> None:
    """CVE-2020-25705: a fixed common limit tells a stranger which probes were answered."""
    sent = set()
    packets = [bytes(IP(src=f"192.0.2.{n}", dst="192.0.2.1") / UDP()) for n in range(2, 62)]
    for _ in range(12):  # two numbers are the same in one of ten cases
        before = bench.net.errors_sent
        for packet in packets:
            for _ in range(2):
                report(bench, packet, errors.report_unreachable)
                bench.sent()
        sent.add(bench.net.errors_sent - before)
        bench.wait(6)
    assert all(ERROR_BURST // 2 <= count <= ERROR_BURST for count in sent)
    assert len(sent) > 1
