"""The learning switch: who gets which frame, what is learned and forgotten, and what a flood may cost."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import mode, u64
from pronghorn.memory.arena import Arena
from pronghorn.ports.bridge_port import BURST, BridgePort
from pronghorn.ports.bridge_table import (
    EPOCHS,
    NOWHERE,
    SLOTS,
    BridgeTable,
    bucket_of,
    station_find,
    station_learn,
    station_sweep,
    stations_forget,
)
from pronghorn.ports.driver import PortError
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED
from tests.ports.fabric import Fabric

BROADCAST = 0xFFFFFFFFFFFF
A, B, C = 0x020000000001, 0xFE0000000002, 0x020000000003


def frame(destination: int, source: int, payload: bytes = b"") -> bytes:
    return destination.to_bytes(6) + source.to_bytes(6) + b"\x88\xb5" + payload.ljust(46, b"-")


def everyone(fabric: Fabric) -> list[int]:
    """How many frames each member has."""
    return [len(fabric.take(port)) for port in range(len(fabric.engine.drivers))]


def test_it_learns_where_stations_are() -> None:
    with Fabric(*["bridge:lan"] * 3, "bridge:other") as fabric:
        fabric.send(0, frame(B, A))
        assert everyone(fabric) == [0, 1, 1, 0], "nobody knows B"
        fabric.send(1, frame(A, B))
        assert everyone(fabric) == [1, 0, 0, 0]
        fabric.send(0, frame(B, A, b"1"), frame(B, A, b"2"), frame(BROADCAST, A), frame(B, A, b"3"))
        assert fabric.take(1) == [frame(B, A, b"1"), frame(B, A, b"2"), frame(BROADCAST, A), frame(B, A, b"3")]
        assert fabric.take(2) == [frame(BROADCAST, A)]
        assert fabric.queue(0).tx_packets == fabric.count("transmitted") - 1 == 5
        facts = fabric.driver(0).statistics()
        assert (facts["member"], facts["members"], facts["stations"], facts["flood_lost"]) == (0, 3, 2, 0)


def test_a_station_may_move() -> None:
    with Fabric(*["bridge:lan"] * 3) as fabric:
        fabric.send(1, frame(BROADCAST, B))
        fabric.send(2, frame(BROADCAST, B))
        everyone(fabric)
        fabric.send(0, frame(B, A))
        assert everyone(fabric) == [0, 0, 1]


def test_frames_that_end_in_the_switch_have_their_own_verdict() -> None:
    with Fabric(*["bridge:lan"] * 2) as fabric:
        fabric.send(0, frame(BROADCAST, A))
        everyone(fabric)
        cases = {
            "bridge_same_port": frame(A, C),
            "ethernet_group_source": frame(B, A | 1 << 40),
            "multicast_ignored": frame(0x0180C2000000, A),
            "ethernet_runt": b"short",
        }
        for name, octets in cases.items():
            fabric.send(0, octets, octets)
            assert fabric.count(name) == 2
        fabric.send(0, frame(B, 0))
        assert fabric.count("ethernet_group_source") == 3
        assert everyone(fabric) == [0, 0]
        assert fabric.count("transmitted") == 1
        assert fabric.driver(0).statistics()["stations"] == 2, "neither group nor zero was learned"


def test_stations_are_forgotten_after_a_while() -> None:
    with Fabric(*["bridge:lan?ageing=300"] * 3) as fabric:
        fabric.send(1, frame(BROADCAST, B))
        everyone(fabric)
        fabric.pass_time(299)
        fabric.send(0, frame(B, A))
        assert everyone(fabric) == [0, 1, 0]
        fabric.pass_time(50)
        fabric.send(0, frame(B, A))
        assert everyone(fabric) == [0, 1, 1]


def test_the_table_is_swept() -> None:
    with Fabric(*["bridge:lan?stations=256"] * 2) as fabric:
        fabric.send(0, *[frame(BROADCAST, A + n) for n in range(20)])
        everyone(fabric)
        assert fabric.driver(0).statistics()["stations"] == 20
        fabric.pass_time(400)
        for _ in range(64):
            everyone(fabric)
        assert fabric.driver(0).statistics()["stations"] == 0


def test_floods_are_limited() -> None:
    with Fabric(*["bridge:lan?flood=1000"] * 2) as fabric:
        for _ in range(BURST // 100):
            fabric.send(0, *[frame(BROADCAST, A)] * 100)
            fabric.take(1)
        assert fabric.count("bridge_flood_limit") == 0
        fabric.send(0, frame(BROADCAST, A))
        assert fabric.count("bridge_flood_limit") == 1
        fabric.pass_time(0.005)
        fabric.send(0, *[frame(BROADCAST, A)] * 10)
        assert fabric.count("bridge_flood_limit") == 6
        assert len(fabric.take(1)) == 5
        fabric.send(1, frame(A, B))
        assert len(fabric.take(0)) == 1, "known stations are no flood"


def test_a_full_member_refuses_and_the_others_do_not_mind() -> None:
    with Fabric(*["bridge:lan"] * 3) as fabric:
        fabric.send(1, frame(BROADCAST, B))
        fabric.send(2, frame(BROADCAST, C))
        everyone(fabric)
        for _ in range(6):
            fabric.send(0, *[frame(B, A)] * 200)
        refused = fabric.count("transmit_full")
        assert refused == 1200 - 1024
        fabric.send(0, frame(C, A, b"1"), frame(B, A), frame(C, A, b"2"), frame(B, A), frame(C, A, b"3"))
        assert fabric.count("transmit_full") == refused + 2 == fabric.queue(0).tx_full
        assert fabric.take(2) == [frame(C, A, b"%d" % n) for n in (1, 2, 3)]


def test_large_frames_are_copied_too() -> None:
    large = frame(BROADCAST, A, bytes(60_000))
    with Fabric(*["bridge:lan"] * 3, large=8) as fabric:
        fabric.send(0, large, flags=CHECKSUM_PARTIAL | UNSEGMENTED, gso=1448)
        for member in (1, 2):
            (packet,) = fabric.packets(member)
            assert (packet.length, packet.flags, packet.gso_size) == (len(large), 6, 1448)
            fabric.drop(packet)


def test_copies_that_find_no_packet_are_counted() -> None:
    with Fabric(*["bridge:lan"] * 4, packets=32) as fabric:
        for _ in range(11):  # each takes three packets
            fabric.send(0, frame(BROADCAST, A))
        facts = fabric.driver(0).statistics()
        assert facts["flood_lost"] == 1
        assert facts["flooded"] == 33
        everyone(fabric)


def test_members_come_and_go() -> None:
    with Fabric(*["bridge:lan"] * 3) as fabric:
        fabric.send(1, frame(BROADCAST, B))
        fabric.send(0, frame(BROADCAST, A))
        fabric.engine.remove_port(1)
        fabric.send(0, frame(B, A))
        assert len(fabric.take(2)) == 3, "B is not known any more"
        again = fabric.open("bridge:lan")
        assert fabric.driver(again).statistics()["member"] == 1
        assert fabric.engine.ports[again].mac != fabric.engine.ports[0].mac
        fabric.send(again, frame(A, B))
        assert len(fabric.take(0)) == 2


def test_alone_in_the_switch() -> None:
    with Fabric("bridge:lan") as fabric:
        fabric.send(0, frame(BROADCAST, A))
        assert fabric.driver(0).statistics()["flood_lost"] == 1


def test_too_many_members() -> None:
    with Fabric(*["bridge:lan"] * 3) as fabric:
        switch = fabric.driver(0)._switch  # type: ignore[attr-defined]
        switch.members |= dict.fromkeys(range(3, 64), switch.members[0])
        with pytest.raises(PortError, match="at most 64"):
            fabric.open("bridge:lan")
        for number in range(3, 64):
            del switch.members[number]


@pytest.mark.parametrize("device", ["", "x?ageing=0", "x?stations=many", "x?flood=", "x?colour=red"])
def test_impossible_names(device: str) -> None:
    with pytest.raises(PortError):
        BridgePort(device)


def test_several_workers() -> None:
    with Fabric(*["bridge:lan"] * 2, workers=2) as fabric:
        fabric.send(1, frame(BROADCAST, B), worker=1)
        assert sum(len(fabric.take(0, worker)) for worker in range(2)) == 1
        fabric.send(0, *[frame(B, A)] * 10, worker=0)
        assert sum(len(fabric.take(1, worker)) for worker in range(2)) == 10, "what one learned, all know"


# --- the table by itself ----------------------------------------------------------------------------------------------


def table_of(arena: Arena, buckets: int = 4) -> BridgeTable:
    arena_names = {table.name for table in arena.tables()}
    for name in {"table", "entries"} & arena_names:
        arena.drop(name)
    table: BridgeTable = arena.table("table", BridgeTable, 1)[0]
    table.entries = arena.table("entries", u64, buckets * SLOTS)
    table.buckets, table.shift, table.key, table.epoch = buckets, 64 - (buckets - 1).bit_length(), 0x9E3779B97F4A7C15, 1
    return table


STATION = st.integers(1, (1 << 40) - 1) | st.integers(0xFE0000000000, 0xFEFFFFFFFFFF)


@given(
    steps=st.lists(st.tuples(STATION, st.integers(0, 63)), max_size=25),
    aged=st.integers(0, EPOCHS),
    epoch=st.integers(0, 255),
)
def test_what_was_learned_is_found(steps: list[tuple[int, int]], aged: int, epoch: int) -> None:
    with Arena.create(limit=8 << 20) as arena:
        table = table_of(arena, 256)
        known: dict[int, int] = {}
        for mac, member in steps:
            station_learn(table, mac, member, epoch)
            known[mac] = member
        later = (epoch + aged) & 255
        assert {mac: station_find(table, mac, later) for mac in known} == known
        for bucket in range(256):
            station_sweep(table, bucket, later)
        assert {mac: station_find(table, mac, later) for mac in known} == known
        assert all(station_find(table, mac, (epoch + EPOCHS + 1) & 255) == NOWHERE for mac in known)
        gone = {mac for mac, member in known.items() if member == 5}
        assert stations_forget(table, 5) == len(gone)
        assert {mac for mac in known if station_find(table, mac, epoch) == NOWHERE} == gone


@pytest.mark.parametrize("key", [1, 3, 1 << 40 | 1, 0x9E3779B97F4A7C15, -1, -(1 << 40) + 1])
def test_runs_of_addresses_spread_under_any_key(key: int) -> None:
    """64 addresses over 64 buckets, as random as it should be: 40 have some, and none has more than it holds."""
    with Arena.create(limit=8 << 20) as arena:
        table = table_of(arena, 64)
        table.key = key
        for step in (1, 2, 256, 65536):
            filled = Counter(bucket_of(table, A + step * n) for n in range(64))
            assert max(filled.values()) <= SLOTS
            assert len(filled) > 28


def test_a_flood_of_stations_pushes_out_nobody_who_talks() -> None:
    with Arena.create(limit=8 << 20) as arena:
        table = table_of(arena)
        rng = random.Random(7)
        for epoch in range(3):
            for talker in range(1, 11):
                station_learn(table, talker, 1, epoch)
            for _ in range(100 if mode() == "interpreted" else 1000):
                station_learn(table, rng.getrandbits(39) << 1 | 1 << 41, 2, epoch)
            assert all(station_find(table, talker, epoch) == 1 for talker in range(1, 11))
        assert table.full > 0
