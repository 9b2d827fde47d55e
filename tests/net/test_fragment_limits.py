"""Reassembly has limits: of pieces, for each source and for all, of time, and of room."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from pronghorn.compiled import mode
from pronghorn.memory.hashtable import HashIndex
from pronghorn.net.fragments import EXPIRED, LIFETIME, LIFETIME6, Fragments
from pronghorn.net.state import SECOND, net_of
from tests.net.pieces import (
    LIMITS,
    LINK,
    SHARE,
    answer,
    both,
    defragment,
    defragment6,
    echo,
    fragment,
    fragment6,
    hear,
    octets,
    piece,
    pieces,
)
from tests.support.feed import CLIENT, OWN4, OWN6, SERVICE, EngineBench
from tests.wire import judges as j


@pytest.fixture(scope="module")
def shared() -> Iterator[EngineBench]:
    with EngineBench(limits=LIMITS, large_packets=8, packets=1024) as bench:
        bench.service("udp", 4, 53)
        bench.service("udp", 6, 53)
        yield bench


@pytest.fixture
def bench(shared: EngineBench) -> Iterator[EngineBench]:
    """Nothing waits before; nothing waits after, and nothing is lost."""
    yield shared
    shared.drain()
    shared.sent(0)
    shared.sent(1)


# --- limits -------------------------------------------------------------------------------------------------------


def sources(count: int) -> list[str]:
    return [f"100.64.{n // 250}.{n % 250 + 1}" for n in range(count)]


def test_a_flood_from_one_source(bench: EngineBench) -> None:
    """CVE-2018-5391: a source holds its share and no more; others are served meanwhile."""
    own = Fragments(net_of(bench.engine.workers[0]).fragments)
    HashIndex(own.index).secret = 0x0F0E_0D0C_0B0A_0908  # under one key in 256 the two sources share a counter
    frames = [piece(4, 8, octets(64), True, ident, protocol=17) for ident in range(100, 100 + SHARE + 40)]
    assert hear(bench, frames) == {"fragment_source_limit": 40}
    assert bench.held() == SHARE
    payload = octets(900)
    other = pieces(6, echo(6, payload), [400])
    assert hear(bench, other) == {"reassembled": 2, "transmitted": 1}
    assert answer(bench, 6) == payload
    bench.wait(LIFETIME / SECOND + 2)
    assert bench.held() == 0


def test_a_flood_from_many_sources(bench: EngineBench) -> None:
    """The limit on all pieces is exact, however many stations send."""
    count = LIMITS.fragments
    frames = [piece(4, 8, octets(64), True, 3, source, protocol=17) for source in sources(count // 2 + 30)]
    frames += [piece(6, 8, octets(64), True, n, f"2001:db8:ff:{n}::1", protocol=17) for n in range(count)]
    found = hear(bench, frames)
    assert set(found) <= {"fragment_limit", "fragment_source_limit"}
    assert bench.held() == count == len(frames) - sum(found.values())
    bench.check()
    bench.wait(LIFETIME6 / SECOND + 5)
    assert bench.held() == 0


def test_ageing_is_bounded_per_turn(bench: EngineBench) -> None:
    frames = [piece(4, 8, octets(8), True, 9, source, protocol=17) for source in sources(3 * EXPIRED)]
    hear(bench, frames)
    bench.now += LIFETIME
    for left in (2 * EXPIRED, EXPIRED, 0):
        bench.turn()
        assert bench.held() == left


# --- time ---------------------------------------------------------------------------------------------------------


@both
def test_an_incomplete_packet_ends_in_time_and_its_sender_is_told(bench: EngineBench, family: int) -> None:
    lifetime = (LIFETIME if family == 4 else LIFETIME6) / SECOND
    frames = pieces(family, echo(family, octets(600)), [200, 400])
    hear(bench, frames[:2])
    before = bench.counts()
    bench.wait(lifetime - 1)
    assert bench.counts() == before
    bench.wait(2)
    assert bench.counts() - before == {"fragment_timeout": 2, "transmitted": 1}
    (octets_,) = bench.sent(0)
    error = j.Ether(octets_)
    if family == 4:
        assert (error[j.IP].src, error[j.IP].dst) == (OWN4[0], CLIENT[4])
        assert (error[j.ICMP].type, error[j.ICMP].code) == (11, 1)
        assert bytes(frames[0][j.IP])[:228] in octets_
    else:
        assert (error[j.IPv6].src, error[j.IPv6].dst) == (OWN6[0], CLIENT[6])
        assert (error[j.ICMPv6TimeExceeded].type, error[j.ICMPv6TimeExceeded].code) == (3, 1)
        assert bytes(frames[0][j.IPv6]) in octets_


@both
def test_without_its_first_piece_nobody_is_told(bench: EngineBench, family: int) -> None:
    hear(bench, pieces(family, echo(family, octets(600)), [200, 400])[1:])
    before = bench.counts()
    bench.wait(61)
    assert bench.counts() - before == {"fragment_timeout": 2}


@both
def test_the_lifetime_counts_from_the_first_arrival(bench: EngineBench, family: int) -> None:
    """Pieces that come in between do not keep a packet alive."""
    lifetime = (LIFETIME if family == 4 else LIFETIME6) / SECOND
    frames = pieces(family, echo(family, octets(600)), [200, 400])
    hear(bench, frames[1:2])
    bench.wait(lifetime - 2)
    hear(bench, frames[:1])
    bench.wait(3)
    assert bench.held() == 0


def test_both_families_age_in_their_own_order(bench: EngineBench) -> None:
    hear(bench, [piece(6, 8, octets(8), True, 1), piece(4, 8, octets(8), True, 1), piece(6, 8, octets(8), True, 2)])
    bench.wait(31)
    assert bench.held() == 2
    bench.wait(30)
    assert bench.held() == 0


# --- room ---------------------------------------------------------------------------------------------------------


def test_without_large_chunks_a_long_packet_ends() -> None:
    with EngineBench() as bench:
        frames = pieces(4, echo(4, octets(3000)), [1400, 2800])
        assert hear(bench, frames) == {"no_packets": 3}
        assert bench.held() == 0
        payload = octets(1700)
        assert hear(bench, pieces(4, echo(4, payload), [1400])) == {"reassembled": 2, "transmitted": 2}
        assert answer(bench, 4) == payload


@both
def test_a_balanced_datagram_goes_on_in_pieces(bench: EngineBench, family: int) -> None:
    """A service's datagram that came in pieces is balanced whole and sent in pieces, in IPv6 too."""
    payload = octets(4000)
    layer = j.UDP(sport=4000, dport=53) / payload
    got: Any
    if family == 4:
        frames = [LINK / part for part in fragment(j.IP(src=CLIENT[4], dst=SERVICE[4], id=77) / layer, 1400)]
    else:
        packet = j.IPv6(src=CLIENT[6], dst=SERVICE[6]) / j.IPv6ExtHdrFragment(id=77) / layer
        frames = [LINK / part for part in fragment6(packet, 1400)]
    assert hear(bench, frames) == {"reassembled": len(frames), "transmitted": 3}
    parts = [j.Ether(octets) for octets in bench.sent(1)]
    assert all(len(part) <= 1514 for part in parts)
    if family == 4:
        (packet,) = defragment([part[j.IP] for part in parts])
        got = j.IP(bytes(packet))
    else:
        got = j.IPv6(bytes(defragment6([part[j.IPv6] for part in parts])))
    assert bytes(got[j.UDP].payload) == payload
    checksum = got[j.UDP].chksum
    del got[j.UDP].chksum
    assert type(got)(bytes(got))[j.UDP].chksum == checksum


def test_errors_about_a_packet_that_came_in_pieces(bench: EngineBench) -> None:
    """A port where nobody listens is reported for it as for any other packet."""
    payload = j.UDP(sport=1, dport=9) / octets(600)
    parts = fragment(j.IP(src=CLIENT[4], dst=OWN4[0], id=99) / payload, 400)
    assert hear(bench, [LINK / part for part in parts]) == {"reassembled": 2, "no_listener": 1, "transmitted": 1}
    assert j.Ether(bench.sent(0)[0])[j.ICMP].code == 3


def test_many_packets_at_once(bench: EngineBench) -> None:
    """Pieces of many packets, mixed: every packet comes out."""
    count = 20 if mode() == "interpreted" else 100
    frames = []
    for n, source in enumerate(sources(count)):
        frames += pieces(4, echo(4, octets(100, n), source), [56], 40_000 + n, source)
    Random(5).shuffle(frames)
    before = bench.counts()
    for place, frame in enumerate(frames):
        bench.put(frame)
        if place % 32 == 31:
            bench.turn()
    bench.turn()
    assert bench.counts() - before == {"reassembled": 2 * count, "transmitted": count}
    replies = sorted(bytes(j.Ether(octets)[j.ICMP].payload) for octets in bench.sent(0))
    assert replies == sorted(octets(100, n) for n in range(count))
