"""ARP: answers, probes, announcements, and what the table believes (RFC 826, RFC 5227)."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Any

from scapy.layers.l2 import ARP, Ether

from pronghorn.net.configure import add_address
from tests.net.fixture import ANY, OWN, PEER, NetBench, reply, request

OTHER = "02:00:00:00:00:bb"


def announcement(address: str, mac: str = PEER, op: int = 1) -> Any:
    return Ether(src=mac, dst=ANY) / ARP(op=op, hwsrc=mac, psrc=address, hwdst="00:00:00:00:00:00", pdst=address)


def test_a_request_is_answered_in_its_own_packet(bench: NetBench) -> None:
    assert bench.hear(request("192.0.2.1", "192.0.2.7")) == "queued"
    (answer,) = bench.frames()
    assert bytes(answer) == bytes(
        Ether(src=OWN[0], dst=PEER) / ARP(op=2, hwsrc=OWN[0], psrc="192.0.2.1", hwdst=PEER, pdst="192.0.2.7")
    )
    assert bench.worker.originated == bench.count("transmitted") - 1
    assert bench.state("192.0.2.7") == "stale"


def test_a_padded_request_is_answered_without_padding(bench: NetBench) -> None:
    assert bench.hear(bytes(request("192.0.2.1", "192.0.2.7")) + bytes(18)) == "queued"
    assert [len(frame) for frame in bench.sent()] == [42]


def test_a_probe_is_answered_and_nobody_learnt(bench: NetBench) -> None:
    """RFC 5227 2.1.1: somebody wants to know whether 192.0.2.1 is taken."""
    high = bench.net.neighbour_high
    assert bench.hear(request("192.0.2.1", "0.0.0.0")) == "queued"
    (answer,) = bench.frames()
    assert (answer[ARP].op, answer[ARP].psrc, answer[ARP].pdst) == (2, "192.0.2.1", "0.0.0.0")
    assert bench.net.neighbour_high == high


def test_every_owned_address_is_answered_for(bench: NetBench) -> None:
    """A service's address of no network, asked for on any link."""
    add_address(bench.worker, 0, ip_interface("203.0.113.80/32"))
    bench.settle()
    for port, sender in ((0, "192.0.2.7"), (1, "198.51.100.7")):
        assert bench.hear(request("203.0.113.80", sender), port) == "queued"
        (answer,) = bench.frames(port)
        assert (answer.src, answer[ARP].psrc) == (OWN[port], "203.0.113.80")


def test_an_asker_of_another_network_is_answered_and_not_learnt(bench: NetBench) -> None:
    assert bench.hear(request("192.0.2.1", "198.51.100.7")) == "queued"
    assert bench.hear(request("192.0.2.1", "203.0.113.7")) == "queued"
    assert len(bench.frames()) == 2
    assert bench.net.neighbour_high == 0


def test_messages_about_others(bench: NetBench) -> None:
    assert bench.hear(request("192.0.2.8", "192.0.2.7")) == "arp_not_for_us"
    assert bench.hear(request("192.0.2.1", "192.0.2.7"), 0) == "queued"
    elsewhere = Ether(src=PEER, dst=OWN[0]) / ARP(op=2, hwsrc=PEER, psrc="192.0.2.7", hwdst=OTHER, pdst="192.0.2.8")
    assert bench.hear(elsewhere) == "arp_not_for_us"
    assert not [frame for frame in bench.frames() if frame[ARP].op == 1]


def test_an_announcement_corrects_what_is_known(bench: NetBench) -> None:
    """As after a failover: the new station is used at once, and asked later."""
    for op in (1, 2):
        bench.meet("192.0.2.7", PEER)
        assert bench.hear(announcement("192.0.2.7", OTHER, op)) == "consumed"
        assert bench.state("192.0.2.7") == "stale"
        assert bench.neighbour("192.0.2.7").mac == 0x02_00_00_00_00_BB
        bench.hear(reply("192.0.2.7", PEER))
        bench.wait(100)


def test_an_announcement_of_the_same_address_changes_nothing(bench: NetBench) -> None:
    bench.meet("192.0.2.7")
    assert bench.hear(announcement("192.0.2.7")) == "consumed"
    assert bench.state("192.0.2.7") == "reachable"


def test_a_reply_confirms_only_who_was_asked(bench: NetBench) -> None:
    bench.meet("192.0.2.7")
    bench.wait(50)
    assert bench.hear(reply("192.0.2.7")) == "consumed"
    assert bench.state("192.0.2.7") == "stale"


def test_a_request_from_a_neighbour_that_moved(bench: NetBench) -> None:
    bench.meet("192.0.2.7")
    assert bench.hear(request("192.0.2.1", "192.0.2.7", OTHER)) == "queued"
    assert bench.state("192.0.2.7") == "stale"
    assert bench.neighbour("192.0.2.7").mac == 0x02_00_00_00_00_BB


def test_a_request_from_who_is_asked_for_sends_what_waits(bench: NetBench) -> None:
    from scapy.layers.inet import IP, UDP

    assert bench.send(IP(src="203.0.113.9", dst="192.0.2.7") / UDP()) == "held"
    assert bench.hear(request("192.0.2.1", "192.0.2.7")) == "queued"
    assert [frame.type for frame in bench.frames()] == [0x806, 0x800, 0x806]
    assert bench.state("192.0.2.7") == "stale"


def test_new_addresses_are_announced_twice() -> None:
    """RFC 5227 2.3: two announcements, two seconds apart, by worker 0 alone."""
    bench = NetBench(quiet=False)
    bench.wait(0.1)
    (first,) = [frame for frame in bench.frames() if ARP in frame]
    assert bytes(first) == bytes(announcement("192.0.2.1", OWN[0]))
    bench.wait(1.5)
    assert not bench.frames()
    bench.wait(1)
    assert len([frame for frame in bench.frames() if ARP in frame]) == 1
    bench.wait(5)
    assert not bench.frames()
    bench.sent(1)
    bench.check()
    other = NetBench(quiet=False, index=1, workers=2)
    other.wait(5)
    assert not other.sent(0)
    bench.close()
    other.close()


def test_all_workers_hear_of_an_answer() -> None:
    """Another worker may have asked."""
    from pronghorn.state.dispatch import Outbox

    bench = NetBench(workers=2)
    boxes = bench.arena.table("outboxes", Outbox, 2)
    bench.worker.steering = boxes.address
    assert bench.hear(reply("192.0.2.7")) == "arp_unsolicited"
    assert boxes[1].waiting == 1
    twin = bench.worker.packets[boxes[1].entries[0]]
    assert twin.length == 42
    bench.close()
