"""Several programs that have claimed the same: each flow with one of them, whoever comes and goes; and handing over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pronghorn.state.attach import REUSE, SHARED
from tests.programs.bench import Gateway
from tests.programs.test_paths import HERE, came, said
from tests.support.feed import CLIENT
from tests.wire import judges as j

FLOWS = 32


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as made:
        for number in (1, 2, 3):
            made.attach(number, family=7, user=9)
        yield made


def owners(gateway: Gateway, flags: str = "A", protocol: str = "tcp", family: int = 4) -> dict[int, int]:
    """A packet of each flow: which program it came to, by the flow's port."""
    found = {}
    for port in range(1, FLOWS + 1):
        layer4 = j.TCP(sport=port, dport=80, flags=flags) if protocol == "tcp" else j.UDP(sport=port, dport=80)
        gateway.hear(came(family, layer4))
        takers = [number for number, guest in gateway.guests.items() for _ in guest.hears()]
        assert len(takers) <= 1
        if takers:
            found[port] = takers[0]
    return found


@pytest.mark.parametrize("flag", [SHARED, REUSE])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_flows_are_spread_and_stay(gateway: Gateway, flag: int, protocol: str) -> None:
    inherited = flag == SHARED and protocol == "tcp"
    if inherited:  # who opened the listener leaves it to its children
        gateway.attach(4, family=7, user=9)
        assert gateway.claim(4, protocol, 80, flags=flag) == 0
    for number in (1, 2):
        assert gateway.claim(number, protocol, 80, flags=flag) == 0
    first = owners(gateway, "S", protocol)
    assert len(first) == FLOWS
    assert 4 not in first.values()
    assert 6 < sum(owner == 1 for owner in first.values()) < 26
    assert gateway.claim(3, protocol, 80, flags=flag) == 0
    assert owners(gateway, "A", protocol) == first, "another one has come"
    gateway.release(1, protocol, 80)
    assert owners(gateway, "A", protocol) == first, "one listens no more"


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_opened_a_listener_takes_part(gateway: Gateway, when: str) -> None:
    """Beside its children, from the moment it says so; once, however often it does, and until it closes."""
    missing = 2
    assert gateway.take_part(1, "tcp", 80) == missing
    for number in (1, 2, 3):
        assert gateway.claim(number, "tcp", 80, flags=SHARED) == 0
        if when == "before":
            assert gateway.take_part(number, "tcp", 80) == 0
    if when == "after":
        assert 1 not in owners(gateway, "S").values()
        assert gateway.take_part(1, "tcp", 80) == 0
        assert gateway.take_part(1, "tcp", 80) == 0
        gateway.wait(130, 1)
    first = owners(gateway, "S")
    assert (len(first), set(first.values())) == (FLOWS, {1, 2, 3})
    assert gateway.release(1, "tcp", 80) == 0
    assert gateway.release(1, "tcp", 80) == missing
    gateway.wait(130, 1)
    assert set(owners(gateway, "S").values()) == {2, 3} if when == "before" else {3}


@pytest.mark.parametrize("family", [4, 6])
def test_one_dies_and_the_others_flows_go_on(gateway: Gateway, family: int) -> None:
    for number in (1, 2, 3):
        gateway.claim(number, "tcp", 80, flags=SHARED)
    first = owners(gateway, "S", family=family)
    gateway.leave(2)
    for _ in range(4):
        gateway.turn()
    gateway.sent(0)
    after = owners(gateway, family=family)
    assert after == {port: owner for port, owner in first.items() if owner != 2}
    resets = [j.Ether(frame)[j.TCP] for frame in gateway.sent(0)]
    assert sorted(reset.dport for reset in resets) == sorted(port for port, owner in first.items() if owner == 2)
    again = owners(gateway, "S", family=family)
    assert len(again) == FLOWS, "whoever begins anew is served"
    assert 2 not in again.values()


def test_who_may_claim_the_same(gateway: Gateway) -> None:
    gateway.attach(4, family=8, user=9)
    gateway.attach(5, family=7, user=10)
    busy = 98
    assert gateway.claim(1, "tcp", 80, flags=SHARED) == 0
    assert gateway.claim(4, "tcp", 80, flags=SHARED) == busy, "another family"
    assert gateway.claim(2, "tcp", 80) == busy, "not shared by both"
    assert gateway.claim(5, "tcp", 80, flags=SHARED) == 0, "the family counts, not the user"
    assert gateway.claim(1, "tcp", 81, flags=REUSE) == 0
    assert gateway.claim(4, "tcp", 81, flags=REUSE) == 0
    assert gateway.claim(5, "tcp", 81, flags=REUSE) == busy, "another user"
    assert gateway.claim(1, "tcp", 82, HERE[4]) == 0
    assert gateway.claim(2, "tcp", 82) == busy, "any address, too"
    assert gateway.claim(2, "tcp", 82, HERE[6]) == 0
    assert gateway.claim(2, "tcp", 83, family=6) == 0
    assert gateway.claim(3, "tcp", 83, family=4) == 0
    assert gateway.claim(3, "udp", 83, family=6) == 0


def test_claims_that_cannot_be(gateway: Gateway) -> None:
    invalid, missing, in_use, no_address, no_program = 22, 2, 98, 99, 3
    assert gateway.claim(1, "tcp", 0) == invalid
    assert gateway.claim(1, "tcp", 80, family=5) == invalid
    assert gateway.claim(1, "tcp", 80, CLIENT[4]) == no_address
    assert gateway.claim(1, "tcp", 80, HERE[4], family=6) == no_address
    assert gateway.claim(1, "tcp", 2050) == in_use, "of another's block"
    assert gateway.claim(1, "tcp", 1050) == 0, "of its own block"
    assert gateway.claim(7, "tcp", 80) == no_program
    assert gateway.release(1, "tcp", 80) == missing
    assert gateway.claim(1, "tcp", 80) == 0
    assert gateway.claim(1, "tcp", 80) == 0
    assert gateway.release(1, "tcp", 80) == 0
    assert gateway.claim(2, "tcp", 80) == in_use, "claimed twice, given back once"
    assert gateway.release(1, "tcp", 80) == 0
    assert gateway.claim(2, "tcp", 80) == 0


def test_services_have_their_ports(gateway: Gateway) -> None:
    from tests.support import feed

    feed.SERVICE, before = HERE, feed.SERVICE
    try:
        gateway.service("tcp", 4)
        gateway.service("udp", 6)
    finally:
        feed.SERVICE = before
    assert gateway.claim(1, "tcp", 80) == 98
    assert gateway.claim(1, "tcp", 80, HERE[6]) == 0
    assert gateway.claim(1, "udp", 80, HERE[4]) == 0
    assert gateway.claim(1, "udp", 80, HERE[6]) == 98


def test_the_table_of_claims_is_full(gateway: Gateway) -> None:
    for port in range(1, 65):
        assert gateway.claim(1, "udp", port) == 0
    assert gateway.claim(1, "udp", 65) == 28
    gateway.release(1, "udp", 3)
    assert gateway.claim(1, "udp", 65) == 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_is_handed_over(gateway: Gateway, family: int) -> None:
    gateway.attach(4, family=8)
    gateway.claim(1, "tcp", 80)
    syn = came(family, j.TCP(sport=9, dport=80, flags="S"))
    where = HERE[family], 80, CLIENT[family], 9
    assert gateway.take_over(2, *where) == 13, "there is none yet"
    gateway.hear(syn)
    assert gateway.take_over(4, *where) == 13, "no relative"
    assert gateway.take_over(2, *where) == 0
    gateway.hear(came(family, j.TCP(sport=9, dport=80, flags="A")))
    assert len(gateway.guests[1].hears()) == 1
    assert len(gateway.guests[2].hears()) == 1
    answer = said(family, j.TCP(sport=80, dport=9, flags="A"))
    assert gateway.tell(2, answer) == {"transmitted": 1}
    gateway.leave(1)
    gateway.wait(0.1, 0.01)
    assert gateway.tell(2, answer) == {"transmitted": 1}, "the parent's end is not its end"
    assert (gateway.facts(2).flows, gateway.sent(0)[-1][14:]) == (1, bytes(answer)[14:])
