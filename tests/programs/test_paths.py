"""From the network to a program and back: claims, blocks, families, what passes as it is, and program to program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from scapy.layers import inet

from pronghorn.net.configure import change_mtu
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED
from tests.input.frames import both
from tests.programs.bench import FAR, Gateway
from tests.support.feed import CLIENT, OWN, OWN4, OWN6, ROUTER
from tests.wire import judges as j

LINK = j.Ether(src=ROUTER, dst=OWN[0])
HERE = {4: OWN4[0], 6: OWN6[0]}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as made:
        yield made


def fragment(packet: Any, octets: int) -> Any:
    return inet.fragment(packet, octets)  # type: ignore[no-untyped-call]


def ip(family: int, src: str, dst: str) -> Any:
    return j.IP(src=src, dst=dst, ttl=7) if family == 4 else j.IPv6(src=src, dst=dst, hlim=7)


def came(family: int, layer4: Any, client: str = "") -> Any:
    """A frame from a client to us."""
    return LINK / ip(family, client or CLIENT[family], HERE[family]) / layer4


def said(family: int, layer4: Any, dst: str = "", src: str = "") -> Any:
    """A frame from a program."""
    return j.Ether(src="aa:aa:aa:aa:aa:aa", dst="ff:ff:ff:ff:ff:ff") / ip(
        family, src or HERE[family], dst or CLIENT[family]
    ) / layer4  # fmt: skip


@both
def test_to_a_claimed_port_and_back(gateway: Gateway, family: int) -> None:
    web = gateway.attach(1)
    assert gateway.claim(1, "tcp", 80) == 0
    syn = came(family, j.TCP(sport=1024, dport=80, flags="S", seq=7))
    assert gateway.hear(syn) == {"transmitted": 1}
    (frame,) = web.hears()
    assert frame[14:] == bytes(syn)[14:], "the packet as it was, no hop less"
    assert j.Ether(frame).dst == FAR
    answer = said(family, j.TCP(sport=80, dport=1024, flags="SA", seq=9, ack=8))
    assert gateway.tell(1, answer) == {"transmitted": 1}
    (sent,) = gateway.sent(0)
    assert sent[14:] == bytes(answer)[14:]
    assert (j.Ether(sent).src, j.Ether(sent).dst) == (OWN[0], ROUTER)
    facts = gateway.facts(1)
    assert (facts.packets_in, facts.packets_out, facts.flows, facts.drops, facts.linked) == (1, 1, 1, {}, True)


@both
def test_answers_to_ports_of_the_block(gateway: Gateway, family: int) -> None:
    one, other = gateway.attach(1), gateway.attach(2)
    for protocol in (j.TCP, j.UDP):
        assert gateway.tell(2, said(family, protocol(sport=2099, dport=80))) == {"transmitted": 1}
        assert gateway.hear(came(family, protocol(sport=80, dport=2099))) == {"transmitted": 1}
        assert (len(one.hears()), len(other.hears())) == (0, 1)
    assert gateway.facts(2).flows == 1, "datagrams need no record"
    assert gateway.hear(came(family, j.UDP(sport=80, dport=2100))).get("no_listener") == 1


def test_one_address_of_several(gateway: Gateway) -> None:
    one, other = gateway.attach(1), gateway.attach(2)
    assert gateway.claim(1, "udp", 53, HERE[4]) == 0
    assert gateway.claim(2, "udp", 53, HERE[6]) == 0
    gateway.hear(came(4, j.UDP(sport=1, dport=53)))
    gateway.hear(came(6, j.UDP(sport=1, dport=53)))
    assert (len(one.hears()), len(other.hears())) == (1, 1)
    other_address = LINK / j.IP(src=CLIENT[4], dst=OWN4[1]) / j.UDP(sport=1, dport=53)
    assert gateway.hear(other_address).get("no_listener") == 1, "an address that the program was not given"
    assert gateway.claim(1, "udp", 54) == 0
    other_address[j.UDP].dport = 54
    assert gateway.hear(other_address).get("no_listener") == 1, "any address of those it was given"


def test_given_back_ports_are_free_and_connections_go_on(gateway: Gateway) -> None:
    web = gateway.attach(1)
    gateway.claim(1, "tcp", 80)
    gateway.hear(came(4, j.TCP(sport=1024, dport=80, flags="S")))
    assert gateway.release(1, "tcp", 80) == 0
    assert gateway.release(1, "tcp", 80) != 0
    assert gateway.hear(came(4, j.TCP(sport=1025, dport=80, flags="S"))).get("no_listener") == 1
    assert gateway.hear(came(4, j.TCP(sport=1024, dport=80, flags="A"))) == {"transmitted": 1}
    assert len(web.hears()) == 2
    assert gateway.tell(1, said(4, j.TCP(sport=80, dport=1024, flags="A"))) == {"transmitted": 1}


def test_unfinished_and_unsegmented_frames_pass_as_they_are(gateway: Gateway) -> None:
    one, other = gateway.attach(1), gateway.attach(2)
    gateway.claim(2, "tcp", 80)
    long = said(4, j.TCP(sport=1001, dport=80, flags="A") / j.Raw(bytes(9000)), dst=HERE[4])
    one.send(0, bytes(long), flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1460)
    gateway.turn()
    (packet,) = other.packets(0)
    assert (packet.flags, packet.gso_size, packet.length) == (CHECKSUM_PARTIAL | UNSEGMENTED, 1460, 14 + 40 + 9000)
    other.drop(packet)


@both
def test_program_to_program(gateway: Gateway, family: int) -> None:
    """At the same address: source and destination are equal."""
    one, other = gateway.attach(1), gateway.attach(2)
    gateway.claim(2, "tcp", 80)
    syn = said(family, j.TCP(sport=1001, dport=80, flags="S"), dst=HERE[family])
    assert gateway.tell(1, syn) == {"transmitted": 1}
    assert [frame[14:] for frame in other.hears()] == [bytes(syn)[14:]]
    answer = said(family, j.TCP(sport=80, dport=1001, flags="SA"), dst=HERE[family])
    assert gateway.tell(2, answer) == {"transmitted": 1}
    assert [frame[14:] for frame in one.hears()] == [bytes(answer)[14:]]


@both
def test_nobody_listens_there(gateway: Gateway, family: int) -> None:
    one = gateway.attach(1)
    gateway.tell(1, said(family, j.TCP(sport=1001, dport=81, flags="S", seq=5), dst=HERE[family]))
    gateway.turn()
    (reset,) = one.hears()
    assert (j.Ether(reset)[j.TCP].flags, j.Ether(reset)[j.TCP].ack) == ("RA", 6)
    gateway.tell(1, said(family, j.UDP(sport=1001, dport=81), dst=HERE[family]))
    gateway.turn()
    (error,) = one.hears()
    message = j.Ether(error)
    assert message[j.ICMP].code == 3 if family == 4 else message[j.ICMPv6DestUnreach].code == 4


@both
def test_echo(gateway: Gateway, family: int) -> None:
    one = gateway.attach(1)
    request = j.ICMP(id=1005) if family == 4 else j.ICMPv6EchoRequest(id=1005)
    assert gateway.tell(1, said(family, request)) == {"transmitted": 1}
    reply = j.ICMP(type=0, id=1005) if family == 4 else j.ICMPv6EchoReply(id=1005)
    assert gateway.hear(came(family, reply)) == {"transmitted": 1}
    assert len(one.hears()) == 1
    gateway.tell(1, said(family, request, dst=HERE[family]))  # the gateway answers
    gateway.turn()
    assert len(one.hears()) == 1
    stray = j.ICMP(type=0, id=5) if family == 4 else j.ICMPv6EchoReply(id=5)
    assert gateway.hear(came(family, stray)) == {"icmp_ignored": 1}
    assert gateway.hear(came(family, request)) == {"transmitted": 1}
    assert one.hears() == [], "requests are answered by the gateway"


@both
def test_errors_about_a_programs_packets(gateway: Gateway, family: int) -> None:
    one, other = gateway.attach(1), gateway.attach(2)
    gateway.claim(1, "udp", 53)
    for layer4, taker in (
        (j.UDP(sport=53, dport=9), one),
        (j.TCP(sport=2001, dport=80), other),
        (j.ICMP(id=1007) if family == 4 else j.ICMPv6EchoRequest(id=1007), one),
    ):
        quoted = bytes(ip(family, HERE[family], CLIENT[family]) / layer4)
        error: Any = j.ICMP(type=3, code=4, nexthopmtu=1300) if family == 4 else j.ICMPv6PacketTooBig(mtu=1300)
        gateway.hear(came(family, error / j.Raw(quoted)))
        assert len(taker.hears()) == 1, layer4.summary()
    quoted = bytes(ip(family, HERE[family], CLIENT[family]) / j.UDP(sport=54, dport=9))
    error = j.ICMP(type=3, code=3) if family == 4 else j.ICMPv6DestUnreach(code=4)
    gateway.hear(came(family, error / j.Raw(quoted)))
    assert one.hears() + other.hears() == []


@both
def test_what_the_way_does_not_take_the_program_hears(gateway: Gateway, family: int) -> None:
    one = gateway.attach(1)
    gateway.everywhere(lambda worker: change_mtu(worker, 0, 1300))
    data = said(family, j.TCP(sport=1001, dport=80, flags="A") / j.Raw(bytes(1400)))
    if family == 4:
        data[j.IP].flags = "DF"
    assert gateway.tell(1, data).get("too_big") == 1
    gateway.turn()
    (error,) = one.hears()
    frame = j.Ether(error)
    assert (frame[j.ICMP].nexthopmtu if family == 4 else frame[j.ICMPv6PacketTooBig].mtu) == 1300
    long = said(family, j.TCP(sport=1001, dport=80, flags="A") / j.Raw(bytes(1400)))
    gateway.tell(1, long, flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1390)
    gateway.turn()
    assert len(one.hears()) == 1
    assert gateway.facts(1).drops == {"too_big": 2}


def test_pieces_are_put_together_and_cut_again(gateway: Gateway) -> None:
    one = gateway.attach(1)
    whole = j.IP(src=HERE[4], dst=CLIENT[4], id=9) / j.UDP(sport=1001, dport=53) / j.Raw(bytes(2000))
    pieces = [j.Ether() / piece for piece in fragment(whole, 1400)]
    gateway.tell(1, *pieces)
    assert len(gateway.sent(0)) == 2
    forged = j.IP(src=HERE[4], dst=CLIENT[4], id=10) / j.UDP(sport=81, dport=53) / j.Raw(bytes(2000))
    assert gateway.tell(1, *[j.Ether() / piece for piece in fragment(forged, 1400)]).get("program_port") == 1
    gateway.claim(1, "udp", 53)
    came_whole = j.IP(src=CLIENT[4], dst=HERE[4], id=9) / j.UDP(sport=1, dport=53) / j.Raw(bytes(2000))
    for piece in fragment(came_whole, 1400):
        gateway.hear(LINK / piece)
    assert len(one.hears()) == 2
