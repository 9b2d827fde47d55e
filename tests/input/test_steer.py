"""Connections of sockets on several workers: answers find the worker that asked, and listeners share."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pronghorn.state.endpoints import READABLE, WRITABLE, Address, Endpoints
from pronghorn.tcp.calls import tcp_accept, tcp_bind, tcp_connect, tcp_listen, tcp_open
from tests.support.feed import OWN, ROUTER
from tests.udp.bench import UdpBench
from tests.udp.frames import HERE, PEER, ip
from tests.wire import judges as j


def segment(family: int, sport: int, dport: int, flags: str, seq: int = 1, ack: int = 0) -> Any:
    tcp = j.TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, window=65535)
    return j.Ether(src=ROUTER, dst=OWN[0]) / ip(family) / tcp


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("index", [0, 1])
def test_an_answer_finds_the_worker_that_asked(family: int, index: int) -> None:
    with UdpBench(workers=2) as bench:
        worker = bench.worker(index)
        number = tcp_open(worker, family)
        assert tcp_connect(worker, number, bench.address(PEER[family], 80)) == -errno.EINPROGRESS
        bench.turn()
        (frame,) = bench.sent()
        syn = j.Ether(frame)[j.TCP]
        assert syn.sport % 2 == index
        bench.put(segment(family, 80, syn.sport, "SA", 9, syn.seq + 1), worker=1 - index)
        bench.turn()
        bench.turn()
        assert Endpoints(worker.transports).sockets[number].events & WRITABLE
        assert [j.Ether(frame)[j.TCP].flags for frame in bench.sent()] == ["A"]


def test_listeners_share_the_connections_of_a_device_with_one_queue() -> None:
    with UdpBench(workers=2, queues=1) as bench:
        numbers = []
        for index in range(2):
            worker = bench.worker(index)
            number = tcp_open(worker, 4)
            assert tcp_bind(worker, number, bench.address("0.0.0.0", 80)) == 0
            assert tcp_listen(worker, number, 64) == 0
            numbers.append(number)
        for sport in range(2000, 2040):
            bench.put(segment(4, sport, 80, "S"))
        bench.turn()
        bench.turn()
        answers = [j.Ether(frame) for frame in bench.sent()]
        assert len(answers) == 40
        for answer in answers:
            tcp = answer[j.TCP]
            assert (answer[j.IP].src, tcp.flags) == (HERE[4], "SA")
            bench.put(segment(4, tcp.dport, 80, "A", 2, tcp.seq + 1))
        bench.turn()
        bench.turn()
        shares = []
        for index, number in enumerate(numbers):
            worker = bench.worker(index)
            assert Endpoints(worker.transports).sockets[number].events & READABLE
            shares.append(sum(tcp_accept(worker, number, Address(0)) >= 0 for _ in range(64)))
        assert sum(shares) == 40
        assert min(shares) > 8
