"""The three schedulers against naive oracles: IPVS's sequences, and what Maglev's paper promises."""

from __future__ import annotations

import ctypes
import functools
import math
from collections import Counter
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.balancer.addresses import Address
from pronghorn.balancer.configure import (
    add_server,
    add_service,
    change_scheduler,
    change_state,
    change_weight,
    rebuild_lookups,
    remove_server,
    remove_service,
)
from pronghorn.balancer.schedulers import choose
from pronghorn.balancer.schedulers.mh import LAST, permutation
from pronghorn.balancer.tables import NOBODY
from pronghorn.compiled import mode
from pronghorn.state.packets import allocate, release
from pronghorn.wire.text import parse_ip4
from tests.balancer.frames import SERVICE
from tests.balancer.gateway import Gateway

WEIGHTS = st.lists(st.integers(0, 12), min_size=1, max_size=6)


@functools.cache
def gateway(maglev_size: int) -> Gateway:
    """One for all tests: what takes time is making it."""
    return Gateway(maglev_size=maglev_size)


class Chooser:
    """A service whose scheduler is asked directly."""

    def __init__(
        self, scheduler: str, weights: list[int], maglev_size: int = 251, family: int = 4, port: int = 80
    ) -> None:
        self.gateway = gateway(maglev_size)
        self.balancer = self.gateway.balancer
        self.family = family
        self.number = add_service(self.balancer, "tcp", ip_address(SERVICE[family]), port, scheduler)
        self.servers = [add_server(self.balancer, self.number, self.address(n), 80, w) for n, w in enumerate(weights)]
        self.packet = allocate(self.gateway.worker)
        self.packet.network, self.packet.family = self.packet.data, family

    def address(self, number: int) -> Address:
        return ip_address("192.0.2.80" if self.family == 4 else "2001:db8:2::80") + number

    def choose(self, client: int = 0) -> int:
        """The place of the server that is chosen; -1 for none."""
        rebuild_lookups(self.balancer)
        return self.choose_now(client)

    def choose_now(self, client: int) -> int:
        """The same without making Maglev's table anew."""
        source = client.to_bytes(4, "big") if self.family == 4 else b"\x20\x01\r\xb8" + client.to_bytes(12, "big")
        for place, octet in enumerate(source):
            _poke(self.packet.network + (12 if self.family == 4 else 8) + place, octet)
        server = choose(self.gateway.worker, self.balancer, self.balancer.services[self.number], self.packet)
        return -1 if server == NOBODY else self.servers.index(server)

    def __enter__(self) -> Chooser:
        return self

    def __exit__(self, *_: object) -> None:
        release(self.gateway.worker, self.packet)
        for number in self.servers:
            self.balancer.servers[number].conns = 0  # whatever a test has put there: its record is free again
        remove_service(self.balancer, self.number)


def _poke(address: int, octet: int) -> None:
    ctypes.c_uint8.from_address(address).value = octet


def ipvs_wrr(weights: list[int], count: int) -> list[int]:
    """The algorithm as the LVS project publishes it (kb.linuxvirtualserver.org, Weighted Round-Robin Scheduling)."""
    chosen: list[int] = []
    i, cw, n = -1, 0, len(weights)
    step, largest = math.gcd(*weights), max(weights)
    while len(chosen) < count:
        if largest == 0:
            chosen.append(-1)
            continue
        i = (i + 1) % n
        if i == 0:
            cw -= step
            if cw <= 0:
                cw = largest
        if weights[i] >= cw:
            chosen.append(i)
    return chosen


@given(WEIGHTS)
def test_wrr_chooses_as_ipvs_does(weights: list[int]) -> None:
    with Chooser("wrr", weights) as chooser:
        assert [chooser.choose() for _ in range(40)] == ipvs_wrr(weights, 40)


def test_wrr_by_the_book() -> None:
    with Chooser("wrr", [4, 3, 2]) as chooser:
        assert "".join("ABC"[chooser.choose()] for _ in range(18)) == "AABABCABC" * 2


@given(WEIGHTS, WEIGHTS)
def test_wrr_keeps_proportions_after_changes(before: list[int], after: list[int]) -> None:
    """However weights change, from some time on each round gives each server its weight."""
    with Chooser("wrr", before) as chooser:
        for _ in range(7):
            chooser.choose()
        weights = [after[n % len(after)] for n in range(len(before))]
        for server, weight in zip(chooser.servers, weights, strict=True):
            change_weight(chooser.balancer, server, weight)
        total = sum(weights) // (math.gcd(*weights) or 1)
        for _ in range(total):
            chooser.choose()
        counts = Counter(chooser.choose() for _ in range(3 * total))
        assert counts == Counter({n: 3 * w // math.gcd(*weights) for n, w in enumerate(weights) if w})


@given(WEIGHTS, st.data())
def test_rr_takes_turns_among_those_with_weight(weights: list[int], data: st.DataObject) -> None:
    with Chooser("rr", weights) as chooser:
        usable = [n for n, weight in enumerate(weights) if weight]
        if not usable:
            assert chooser.choose() == -1
            return
        assert [chooser.choose() for _ in range(20)] == [usable[n % len(usable)] for n in range(20)]
        gone = data.draw(st.sampled_from(range(len(weights))))
        (change_state if data.draw(st.booleans()) else _remove)(chooser.balancer, chooser.servers[gone], "drain")
        rest = [n for n in usable if n != gone]
        start = next((k for k, n in enumerate(rest) if n > usable[19 % len(usable)]), 0)
        expected = [rest[(start + n) % len(rest)] for n in range(9)] if rest else [-1] * 9
        assert [chooser.choose() for _ in range(9)] == expected


def _remove(balancer: object, server: int, _: str) -> None:
    remove_server(balancer, server)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheduler", ["rr", "wrr", "mh"])
def test_nobody_is_chosen_without_servers_or_weights(scheduler: str) -> None:
    with Chooser(scheduler, []) as chooser:
        assert chooser.choose() == -1
    with Chooser(scheduler, [0, 0]) as chooser:
        assert chooser.choose() == -1
        change_weight(chooser.balancer, chooser.servers[1], 1)
        assert chooser.choose() == 1
        change_state(chooser.balancer, chooser.servers[1], "drain")
        assert chooser.choose() == -1
        change_state(chooser.balancer, chooser.servers[1], "up")
        assert chooser.choose() == 1
        remove_server(chooser.balancer, chooser.servers[1])
        assert chooser.choose() == -1


# --- maglev -------------------------------------------------------------------------------------------------------

SIZE = 65537 if mode() != "interpreted" else 2039


def lookup(chooser: Chooser) -> list[int]:
    """The whole table, as places of servers in the order of creation."""
    rebuild_lookups(chooser.balancer)
    service = chooser.balancer.services[chooser.number]
    return [chooser.servers.index(service.lookup[n]) for n in range(chooser.balancer.maglev_size)]


def test_maglev_spreads_evenly() -> None:
    """But for the places that go to the nearest: a few in a hundred."""
    with Chooser("mh", [1] * 10, SIZE) as chooser:
        counts = Counter(lookup(chooser))
        assert max(counts.values()) / SIZE * 10 < 1.06
        assert min(counts.values()) / SIZE * 10 > 0.94


def test_maglev_disturbs_little_when_a_server_goes() -> None:
    with Chooser("mh", [1] * 10, SIZE) as chooser:
        before = lookup(chooser)
        remove_server(chooser.balancer, chooser.servers[3])
        after = lookup(chooser)
        assert 3 not in after
        others = [(old, new) for old, new in zip(before, after, strict=True) if old != 3]
        moved = sum(old != new for old, new in others)
        assert moved / len(others) < 0.03  # rehashing modulo 9 would move nine of ten
        drained = lookup(chooser)
        change_state(chooser.balancer, chooser.servers[5], "drain")
        again = lookup(chooser)
        assert 5 not in again
        change_state(chooser.balancer, chooser.servers[5], "up")
        assert lookup(chooser) == drained


def test_maglev_follows_weights() -> None:
    weights = [10, 20, 30, 0]
    with Chooser("mh", weights, SIZE) as chooser:
        counts = Counter(lookup(chooser))
        assert counts[3] == 0
        for place, weight in enumerate(weights):
            assert counts[place] == pytest.approx(SIZE * weight / 60, rel=0.06)


def naive_maglev(identities: list[tuple[int, int]], turns: list[int], size: int, most: int) -> list[int]:
    """Population as in the paper's pseudo code, over (offset, skip) of each server, of `most` places."""
    entry, nexts, filled = [-1] * size, [0] * len(turns), 0
    while True:
        for i, (offset, skip) in enumerate(identities):
            for _ in range(turns[i]):
                c = (offset + nexts[i] * skip) % size
                while entry[c] >= 0:
                    nexts[i] += 1
                    c = (offset + nexts[i] * skip) % size
                entry[c] = i
                nexts[i] += 1
                filled += 1
                if filled == most:
                    return entry


@given(st.lists(st.integers(0, 5), min_size=1, max_size=7).filter(any))
def test_maglev_tables_are_the_papers_but_for_the_last_places(weights: list[int]) -> None:
    with Chooser("mh", weights, 251) as chooser:
        identities = [permutation(chooser.balancer.servers[server].identity, 251) for server in chooser.servers]
        turns = [weight // math.gcd(*weights) for weight in weights]
        expected = naive_maglev(identities, turns, 251, 251 - 251 // LAST)
        found = lookup(chooser)
        assert [new for new, old in zip(found, expected, strict=True) if old >= 0] == [
            old for old in expected if old >= 0
        ]
        assert all(turns[server] > 0 for server in found)


@pytest.mark.parametrize("family", [4, 6])
def test_a_client_meets_the_same_server_on_every_worker(family: int) -> None:
    with Chooser("mh", [1] * 5, 251, family) as one, Chooser("rr", [1] * 5, 251, family, 81) as other:
        change_scheduler(other.balancer, other.number, "mh")
        clients = [parse_ip4("10.0.0.0") + 77 * n for n in range(200)]
        chosen = [one.choose(client) for client in clients]
        assert chosen == [other.choose(client) for client in clients]
        assert set(chosen) == set(range(5))


def test_a_table_that_is_out_of_date_serves_until_the_new_one_is_there() -> None:
    with Chooser("mh", [1] * 5) as chooser:
        before = [chooser.choose(client) for client in range(100)]
        change_state(chooser.balancer, chooser.servers[0], "drain")
        change_weight(chooser.balancer, chooser.servers[1], 0)
        remove_server(chooser.balancer, chooser.servers[2])
        meanwhile = [chooser.choose_now(client) for client in range(100)]
        assert set(meanwhile) == {3, 4}
        assert all(old == new for old, new in zip(before, meanwhile, strict=True) if old in (3, 4))
        assert {chooser.choose(client) for client in range(100)} == {3, 4}
