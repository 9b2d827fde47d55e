"""sh, dh, mh's flags, conhash and the locality schedulers against naive oracles."""

from __future__ import annotations

import bisect
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.balancer.configure import (
    Scheduling,
    change_limits,
    change_scheduler,
    change_state,
    change_weight,
    rebuild_lookups,
    remove_server,
)
from pronghorn.balancer.lookups import share_points
from pronghorn.balancer.schedulers.conhash import POINTS, point_of
from pronghorn.balancer.schedulers.locality import EXPIRATION
from pronghorn.balancer.tables import LOCALITY_SET
from pronghorn.compiled import array_at, hashing, u32, u64
from tests.balancer.test_schedulers import Chooser, _poke

WEIGHTS = st.lists(st.integers(0, 90), min_size=1, max_size=6)


def hash_32(value: int, bits: int) -> int:
    """include/linux/hash.h."""
    return (value * 0x61C88647 % 2**32) >> (32 - bits)


def sh_buckets(weights: list[int]) -> list[int]:
    """ip_vs_sh_reassign; IPVS puts a new server at the head of its list."""
    order, buckets, place, dealt = list(range(len(weights)))[::-1], [], 0, 0
    for _ in range(256):
        buckets.append(order[place])
        dealt += 1
        if dealt >= weights[order[place]]:
            place, dealt = (place + 1) % len(order), 0
    return buckets


def sh(weights: list[int], full: set[int], value: int, fallback: bool) -> int:
    """ip_vs_sh_get and ip_vs_sh_get_fallback."""
    buckets = sh_buckets(weights)

    def key(offset: int) -> int:
        return (offset + hash_32(value, 8)) & 255

    usable = [weight > 0 and place not in full for place, weight in enumerate(weights)]
    first = key(0)
    if usable[buckets[first]]:
        return buckets[first]
    if fallback:
        for offset in range(256):
            found = buckets[key((offset + first) % 256)]
            if usable[found]:
                return found
    return -1


@given(WEIGHTS, st.sets(st.integers(0, 5)), st.lists(st.integers(0, 2**32 - 1), max_size=8), st.booleans())
def test_sh_is_ipvs_sh(weights: list[int], full: set[int], clients: list[int], fallback: bool) -> None:
    with Chooser("sh", weights) as chooser:
        flags = ("sh-fallback",) if fallback else ()
        change_scheduler(chooser.balancer, chooser.number, "sh", Scheduling(flags))
        for place in full & set(range(len(weights))):
            chooser.balancer.servers[chooser.servers[place]].conns = 1
            change_limits(chooser.balancer, chooser.servers[place], 1)
        for client in clients:
            assert chooser.choose(client) == sh(weights, full, client, fallback)


def set_port(chooser: Chooser, port: int) -> None:
    chooser.packet.transport = chooser.packet.network + 40
    _poke(chooser.packet.transport, port >> 8)
    _poke(chooser.packet.transport + 1, port & 255)


@given(st.integers(0, 2**32 - 1), st.integers(1, 65535))
def test_sh_with_ports(client: int, port: int) -> None:
    with Chooser("sh", [1, 2, 3]) as chooser:
        change_scheduler(chooser.balancer, chooser.number, "sh", Scheduling(("sh-port",)))
        set_port(chooser, port)
        assert chooser.choose(client) == sh([1, 2, 3], set(), client + port, False)


@given(WEIGHTS, st.integers(0, 2**32 - 1))
def test_dh_is_ipvs_dh(weights: list[int], destination: int) -> None:
    with Chooser("dh", weights) as chooser:
        for place, octet in enumerate(destination.to_bytes(4, "big")):
            _poke(chooser.packet.network + 16 + place, octet)
        place = len(weights) - 1 - hash_32(destination, 8) % len(weights)
        assert chooser.choose() == (place if weights[place] else -1)


def test_mh_flags() -> None:
    with Chooser("mh", [1] * 4) as chooser:
        before = [chooser.choose(client) for client in range(80)]
        change_limits(chooser.balancer, chooser.servers[2], 1)
        chooser.balancer.servers[chooser.servers[2]].conns = 1
        assert [chooser.choose(client) for client in range(80)] == [-1 if old == 2 else old for old in before]
        change_scheduler(chooser.balancer, chooser.number, "mh", Scheduling(("mh-fallback",)))
        after = [chooser.choose(client) for client in range(80)]
        assert set(after) == {0, 1, 3}
        assert all(new == old for old, new in zip(before, after, strict=True) if old != 2)
        change_scheduler(chooser.balancer, chooser.number, "mh", Scheduling(("mh-fallback", "mh-port")))
        chosen = set()
        for port in range(1, 60):
            set_port(chooser, port)
            chosen.add(chooser.choose(7))
        assert chosen == {0, 1, 3}


# --- conhash ------------------------------------------------------------------------------------------------------


def ring(chooser: Chooser) -> list[tuple[int, int]]:
    """(number, place of the server) of every point."""
    rebuild_lookups(chooser.balancer)
    words = array_at(u64, chooser.balancer.services[chooser.number].ring)
    points = [words[1 + place] & (1 << 64) - 1 for place in range(words[0])]
    return [(word >> 32, chooser.servers.index(word & 0xFFFFFFFF)) for word in points]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_a_ring_has_160_points_for_a_unit_of_weight(weights: list[int]) -> None:
    with Chooser("conhash", weights) as chooser:
        points = ring(chooser)
        step = math.gcd(*weights) or 1
        assert Counter(place for _, place in points) == Counter(
            {place: POINTS * weight // step for place, weight in enumerate(weights) if weight}
        )
        identity = [chooser.balancer.servers[server].identity for server in chooser.servers]
        expected = [
            (point_of(identity[place], replica), place)
            for place, weight in enumerate(weights)
            for replica in range(POINTS * weight // step)
        ]
        assert sorted(points) == sorted(expected)
        assert [number for number, _ in points] == sorted(number for number, _ in points)


def test_a_connection_belongs_to_the_next_point() -> None:
    with Chooser("conhash", [1, 2, 1]) as chooser:
        points = ring(chooser)
        chosen = Counter(chooser.choose(client * 7919) for client in range(400))
        assert set(chosen) == {0, 1, 2}
        assert chosen[1] > max(chosen[0], chosen[2])
        for client in range(50):
            word = int.from_bytes(client.to_bytes(4, "big"), "little")
            hash = (hashing.mix(word, 0, chooser.balancer.maglev_seed) & (1 << 64) - 1) >> 32
            place = bisect.bisect_left([number for number, _ in points], hash) % len(points)
            assert chooser.choose(client) == points[place][1]


def test_only_clients_of_a_server_that_goes_move() -> None:
    with Chooser("conhash", [1] * 5) as chooser:
        before = [chooser.choose(client) for client in range(200)]
        change_state(chooser.balancer, chooser.servers[3], "drain")
        meanwhile = [chooser.choose_now(client) for client in range(200)]
        after = [chooser.choose(client) for client in range(200)]
        assert 3 not in meanwhile
        assert 3 not in after
        assert after == meanwhile
        assert all(new == old for old, new in zip(before, after, strict=True) if old != 3)


def test_rings_take_the_room_that_is_free() -> None:
    with Chooser("conhash", [1, 1]) as one, Chooser("conhash", [1], port=81) as other:
        for _ in range(5):
            change_weight(one.balancer, one.servers[0], 2)
            first = ring(one)
            second = ring(other)
            change_weight(one.balancer, one.servers[0], 1)
            assert (len(first), len(second), len(ring(one)), len(ring(other))) == (480, 160, 320, 160)
        assert one.balancer.services[one.number].ring - one.balancer.rings.address < 8 * 2000


def test_a_ring_without_room_has_fewer_points() -> None:
    with Chooser("conhash", []) as chooser:
        scratch = chooser.balancer.scratch.address
        units, points = array_at(u32, scratch), array_at(u32, scratch + 4096)
        for place, unit in enumerate((1, 0, 1000)):
            units[place] = unit
        assert share_points(units, 3, 1 << 30, points) == 160 * 1001
        assert share_points(units, 3, 500, points) <= 503
        assert (points[0], points[1]) == (1, 0)


@pytest.mark.parametrize("target", ["address", "address-port", "quic-id"])
def test_hash_targets(target: str) -> None:
    with Chooser("conhash", [1] * 8) as chooser:
        change_scheduler(chooser.balancer, chooser.number, "conhash", Scheduling(hash_target=target))
        chooser.packet.protocol = 17
        set_port(chooser, 1)
        udp = chooser.packet.transport

        def datagram(payload: bytes) -> None:
            for place, octet in enumerate((8 + len(payload)).to_bytes(2, "big") + b"\0\0" + payload):
                _poke(udp + 4 + place, octet)

        chosen = []
        for number in range(40):
            set_port(chooser, 1000 + number)
            datagram(b"\x40" + number.to_bytes(8, "big") + bytes(20))
            chosen.append(chooser.choose(5))
        assert (len(set(chosen)) > 1) == (target != "address")
        if target != "quic-id":
            return
        for number in range(40):  # the same from anywhere, and behind a long header
            datagram(b"\xc0\0\0\0\1\x08" + number.to_bytes(8, "big") + bytes(20))
            set_port(chooser, 3)
            assert chooser.choose(9) == chosen[number]
        for short in (b"", b"\x40", b"\xc0\0\0\0\1", b"\xc0\0\0\0\1\x00abc", b"\xc0\0\0\0\1\x08abc"):
            datagram(short)
            assert len({chooser.choose(client) for client in range(60)}) > 1  # by address


# --- locality -----------------------------------------------------------------------------------------------------


def to(chooser: Chooser, destination: int) -> int:
    for place, octet in enumerate(destination.to_bytes(4, "big")):
        _poke(chooser.packet.network + 16 + place, octet)
    return chooser.choose()


@pytest.mark.parametrize("scheduler", ["lblc", "lblcr"])
def test_an_address_stays_with_its_server_until_that_has_too_much(scheduler: str) -> None:
    with Chooser(scheduler, [2, 4, 8]) as chooser:
        servers = [chooser.balancer.servers[number] for number in chooser.servers]
        assert to(chooser, 1) == 0
        servers[0].conns = servers[0].active = 2
        assert to(chooser, 1) == 0  # others have less, but it has not too much
        assert to(chooser, 2) == 1
        servers[0].conns = servers[0].active = 3
        servers[1].conns = servers[1].active = 2
        servers[2].conns = servers[2].active = 4
        assert to(chooser, 1) == 0  # it has too much, but nobody has less than half
        servers[2].conns = servers[2].active = 3
        assert to(chooser, 1) == 2
        servers[0].conns = servers[0].active = 0
        assert to(chooser, 1) == (2 if scheduler == "lblc" else 0)  # lblcr has both in the set
        assert to(chooser, 2) == 1
        remove_server(chooser.balancer, chooser.servers[1])
        assert to(chooser, 2) == 0


def test_localities_expire() -> None:
    with Chooser("lblc", [1, 1]) as chooser:
        assert to(chooser, 7) == 0
        chooser.balancer.servers[chooser.servers[0]].conns = 1
        now = chooser.gateway.worker.now
        try:
            chooser.gateway.worker.now = now + (EXPIRATION - 10) * 1_000_000_000
            assert to(chooser, 7) == 0
            chooser.gateway.worker.now += (EXPIRATION + 10) * 1_000_000_000
            assert to(chooser, 7) == 1
        finally:
            chooser.gateway.worker.now = now


def test_a_set_changes_and_shrinks() -> None:
    with Chooser("lblcr", [1] * (LOCALITY_SET + 2)) as chooser:
        servers = [chooser.balancer.servers[number] for number in chooser.servers]
        joined = []
        for _ in servers:
            joined.append(to(chooser, 3))
            servers[joined[-1]].conns = servers[joined[-1]].active = 5 + len(joined)
        assert joined == list(range(len(servers)))
        for server in servers:
            server.conns = server.active = 1
        servers[0].conns = servers[0].active = 0  # the most loaded made room, and the first had least
        assert to(chooser, 3) != -1
