"""After the end of a program: peers are reset, exactly; idle flows are forgotten; tables stay bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pronghorn.programs.create import Tables
from pronghorn.programs.tables import Programs as Root
from pronghorn.state.attach import SHARED
from tests.input.frames import both
from tests.programs.bench import Gateway
from tests.programs.test_paths import HERE, came, said
from tests.support.feed import CLIENT
from tests.wire import judges as j


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as made:
        yield made


def root(gateway: Gateway) -> Root:
    return Root(gateway.engine.workers[0].programs)


def connect(gateway: Gateway, family: int = 4, port: int = 9, seq: int = 0xFFFF_FFF0) -> None:
    """A client's connection to port 80 of program 1."""
    gateway.hear(came(family, j.TCP(sport=port, dport=80, flags="S", seq=seq)))
    gateway.tell(1, said(family, j.TCP(sport=80, dport=port, flags="SA", seq=100, ack=seq + 1 & 0xFFFF_FFFF)))
    gateway.hear(came(family, j.TCP(sport=port, dport=80, flags="A", seq=seq + 1 & 0xFFFF_FFFF, ack=101)))
    gateway.guests[1].hears()
    gateway.sent(0)


def resets(gateway: Gateway, turns: int = 3) -> list[Any]:
    for _ in range(turns):
        gateway.turn()
    frames = [j.Ether(frame) for frame in gateway.sent(0)]
    assert all(frame[j.TCP].flags.R for frame in frames)
    for frame in frames:
        again = frame.copy()
        del again[j.TCP].chksum
        assert j.Ether(bytes(again))[j.TCP].chksum == frame[j.TCP].chksum
    return frames


@both
def test_peers_are_reset_with_the_number_they_expect(gateway: Gateway, family: int) -> None:
    gateway.attach(1)
    gateway.claim(1, "tcp", 80)
    connect(gateway, family)
    gateway.hear(came(family, j.TCP(sport=9, dport=80, flags="PA", seq=0xFFFF_FFF1, ack=101) / bytes(32)))
    gateway.leave(1)
    (reset,) = resets(gateway)
    segment = reset[j.TCP]
    assert (segment.sport, segment.dport, segment.seq, segment.ack, segment.flags) == (80, 9, 101, 17, "RA")
    assert (reset.payload.src, reset.payload.dst) == (HERE[family], CLIENT[family])


def test_both_numbers_when_something_is_on_its_way(gateway: Gateway) -> None:
    gateway.attach(1)
    gateway.claim(1, "tcp", 80)
    connect(gateway)
    gateway.tell(1, said(4, j.TCP(sport=80, dport=9, flags="PA", seq=101, ack=1) / bytes(50)))
    gateway.sent(0)
    gateway.leave(1)
    assert sorted(reset[j.TCP].seq for reset in resets(gateway)) == [101, 151]


@both
def test_a_challenge_is_answered(gateway: Gateway, family: int) -> None:
    """RFC 5961: whoever expects another number asks, and is answered with that."""
    gateway.attach(1)
    gateway.claim(1, "tcp", 80)
    connect(gateway, family)
    gateway.leave(1)
    resets(gateway)
    for _ in range(20):
        gateway.hear(came(family, j.TCP(sport=9, dport=80, flags="A", seq=5, ack=77)))
    answers = resets(gateway)
    assert {answer[j.TCP].seq for answer in answers} == {77}
    assert 8 <= len(answers) < 20, "not for ever"
    assert gateway.counts()["program_gone"] == 8
    gateway.hear(came(family, j.TCP(sport=9, dport=80, flags="R", seq=5)))
    assert root(gateway).flow_count == 0


def test_opening_and_closing(gateway: Gateway) -> None:
    gateway.attach(1)
    gateway.claim(1, "tcp", 80)
    gateway.hear(came(4, j.TCP(sport=5, dport=80, flags="S", seq=1000)))  # not answered yet
    gateway.tell(1, said(4, j.TCP(sport=1001, dport=443, flags="S", seq=2000)))  # not answered yet
    connect(gateway, port=6)
    gateway.hear(came(4, j.TCP(sport=6, dport=80, flags="R", seq=1)))  # is over
    gateway.sent(0)
    gateway.leave(1)
    first, second = sorted(resets(gateway), key=lambda frame: frame[j.TCP].dport)
    assert (first[j.TCP].seq, first[j.TCP].ack, first[j.TCP].flags) == (0, 1001, "RA")
    assert (second[j.TCP].sport, second[j.TCP].seq, second[j.TCP].flags) == (1001, 2001, "R")


def test_so_many_in_a_turn() -> None:
    with Gateway() as gateway:
        gateway.attach(1)
        gateway.claim(1, "tcp", 80)
        for port in range(1, 101):
            gateway.hear(came(4, j.TCP(sport=port, dport=80, flags="S", seq=port)))
        gateway.guests[1].hears()
        gateway.leave(1)
        gateway.turn()
        first = len(resets(gateway, 0))
        assert first == 48
        assert first + len(resets(gateway)) == 100
        assert gateway.turn() == 0


def test_a_program_whose_peer_has_died(gateway: Gateway) -> None:
    """Both ends on one gateway: the one that is left hears of it by its link."""
    one, _ = gateway.attach(1), gateway.attach(2)
    gateway.claim(2, "tcp", 80)
    gateway.tell(1, said(4, j.TCP(sport=1001, dport=80, flags="S", seq=5), dst=HERE[4]))
    gateway.tell(2, said(4, j.TCP(sport=80, dport=1001, flags="SA", seq=50, ack=6), dst=HERE[4]))
    one.hears()
    gateway.leave(2)
    for _ in range(3):
        gateway.turn()
    (reset,) = [j.Ether(frame)[j.TCP] for frame in one.hears()]
    assert (reset.sport, reset.dport, reset.seq, reset.flags) == (80, 1001, 51, "RA")


def test_the_number_is_used_again(gateway: Gateway) -> None:
    """The next program of the number has nothing to do with the flows of the last one."""
    gateway.attach(1)
    gateway.claim(1, "tcp", 80)
    connect(gateway)
    gateway.tell(1, said(4, j.TCP(sport=1001, dport=443, flags="S", seq=2000)))
    gateway.leave(1)
    web = gateway.attach(1)
    gateway.claim(1, "tcp", 80)
    gateway.sent(0)
    gateway.hear(came(4, j.TCP(sport=9, dport=80, flags="A", seq=3, ack=99)))
    assert [answer[j.TCP].seq for answer in resets(gateway)] == [99]
    assert web.hears() == []
    assert gateway.tell(1, said(4, j.TCP(sport=1001, dport=443, flags="S", seq=7))) == {"transmitted": 1}
    gateway.hear(came(4, j.TCP(sport=443, dport=1001, flags="SA", seq=7, ack=8)))
    assert len(web.hears()) == 1, "the same ports anew"
    gateway.hear(came(4, j.TCP(sport=9, dport=80, flags="S")))
    assert len(web.hears()) == 1


def test_idle_flows_are_forgotten(gateway: Gateway) -> None:
    for number in (1, 2):
        gateway.attach(number, family=3)
        gateway.claim(number, "udp", 53, flags=SHARED)
    gateway.claim(1, "tcp", 80)
    gateway.hear(came(4, j.UDP(sport=1, dport=53)))
    gateway.hear(came(4, j.TCP(sport=2, dport=80, flags="S")))
    connect(gateway, port=3)
    assert root(gateway).flow_count == 3
    gateway.wait(40, 1)
    assert root(gateway).flow_count == 3
    gateway.wait(40, 1)
    assert root(gateway).flow_count == 1, "an open connection may be silent for hours"
    gateway.wait(3 * 3600, 600)
    gateway.wait(20, 1)
    assert root(gateway).flow_count == 0
    assert sum(gateway.facts(number).flows for number in (1, 2)) == 0


def test_a_flood_of_beginnings_makes_room_for_itself() -> None:
    with Gateway(tables=Tables(programs=4, claims=8, flows=32)) as gateway:
        gateway.attach(1)
        other = gateway.attach(2)
        gateway.claim(1, "tcp", 80)
        gateway.claim(2, "tcp", 81)
        gateway.hear(came(4, j.TCP(sport=7, dport=81, flags="S")))
        gateway.hear(came(4, j.TCP(sport=7, dport=81, flags="A")))
        for port in range(1, 200):
            gateway.hear(came(4, j.TCP(sport=port, dport=80, flags="S")))
            gateway.guests[1].hears()
        other.hears()
        assert root(gateway).flow_count <= 32
        assert gateway.facts(1).flows <= 16, "half of the table for one program"
        assert gateway.facts(1).untracked > 0
        gateway.hear(came(4, j.TCP(sport=7, dport=81, flags="A")))
        assert len(other.hears()) == 1
        assert gateway.facts(2).flows == 1
