"""Longest-prefix match against the obvious: a list of all prefixes, searched from end to end."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronghorn.compiled import hashing, hot, mode
from pronghorn.memory import (
    Arena,
    PrefixTable,
    create_prefix_table,
    prefix_add,
    prefix_add4,
    prefix_exact,
    prefix_find,
    prefix_find4,
    prefix_remove,
    prefix_remove4,
)
from tests.memory.test_blocks import free_elements

PREFIXES = 2_000 if mode() == "interpreted" else 50_000


def words(address: int) -> tuple[int, int]:
    return hashing.wrap(address >> 64), hashing.wrap(address)


def mask(length: int) -> int:
    return ((1 << 128) - 1) ^ ((1 << (128 - length)) - 1)


@dataclass
class Naive:
    """All prefixes; addresses are 128 bits, IPv4 in the upper 32."""

    prefixes: dict[tuple[int, int], int] = field(default_factory=dict)

    def find(self, address: int) -> int:
        matching = [(n, value) for (prefix, n), value in self.prefixes.items() if address & mask(n) == prefix]
        return max(matching, default=(0, -1))[1]


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Changes (address, length, what) and addresses to look up, crowded together so that prefixes nest."""
    width = draw(st.sampled_from([32, 128]))
    bases = draw(st.lists(st.integers(0, (1 << width) - 1), min_size=1, max_size=3))
    near = st.builds(
        lambda base, bit, tail: (base ^ (1 << bit) ^ tail) << (128 - width),
        st.sampled_from(bases),
        st.integers(0, width - 1),
        st.integers(0, 255),
    )
    changes = st.tuples(near, st.integers(0, width), st.integers(0, 3))
    return draw(st.lists(changes, max_size=60)), draw(st.lists(near, max_size=20))


@given(case=cases(), capacity=st.sampled_from([1, 100]))
def test_against_a_list(case: tuple[list[tuple[int, int, int]], list[int]], capacity: int) -> None:
    changes, addresses = case
    with Arena.create(limit=1 << 30) as arena:
        table, model = create_prefix_table(arena, "routes", capacity), Naive()
        for number, (address, length, what) in enumerate(changes):
            key = (address & mask(length), length)
            assert prefix_exact(table, *words(address), length) == model.prefixes.get(key, -1)
            if what == 0:
                assert prefix_remove(table, *words(address), length) == (key in model.prefixes)
                model.prefixes.pop(key, None)
            elif prefix_add(table, *words(address), length, number):
                model.prefixes[key] = number
            else:
                assert capacity == 1
        assert table.count == len(model.prefixes)
        for address in [*addresses, *(prefix for prefix, _ in model.prefixes)]:
            assert prefix_find(table, *words(address)) == model.find(address)
        for prefix, length in list(model.prefixes):
            assert prefix_remove(table, *words(prefix), length)
        assert (table.count, table.root.prefixes, table.root.children) == (0, 0, 0)
        for blocks in (table.nodes, table.values):
            assert free_elements(blocks) == blocks.fresh - 1, "nothing is lost"


def address4(text: str) -> int:
    return int(ipaddress.IPv4Address(text))


def test_ipv4_routes(arena: Arena) -> None:
    table = create_prefix_table(arena, "routes", 10)
    for number, text in enumerate(["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32"]):
        network = ipaddress.IPv4Network(text)
        assert prefix_add4(table, int(network.network_address), network.prefixlen, number)
    found = [
        prefix_find4(table, address4(text)) for text in ("10.1.2.3", "10.1.2.4", "10.1.3.4", "10.2.0.1", "11.0.0.1")
    ]
    assert found == [4, 3, 2, 1, 0]
    assert prefix_remove4(table, address4("10.1.2.0"), 24)
    assert prefix_find4(table, address4("10.1.2.4")) == 2
    assert prefix_remove(table, 0, 0, 0)
    assert prefix_find4(table, address4("11.0.0.1")) == -1


def test_ipv6_host_and_neighbour(arena: Arena) -> None:
    table = create_prefix_table(arena, "routes", 10)
    host = int(ipaddress.IPv6Address("2001:db8::1"))
    prefix_add(table, *words(host), 128, 1)
    prefix_add(table, *words(host), 64, 2)
    assert [prefix_find(table, *words(host + k)) for k in (0, 1, 1 << 64)] == [1, 2, -1]


def test_value_is_replaced_and_zero_is_a_value(arena: Arena) -> None:
    table = create_prefix_table(arena, "routes", 10)
    assert prefix_add(table, -1, -1, 128, 5)
    assert prefix_add(table, -1, -1, 128, 0)
    assert (prefix_find(table, -1, -1), table.count) == (0, 1)
    assert prefix_add(table, -1, -1, 128, (1 << 32) - 1)
    assert prefix_find(table, -1, -1) == (1 << 32) - 1


@pytest.mark.parametrize("family", [4, 6])
@settings(max_examples=3)
@given(seed=st.integers(0, 1000))
def test_capacity_is_kept_for_addresses_far_apart(family: int, seed: int) -> None:
    with Arena.create(limit=1 << 30) as arena:
        table, choice = create_prefix_table(arena, "routes", 200), random.Random(seed)
        for value in range(200):
            address = choice.getrandbits(128) & mask(32 if family == 4 else 128)
            assert prefix_add(table, *words(address), 32 if family == 4 else 128, value)


@hot
def add_many(table: PrefixTable, amount: int, seed: int) -> int:
    """Add /16 to /31 prefixes of IPv4 at random. Returns how many calls did."""
    added, state = 0, seed
    for _ in range(amount):
        state = hashing.mix(state, 1, seed)
        added += 1 if prefix_add(table, (state & 0xFFFFFFFF) << 32, 0, 16 + ((state >> 40) & 15), state & 0xFFFF) else 0
    return added


@hot
def remove_many(table: PrefixTable, amount: int, seed: int) -> int:
    """Remove them again. Returns how many were still there."""
    removed, state = 0, seed
    for _ in range(amount):
        state = hashing.mix(state, 1, seed)
        removed += 1 if prefix_remove(table, (state & 0xFFFFFFFF) << 32, 0, 16 + ((state >> 40) & 15)) else 0
    return removed


def test_many_routes_come_and_go(arena: Arena) -> None:
    table = create_prefix_table(arena, "routes", PREFIXES)
    assert add_many(table, PREFIXES, 12345) == PREFIXES
    assert PREFIXES * 0.9 < table.count <= PREFIXES
    count = table.count
    assert remove_many(table, PREFIXES, 12345) == count
    assert (table.count, free_elements(table.nodes)) == (0, table.nodes.fresh - 1)
