"""Several workers: packets of a flow meet on one of them, replies come back to it, neighbours are known to all."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest

from pronghorn.balancer.tables import Balancer
from pronghorn.engine.engine import INBOX
from pronghorn.engine.loop import COMMAND_ENTRY
from pronghorn.memory.mpsc_ring import mpsc_push
from pronghorn.net.configure import add_address
from pronghorn.net.configure_routes import halves, remove_neighbour
from pronghorn.net.neighbours import neighbour_find
from pronghorn.net.path_mtu import path_mtu_find
from pronghorn.net.show import STATES
from pronghorn.net.state import net_of
from pronghorn.state.worker import Worker
from tests.net.fixture import advertisement, reply
from tests.support.feed import CLIENT, OWN, ROUTER, SERVICE, EngineBench, server_mac
from tests.wire import judges as j

LINK = j.Ether(src=ROUTER, dst=OWN[0])
UNKNOWN = 9  # number of a command that nobody waits for


def syn(family: int, sport: int, flags: str = "S") -> Any:
    ip = j.IP(src=CLIENT[4], dst=SERVICE[4]) if family == 4 else j.IPv6(src=CLIENT[6], dst=SERVICE[6])
    return LINK / ip / j.TCP(sport=sport, dport=80, flags=flags)


def back(frame: bytes, flags: str = "SA") -> Any:
    """The server's answer."""
    seen = j.Ether(frame)
    ip = seen[j.IP] if j.IP in seen else seen[j.IPv6]
    layer = j.TCP(sport=8080, dport=seen[j.TCP].sport, flags=flags)
    return j.Ether(src=seen.dst, dst=seen.src) / type(ip)(src=ip.dst, dst=ip.src) / layer


def conns(bench: EngineBench) -> list[int]:
    return [Balancer(bench.engine.workers[n].balancer).count for n in range(bench.engine.worker_count)]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("workers", [2, 3, 4])
def test_one_queue_and_several_workers(family: int, workers: int) -> None:
    """Everything arrives at worker 0; flows are spread by their hash, and stay where they are."""
    with EngineBench(workers=workers, queues=1) as bench:
        bench.service("tcp", family)
        before = bench.counts()
        for sport in range(2000, 2060):
            bench.put(syn(family, sport))
        bench.turn()
        bench.turn()
        assert sum(conns(bench)) == 60
        assert min(conns(bench)) > 0  # by chance not so in one run of seven million
        first = bench.engine.workers[0]
        assert first.dispatched == 60 - conns(bench)[0]
        requests = bench.sent(1)
        assert len(requests) == 60
        owners = Counter(j.Ether(frame)[j.TCP].sport % workers for frame in requests)
        assert [owners[n] for n in range(workers)] == conns(bench)

        for frame in requests:
            bench.put(back(frame), 1)
        bench.turn()
        bench.turn()
        assert len(bench.sent(0)) == 60
        assert bench.counts() - before == {"transmitted": 120}
        for sport in range(2000, 2060):
            bench.put(syn(family, sport, "A"))
        bench.turn()
        bench.turn()
        assert len(bench.sent(1)) == 60
        assert sum(conns(bench)) == 60


@pytest.mark.parametrize("family", [4, 6])
def test_replies_find_their_worker_wherever_they_arrive(family: int) -> None:
    """A queue for each worker: requests stay where RSS put them, replies are led back by their local port."""
    with EngineBench(workers=3) as bench:
        bench.service("tcp", family)
        for owner in range(3):
            for sport in range(3000, 3008):
                bench.put(syn(family, 100 * owner + sport), worker=owner)
        bench.turn()
        assert conns(bench) == [8, 8, 8]
        for place, frame in enumerate(bench.sent(1)):
            bench.put(back(frame), 1, worker=place % 3)
        bench.turn()
        bench.turn()
        assert len(bench.sent(0)) == 24
        assert conns(bench) == [8, 8, 8]


def test_what_came_in_pieces_is_dispatched_whole() -> None:
    with EngineBench(workers=4, queues=1, large_packets=8) as bench:
        bench.service("udp", 4, 53)
        for sport in range(4000, 4008):
            whole = bytes(j.UDP(sport=sport, dport=53) / bytes(2992))
            for start in range(0, 3000, 1000):
                ip = j.IP(src=CLIENT[4], dst=SERVICE[4], id=sport, flags=int(start < 2000), frag=start // 8, proto=17)
                bench.put(LINK / ip / whole[start : start + 1000])
        bench.turn()
        bench.turn()
        assert bench.engine.workers[0].dispatched > 0
        assert len(bench.sent(1)) == 24
        assert bench.counts()["reassembled"] == 24


def state(bench: EngineBench, index: int, address: str) -> str:
    """How worker `index` knows the neighbour on interface 1."""
    net = net_of(bench.engine.workers[index])
    found = neighbour_find(net, 1, *halves(ip_address(address)))
    return "none" if found < 0 else STATES[net.neighbours[found].state]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("asker", [0, 2])
def test_a_neighbours_answer_reaches_the_worker_that_asked(family: int, asker: int) -> None:
    address = "198.51.100.80" if family == 4 else "2001:db8:2::80"

    def forget(worker: Worker) -> None:
        remove_neighbour(worker, 1, ip_address(address))

    with EngineBench(workers=3) as bench:
        bench.service("tcp", family)
        bench.everywhere(forget)
        bench.put(syn(family, 5000), worker=asker)
        bench.turn()
        (question,) = bench.sent(1)
        assert bench.held() == 1
        mac = server_mac(80).to_bytes(6, "big").hex(":")
        answer = reply(address, mac, 1) if family == 4 else advertisement(address, mac, 1)
        answer.dst = j.Ether(question).src
        if family == 6:
            answer[j.IPv6].dst = j.Ether(question)[j.IPv6].src
        bench.put(answer, 1, worker=1)
        bench.turn()
        bench.turn()
        (frame,) = bench.sent(1)
        assert (j.Ether(frame).dst, j.Ether(frame)[j.TCP].flags) == (mac, "S")
        assert bench.held() == 0
        assert state(bench, asker, address) == "reachable"
        told = bench.engine.workers[1]
        assert (told.originated, told.dispatched) == (2, 2)  # once each, and nobody tells on


@pytest.mark.parametrize("family", [4, 6])
def test_a_path_mtu_is_known_to_the_owner(family: int) -> None:
    """The report arrives anywhere; the owner of the connection that it is about believes it and tells the server."""
    report: Any
    with EngineBench(workers=3) as bench:
        bench.service("tcp", family)
        bench.everywhere(lambda worker: add_address(worker, 0, ip_interface(SERVICE[family])))
        bench.put(syn(family, 6000), worker=2)
        bench.settle()
        for port, verdicts in ((6001, {"icmp_ignored": 3}), (6000, {"icmp_ignored": 2, "transmitted": 1})):
            layer = j.TCP(sport=80, dport=port) / bytes(500)
            if family == 4:
                quoted = bytes(j.IP(src=SERVICE[4], dst=CLIENT[4], flags="DF", len=1500) / layer)
                report = j.IP(src="100.64.9.9", dst=SERVICE[4]) / j.ICMP(type=3, code=4, nexthopmtu=1400) / quoted
            else:
                quoted = bytes(j.IPv6(src=SERVICE[6], dst=CLIENT[6], plen=1460, nh=6) / layer)
                report = j.IPv6(src="2001:db8:9::9", dst=SERVICE[6]) / j.ICMPv6PacketTooBig(mtu=1400) / quoted
            before = bench.counts()
            bench.put(LINK / report, worker=1)
            bench.turn()
            bench.turn()
            assert bench.counts() - before == verdicts
        found = [path_mtu_find(bench.engine.workers[n], *halves(ip_address(CLIENT[family]))) for n in range(3)]
        assert found == [0, 0, 1400]


def test_a_full_inbox_ends_packets_as_dispatch_full() -> None:
    """Worker 1 stands still; what worker 0 has for it is counted and freed, and goes through again afterwards."""
    with EngineBench(workers=2, queues=1, packets=2048) as bench:
        bench.service("tcp", 4)
        loop = bench.engine._loops[1]
        loop.control_entry[0] = COMMAND_ENTRY | UNKNOWN
        for _ in range(INBOX):
            assert mpsc_push(loop.control, loop.control_entry, 1) == 1
        for sport in range(2000, 2032):
            bench.put(syn(4, sport))
        bench.turn_of(0)
        full = bench.counts()["dispatch_full"]
        assert 4 < full < 28
        assert bench.engine.workers[0].dispatched == 0
        bench.check()
        worker = bench.engine.workers[1]
        for _ in range(INBOX):
            assert bench.turn_of(1) == 1
            bench.engine._loops[1].command = 0
        for sport in range(2000, 2032):
            bench.put(syn(4, sport))
        bench.turn()
        assert worker.received == full
        assert bench.counts()["dispatch_full"] == full


def test_a_command_does_not_lose_packets_beside_it() -> None:
    with EngineBench() as bench:
        loop = bench.engine._loops[0]
        for number in range(5):
            bench.put(LINK / j.IP(src=CLIENT[4], dst="192.0.2.1") / j.ICMP(seq=number))
            if number == 2:
                loop.control_entry[0] = COMMAND_ENTRY | UNKNOWN
                mpsc_push(loop.control, loop.control_entry, 1)
        bench.turn()
        assert loop.command == UNKNOWN
        assert len(bench.sent(0)) == 3
        assert bench.turn() == 0  # first the command
        loop.command = 0
        bench.turn()
        assert len(bench.sent(0)) == 2
