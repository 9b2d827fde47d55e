"""Neighbour discovery: what test_arp.py shows for IPv4 (RFC 4861, RFC 4862)."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Any

from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether

from pronghorn.net.configure import add_address
from tests.net.fixture import OWN, PEER, NetBench, advertisement

OTHER = "02:00:00:00:00:bb"
ALL = "33:33:00:00:00:01"


def solicitation(target: str, sender: str = "2001:db8:1::7", mac: str = PEER, option: bool = True) -> Any:
    last = target.split(":")[-1]
    to, group = f"33:33:ff:00:00:{int(last, 16):02x}", f"ff02::1:ff00:{last}"
    frame = Ether(src=mac, dst=to) / IPv6(src=sender, dst=group, hlim=255) / ICMPv6ND_NS(tgt=target)
    return frame / ICMPv6NDOptSrcLLAddr(lladdr=mac) if option else frame


def test_a_solicitation_is_answered_in_its_own_packet(bench: NetBench) -> None:
    assert bench.hear(solicitation("2001:db8:1::1")) == "queued"
    (answer,) = bench.frames()
    assert bytes(answer) == bytes(
        Ether(src=OWN[0], dst=PEER)
        / IPv6(src="2001:db8:1::1", dst="2001:db8:1::7", hlim=255)
        / ICMPv6ND_NA(tgt="2001:db8:1::1", R=0, S=1, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=OWN[0])
    )
    assert bench.state("2001:db8:1::7") == "stale"


def test_a_solicitation_from_a_link_local_address(bench: NetBench) -> None:
    assert bench.hear(solicitation("2001:db8:1::1", "fe80::7")) == "queued"
    (answer,) = bench.frames()
    assert answer[IPv6].dst == "fe80::7"
    assert bench.state("fe80::7") == "stale"


def test_the_link_local_address_is_asked_for_on_its_own_link(bench: NetBench) -> None:
    target = "fe80::ff:fe00:10"
    assert bench.hear(solicitation(target)) == "queued"
    assert bench.frames()[0][ICMPv6ND_NA].tgt == target
    assert bench.hear(solicitation(target, "2001:db8:2::7"), 1) == "nd_not_for_us"


def test_a_unicast_question_without_an_option_is_answered_to_its_frame(bench: NetBench) -> None:
    frame = solicitation("2001:db8:1::1", option=False)
    frame.dst, frame[IPv6].dst = OWN[0], "2001:db8:1::1"
    assert bench.hear(frame) == "queued"
    assert bench.frames()[0].dst == PEER
    assert bench.state("2001:db8:1::7") == "none"


def test_a_probe_for_a_duplicate_is_answered_to_all(bench: NetBench) -> None:
    """RFC 4862 5.4.3, RFC 4861 7.2.4."""
    assert bench.hear(solicitation("2001:db8:1::1", "::", option=False)) == "queued"
    (answer,) = bench.frames()
    assert (answer.dst, answer[IPv6].dst) == (ALL, "ff02::1")
    assert (answer[ICMPv6ND_NA].S, answer[ICMPv6ND_NA].O) == (0, 1)
    assert bench.net.neighbour_high == 0


def test_every_owned_address_is_answered_for(bench: NetBench) -> None:
    add_address(bench.worker, 0, ip_interface("2001:db8:80::80/128"))
    bench.settle()
    assert bench.hear(solicitation("2001:db8:80::80", "2001:db8:2::7"), 1) == "queued"
    assert bench.frames(1)[0][ICMPv6ND_NA].tgt == "2001:db8:80::80"


def test_an_asker_of_another_network_is_answered_and_not_learnt(bench: NetBench) -> None:
    assert bench.hear(solicitation("2001:db8:1::1", "2001:db8:77::7")) == "queued"
    assert bench.net.neighbour_high == 0


def test_messages_about_others(bench: NetBench) -> None:
    assert bench.hear(solicitation("2001:db8:1::8")) == "nd_not_for_us"
    assert bench.hear(advertisement("2001:db8:1::8")) == "nd_unsolicited"
    assert bench.net.neighbour_high == 0


def test_routers_are_held_against_their_rules_and_ignored(bench: NetBench) -> None:
    """Addresses and routes are configured: nobody on a link may change them."""
    head = Ether(src=PEER, dst=ALL) / IPv6(src="fe80::7", dst="ff02::1", hlim=255)
    assert bench.hear(head / ICMPv6ND_RA()) == "icmp_ignored"
    assert bench.hear(head / ICMPv6ND_RS()) == "icmp_ignored"
    assert bench.hear(head / ICMPv6ND_Redirect(tgt="fe80::8", dst="2001:db8::9")) == "icmp_ignored"
    head[IPv6].src = "2001:db8:1::7"
    assert bench.hear(head / ICMPv6ND_RA()) == "nd_bad_source"


def test_the_table_of_rfc_4861_7_2_5(bench: NetBench) -> None:
    """Flags of an advertisement that differs from what is known, by the state of the entry."""
    address = "2001:db8:1::7"
    bench.meet(address)
    assert bench.hear(advertisement(address, OTHER, S=1, O=0)) == "consumed"
    assert (bench.state(address), bench.neighbour(address).mac & 0xFF) == ("stale", 0xAA)
    assert bench.hear(advertisement(address, OTHER, S=1, O=0)) == "consumed"
    assert (bench.state(address), bench.neighbour(address).mac & 0xFF) == ("stale", 0xAA)
    assert bench.hear(advertisement(address, OTHER, S=0, O=1)) == "consumed"
    assert (bench.state(address), bench.neighbour(address).mac & 0xFF) == ("stale", 0xBB)
    bench.send(IPv6(src="2001:db8:2::9", dst=address) / UDP(), 1)
    assert bench.state(address) == "delay"
    assert bench.hear(advertisement(address, OTHER, S=1, O=0)) == "consumed"
    assert bench.state(address) == "reachable"
    assert bench.hear(advertisement(address, OTHER, S=0, O=1)) == "consumed"
    assert bench.state(address) == "reachable"


def test_an_unsolicited_answer_leaves_the_neighbour_stale(bench: NetBench) -> None:
    address = "2001:db8:1::7"
    assert bench.send(IPv6(src="2001:db8:2::9", dst=address) / UDP(), 1) == "held"
    assert bench.hear(advertisement(address, S=0)) == "consumed"
    assert bench.state(address) == "stale"
    assert len(bench.frames()) == 2


def test_an_answer_without_an_address_is_no_answer(bench: NetBench) -> None:
    address = "2001:db8:1::7"
    bench.send(IPv6(src="2001:db8:2::9", dst=address) / UDP(), 1)
    ip = IPv6(src=address, dst="fe80::ff:fe00:10", hlim=255)
    assert bench.hear(Ether(src=PEER, dst=OWN[0]) / ip / ICMPv6ND_NA(tgt=address, S=1)) == "consumed"
    assert bench.state(address) == "incomplete"
    assert bench.hear(advertisement(address)) == "consumed"


def test_new_addresses_are_announced(bench: NetBench) -> None:
    """RFC 4861 7.2.6: unsolicited, to all nodes, and it overrides."""
    add_address(bench.worker, 1, ip_interface("2001:db8:2::80/64"))
    bench.wait(0.1)
    (frame,) = bench.frames(1)
    assert (frame.dst, frame[IPv6].dst, frame[IPv6].src) == (ALL, "ff02::1", "2001:db8:2::80")
    assert (frame[ICMPv6ND_NA].S, frame[ICMPv6ND_NA].O, frame[ICMPv6ND_NA].tgt) == (0, 1, "2001:db8:2::80")


def test_a_router_says_so() -> None:
    from pronghorn.net.state import FORWARDING

    bench = NetBench()
    bench.net.interfaces[0].flags |= FORWARDING
    bench.hear(solicitation("2001:db8:1::1"))
    assert bench.frames()[0][ICMPv6ND_NA].R == 1
    bench.close()
