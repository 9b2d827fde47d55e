"""The neighbour table: RFC 4861's states for both families, limits, and who is evicted."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Ether

from pronghorn.net.configure_routes import NetError, add_neighbour, remove_neighbour
from pronghorn.net.create import Limits
from pronghorn.net.resolve import RETRANSMIT, neighbour_output, resolve4, resolve6
from pronghorn.net.state import SECOND
from pronghorn.net.timers import net_next, net_timers
from pronghorn.state.worker import NEVER
from pronghorn.wire.text import parse_ip4, parse_ip6
from tests.net.fixture import PEER, ROUTER, NetBench, advertisement, reply, request

FAMILIES = ("192.0.2.7", "2001:db8:1::7")


def datagram(to: str, octets: int = 4) -> Any:
    ip = IPv6(src="2001:db8:2::9", dst=to) if ":" in to else IP(src="198.51.100.9", dst=to)
    return ip / UDP(sport=1, dport=2) / (b"x" * octets)


def answer(address: str, mac: str = PEER) -> Any:
    return advertisement(address, mac) if ":" in address else reply(address, mac)


def is_question(frame: Any, address: str) -> bool:
    if ":" in address:
        return ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt == address
    return ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst == address


@pytest.mark.parametrize("address", FAMILIES)
def test_the_states_of_a_neighbour(bench: NetBench, address: str) -> None:
    assert bench.send(datagram(address), 1) == "held"
    assert bench.state(address) == "incomplete"
    (question,) = bench.frames()
    assert is_question(question, address)
    if ":" in address:
        assert (question.dst, question[IPv6].dst) == ("33:33:ff:00:00:07", "ff02::1:ff00:7")
        assert question[IPv6].src == "fe80::ff:fe00:10"
    else:
        assert (question.dst, question[ARP].psrc) == ("ff:ff:ff:ff:ff:ff", "192.0.2.1")
    assert bench.hear(answer(address)) == "consumed"
    assert bench.state(address) == "reachable"
    (sent,) = bench.frames()
    assert (sent.src, sent.dst) == ("02:00:00:00:00:10", PEER)
    assert bytes(sent.payload) == bytes(datagram(address))
    assert bench.send(datagram(address), 1) == "queued"
    bench.wait(50)
    assert bench.state(address) == "stale"
    assert len(bench.frames()) == 1
    assert bench.send(datagram(address), 1) == "queued"
    assert bench.state(address) == "delay"
    bench.wait(5.2)
    assert bench.state(address) == "probe"
    _, question = bench.frames()
    assert is_question(question, address)
    assert question.dst == PEER
    assert bench.hear(answer(address)) == "consumed"
    assert bench.state(address) == "reachable"


@pytest.mark.parametrize("address", FAMILIES)
def test_a_probe_without_answer_fails_and_the_next_packet_asks_everybody(bench: NetBench, address: str) -> None:
    bench.meet(address)
    bench.wait(50)
    bench.send(datagram(address), 1)
    bench.wait(5.2)
    bench.wait(3)
    assert bench.state(address) == "failed"
    frames = bench.frames()
    assert [frame.dst for frame in frames] == [PEER] * 4  # the datagram and three questions
    assert bench.send(datagram(address), 1) == "held"
    assert bench.state(address) == "incomplete"
    (question,) = bench.frames()
    assert question.dst != PEER
    bench.hear(answer(address))


@pytest.mark.parametrize("address", FAMILIES)
def test_nobody_answers(bench: NetBench, address: str) -> None:
    """Three questions, a second apart; then the packets end and the first one's sender is told."""
    source = "2001:db8:2::9" if ":" in address else "198.51.100.9"
    bench.meet(source, port=1)
    for _ in range(3):
        assert bench.send(datagram(address), 1) == "held"
    assert bench.worker.held == 3
    bench.wait(2.9)
    assert bench.state(address) == "incomplete"
    assert len([frame for frame in bench.frames() if is_question(frame, address)]) == 3
    bench.wait(0.2)
    assert bench.state(address) == "failed"
    assert bench.worker.held == 0
    assert bench.count("neighbour_failed") == 3
    (error,) = bench.frames(1)
    if ":" in address:
        assert (error[ICMPv6DestUnreach].code, error[IPv6].src) == (3, "2001:db8:2::1")
    else:
        assert (error[ICMP].type, error[ICMP].code, error[IP].src) == (3, 1, "198.51.100.1")
    assert bench.send(datagram(address), 1) == "neighbour_failed"
    bench.wait(1.1)
    assert bench.send(datagram(address), 1) == "held"
    bench.hear(answer(address))


@pytest.mark.parametrize("address", FAMILIES)
def test_four_packets_wait_and_the_newest_are_kept(bench: NetBench, address: str) -> None:
    for size in range(6):
        assert bench.send(datagram(address, size), 1) == "held"
    assert bench.count("neighbour_queue_full") == 2
    bench.frames()
    bench.hear(answer(address))
    assert [bytes(frame.payload) for frame in bench.frames()] == [bytes(datagram(address, n)) for n in (2, 3, 4, 5)]


def test_waiting_packets_cannot_empty_the_pool(bench: NetBench) -> None:
    verdicts = [bench.send(datagram(f"192.0.2.{n}"), 1) for n in range(10, 30)]
    assert verdicts == ["held"] * 16 + ["neighbour_queue_full"] * 4
    assert bench.worker.held == 16


def test_half_of_the_table_may_be_asked_for(bench: NetBench) -> None:
    """RFC 6583: a scan of the network leaves the other half alone."""
    verdicts = [bench.send(datagram(f"2001:db8:1::{n:x}"), 1) for n in range(16, 16 + 40)]
    assert verdicts[:16] == ["held"] * 16
    assert verdicts[32:] == ["neighbour_table_full"] * 8
    assert bench.net.incomplete == 32


@pytest.fixture
def small() -> Iterator[NetBench]:
    made = NetBench(Limits(neighbours=4, waiting=16, paths=4))
    yield made
    made.check()
    made.close()


def test_the_oldest_stale_neighbour_gives_way(small: NetBench) -> None:
    for n, address in enumerate(("192.0.2.10", "2001:db8:1::11", "192.0.2.12", "2001:db8:1::13")):
        small.meet(address, f"02:00:00:00:01:{n:02x}")
        small.wait(50)
        assert small.state(address) == "stale"
    generation = small.net.generation
    small.send(datagram("192.0.2.10"), 1)  # in use again
    assert small.send(datagram("192.0.2.99"), 1) == "held"
    assert small.state("2001:db8:1::11") == "none"
    assert small.state("192.0.2.10") == "delay"
    assert small.net.generation != generation
    assert small.net.evicted == 1
    small.hear(reply("192.0.2.99"))


def test_nobody_gives_way_to_askers(small: NetBench) -> None:
    for n in range(10, 14):
        small.hear(request("192.0.2.1", f"192.0.2.{n}"))
    generation = small.net.generation
    for n in range(20, 60):
        assert small.hear(request("192.0.2.1", f"192.0.2.{n}")) == "queued"
        small.sent()
    assert [small.state(f"192.0.2.{n}") for n in (10, 11, 12, 13, 20)] == ["stale"] * 4 + ["none"]
    assert small.net.generation == generation
    assert small.send(datagram("192.0.2.99"), 1) == "held"
    assert small.state("192.0.2.10") == "none"
    small.hear(reply("192.0.2.99"))


def test_neighbours_in_use_do_not_give_way(small: NetBench) -> None:
    for n in range(10, 14):
        small.meet(f"192.0.2.{n}")
    assert small.send(datagram("192.0.2.99"), 1) == "neighbour_table_full"
    assert small.state("192.0.2.99") == "none"


def test_records_are_used_again(small: NetBench) -> None:
    for n in range(10, 60):
        small.meet(f"192.0.2.{n}", f"02:00:00:00:02:{n:02x}")
        small.wait(50)
    assert small.net.neighbour_high == 4
    assert [small.state(f"192.0.2.{n}") for n in (55, 56, 57, 58, 59)] == ["none"] + ["stale"] * 4


def test_a_router_is_the_neighbour_of_all_behind_it(bench: NetBench) -> None:
    first = resolve4(bench.worker, parse_ip4("203.0.113.1"))
    assert first == resolve4(bench.worker, parse_ip4("8.8.8.8")) == bench.index("192.0.2.254")
    (question,) = bench.frames()
    assert is_question(question, "192.0.2.254")
    behind = resolve6(bench.worker, *parse_ip6("2001:4860::8888"))
    assert behind == bench.index("2001:db8:1::fe")
    bench.hear(reply("192.0.2.254", ROUTER))
    assert bench.send(datagram("203.0.113.1"), 1) == "queued"
    assert bench.frames()[-1].dst == ROUTER


def test_what_is_no_neighbour(bench: NetBench) -> None:
    for address in ("192.0.2.1", "192.0.2.255", "198.51.100.255"):
        assert resolve4(bench.worker, parse_ip4(address)) == -1
    for address in ("2001:db8:1::1", "ff02::1"):
        assert resolve6(bench.worker, *parse_ip6(address)) == -1
    assert not bench.sent(0)
    assert not bench.sent(1)


def test_the_header_is_written_in_front_of_the_packet(bench: NetBench) -> None:
    """Whatever stood before: the balancer sends what it received."""
    bench.meet("192.0.2.7")
    ip = bytes(datagram("192.0.2.7"))
    for lead in (14, 18, 40):
        packet = bench.packet(b"\xee" * lead + ip, 1)
        packet.network, packet.family = packet.data + lead, 4
        verdict = neighbour_output(bench.worker, packet, bench.index("192.0.2.7"))
        assert bench.end(packet, verdict) == "queued"
        assert (packet.out_port, packet.length) == (0, 14 + len(ip))
    for frame in bench.sent():
        assert frame == bytes.fromhex("0200000000aa 020000000010 0800") + ip


def test_permanent_neighbours(bench: NetBench) -> None:
    address = ip_address("192.0.2.7")
    assert bench.send(datagram("192.0.2.7"), 1) == "held"
    add_neighbour(bench.worker, 0, address, 0x02_00_00_00_00_BB)
    assert [frame.dst for frame in bench.frames()][-1] == "02:00:00:00:00:bb"
    bench.wait(60)
    bench.hear(reply("192.0.2.7", PEER))
    assert bench.send(datagram("192.0.2.7"), 1) == "queued"
    assert [frame.dst for frame in bench.frames()] == ["02:00:00:00:00:bb"]
    generation = bench.net.generation
    remove_neighbour(bench.worker, 0, address)
    assert bench.net.generation != generation
    assert bench.state("192.0.2.7") == "none"
    with pytest.raises(NetError, match="no neighbour"):
        remove_neighbour(bench.worker, 0, address)


def test_the_sweep_is_bounded_and_complete(bench: NetBench) -> None:
    """Each sweep looks at a part of the table; ten of them at all of it."""
    for n in range(10, 40):
        add_neighbour(bench.worker, 0, ip_address(f"192.0.2.{n}"), 0x02_00_00_00_00_01)
    for n in range(50, 60):
        bench.send(datagram(f"192.0.2.{n}"), 1)
    bench.sent()
    bench.pass_time(1)
    asked = []
    for _ in range(10):
        bench.pass_time(0.01)
        net_timers(bench.worker)
        asked.append(len(bench.sent()))
    assert sum(asked) == 10
    assert max(asked) < 10
    bench.wait(3)


def test_when_to_wake(bench: NetBench) -> None:
    assert net_next(bench.worker) == NEVER
    bench.send(datagram("192.0.2.7"), 1)
    assert net_next(bench.worker) <= bench.worker.now + RETRANSMIT // 100
    bench.hear(reply("192.0.2.7"))
    assert net_next(bench.worker) == bench.worker.now + SECOND
    bench.wait(60)
    assert bench.state("192.0.2.7") == "stale"
    assert net_next(bench.worker) == NEVER


def test_frames_are_what_scapy_reads(bench: NetBench) -> None:
    bench.meet("2001:db8:1::7")
    bench.send(datagram("2001:db8:1::7"), 1)
    (octets,) = bench.sent()
    assert octets == bytes(Ether(src="02:00:00:00:00:10", dst=PEER) / datagram("2001:db8:1::7"))
