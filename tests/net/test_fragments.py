"""Reassembly: whatever order and shape the pieces come in, the packet is whole, or ends, and nothing stays behind.

Pieces go through whole turns of an engine. What is put together is an echo request, whose answer shows every octet, or
a datagram for a service, which goes on in pieces again.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pronghorn.net.fragments import PIECES
from tests.net.pieces import LIMITS, LINK, answer, both, echo, fragment, fragment6, hear, idents, octets, piece, pieces
from tests.support.feed import CLIENT, OWN, OWN4, OWN6, ROUTER, EngineBench
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


# --- whole packets ------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("order", ["in order", "reversed", "middle last", "shuffled"])
def test_any_order(bench: EngineBench, family: int, order: str) -> None:
    payload = octets(1200)
    frames = pieces(family, echo(family, payload), [80, 400, 408, 1000])
    if order == "reversed":
        frames.reverse()
    elif order == "middle last":
        frames.append(frames.pop(2))
    elif order == "shuffled":
        Random(3).shuffle(frames)
    assert hear(bench, frames) == {"reassembled": 5, "transmitted": 1}
    assert answer(bench, family) == payload
    assert bench.held() == 0


@both
def test_pieces_wait_and_are_held(bench: EngineBench, family: int) -> None:
    first, second, third = pieces(family, echo(family, octets(300)), [104, 200])
    assert hear(bench, [first, third]) == {}
    assert bench.held() == 2
    bench.check()
    assert hear(bench, [second]) == {"reassembled": 3, "transmitted": 1}


@both
def test_packets_do_not_mix(bench: EngineBench, family: int) -> None:
    """Identification, addresses and (IPv4) protocol tell packets in pieces apart."""
    one, two = octets(200, 1), octets(200, 2)
    frames = [
        frame
        for pair in zip(
            pieces(family, echo(family, one), [104], 7), pieces(family, echo(family, two), [104], 8), strict=True
        )
        for frame in pair
    ]
    assert hear(bench, frames) == {"reassembled": 4, "transmitted": 2}
    got = [bytes(j.Ether(octets).lastlayer()) for octets in bench.sent(0)]
    assert all(any(payload in reply for reply in got) for payload in (one, two))
    other = "100.64.0.78" if family == 4 else "2001:db8:9::78"
    frames = [pieces(family, echo(family, one), [104], 9)[0], pieces(family, echo(family, one), [104], 9, other)[1]]
    assert hear(bench, frames) == {}
    if family == 4:
        assert hear(bench, [piece(4, 104, octets(8), False, 9, protocol=17)]) == {}
        assert bench.held() == 3


def test_ipv6_takes_the_protocol_from_the_first_piece(bench: EngineBench) -> None:
    """RFC 8200 4.5: the next-header field of the others may say anything."""
    payload, ident = octets(300), next(idents)
    data = echo(6, payload)
    frames = [piece(6, 0, data[:104], True, ident), piece(6, 104, data[104:], False, ident, protocol=17)]
    assert hear(bench, frames[::-1]) == {"reassembled": 2, "transmitted": 1}
    assert answer(bench, 6) == payload


def test_ipv6_headers_before_and_behind_the_fragment_header(bench: EngineBench) -> None:
    payload = octets(600)
    inner = bytes(j.IPv6ExtHdrDestOpt(nh=58)) + echo(6, payload)
    ident = next(idents)
    frames = []
    for start, stop in ((0, 304), (304, len(inner))):
        header = j.IPv6ExtHdrFragment(nh=60, offset=start // 8, m=int(stop < len(inner)), id=ident)
        ip = j.IPv6(src=CLIENT[6], dst=OWN6[0]) / j.IPv6ExtHdrHopByHop() / j.IPv6ExtHdrDestOpt()
        frames.append(LINK / ip / header / j.Raw(inner[start:stop]))
    assert hear(bench, frames) == {"reassembled": 2, "transmitted": 1}
    (reply,) = [j.Ether(octets) for octets in bench.sent(0)]
    assert payload in bytes(reply)


def test_ipv4_options_of_the_first_piece_stay(bench: EngineBench) -> None:
    payload = octets(64)
    data = echo(4, payload)
    ident = next(idents)
    first = LINK / j.IP(src=CLIENT[4], dst=OWN4[0], id=ident, flags="MF", proto=1, options=[j.Raw(b"\7\7\4\0\0\0\0\0")])
    assert hear(bench, [piece(4, 32, data[32:], False, ident), first / j.Raw(data[:32])])["reassembled"] == 2
    assert answer(bench, 4) == payload


@both
def test_an_unseen_vlan_priority_tag(bench: EngineBench, family: int) -> None:
    payload = octets(200)
    frames = []
    for frame in pieces(family, echo(family, payload), [104]):
        frames.append(j.Ether(src=ROUTER, dst=OWN[0]) / j.Dot1Q(vlan=0, prio=3) / frame.payload)
    assert hear(bench, frames) == {"reassembled": 2, "transmitted": 1}
    assert answer(bench, family) == payload


@given(
    family=st.sampled_from([4, 6]),
    size=st.integers(24, 4000),
    cut=st.integers(8, 1400),
    seed=st.integers(0, 1000),
    twice=st.booleans(),
)
def test_random_fragmentations_by_scapy(
    shared: EngineBench, family: int, size: int, cut: int, seed: int, twice: bool
) -> None:
    """Scapy cuts, chance shuffles and repeats, the engine puts together, octet for octet."""
    cut = max(cut, size // (PIECES - 1) // 8 * 8 + 8)
    payload = octets(size, seed)
    ident = next(idents)
    if family == 4:
        ip = j.IP(src=CLIENT[4], dst=OWN4[0], id=ident & 0xFFFF) / j.ICMP(id=1) / payload
        frames = [LINK / part for part in fragment(ip, max(cut // 8 * 8, 8))]
    else:
        packet = j.IPv6(src=CLIENT[6], dst=OWN6[0]) / j.IPv6ExtHdrFragment(id=ident)
        packet /= j.ICMPv6EchoRequest(id=1, data=payload)
        frames = [LINK / part for part in fragment6(packet, max(cut, 8) + 48 + 8)]
    assume(len(frames) > 1)
    Random(seed).shuffle(frames)
    expected: dict[str, int] = {"reassembled": len(frames)}
    if twice and len(frames) > 2:
        frames.insert(1, frames[0])
        expected["fragment_overlap"] = 1
    found = hear(shared, frames)
    sent = found.pop("transmitted")
    assert found == expected
    assert sent == -(-(size + 8) // (1480 if family == 4 else 1448)) or sent == 1
    assert answer(shared, family) == payload
    shared.check()


# --- what does not fit --------------------------------------------------------------------------------------------


@both
def test_a_repeated_piece_ends_alone(bench: EngineBench, family: int) -> None:
    payload = octets(300)
    first, second, third = pieces(family, echo(family, payload), [104, 200])
    verdicts = hear(bench, [first, first, third, third, second])
    assert verdicts == {"fragment_overlap": 2, "reassembled": 3, "transmitted": 1}
    assert answer(bench, family) == payload


OVERLAPS = [
    ((0, 104, True), (96, 96, True)),  # the end of an earlier one
    ((96, 96, True), (0, 104, True)),  # the beginning of a later one
    ((0, 104, True), (0, 96, True)),  # inside, at its beginning
    ((0, 104, True), (8, 96, True)),  # inside, at its end
    ((0, 104, True), (8, 8, True)),  # inside
    ((8, 8, True), (0, 104, True)),  # around
    ((0, 8, True), (0, 104, True)),  # around, from its beginning
    ((96, 8, True), (0, 104, True)),  # around, to its end
    ((96, 16, False), (0, 104, True)),  # into the last (teardrop, CVE-1999-0015)
    ((0, 104, True), (96, 20, False)),
]


@both
@pytest.mark.parametrize(("one", "two"), OVERLAPS)
def test_overlaps_end_the_packet(
    bench: EngineBench, family: int, one: tuple[int, int, bool], two: tuple[int, int, bool]
) -> None:
    """RFC 5722 for IPv6; IPv4 is treated alike (as Linux does since CVE-2018-5391)."""
    ident = next(idents)
    frames = [piece(family, start, octets(count), more, ident) for start, count, more in (one, two)]
    assert hear(bench, frames) == {"fragment_overlap": 2}
    assert bench.held() == 0


@both
def test_an_overlap_ends_every_piece(bench: EngineBench, family: int) -> None:
    data = echo(family, octets(400))
    ident = next(idents)
    frames = pieces(family, data, [104, 200, 304], ident)[:3]
    assert hear(bench, frames) == {}
    assert hear(bench, [piece(family, 192, octets(16), True, ident)]) == {"fragment_overlap": 4}


INCONSISTENT = [
    [(200, 8, False), (300, 8, False)],  # two ends
    [(304, 8, False), (200, 8, False)],
    [(200, 8, False), (208, 8, True)],  # more behind the end
    [(200, 8, False), (400, 8, True)],
    [(208, 8, True), (200, 8, False)],  # the end before what is there
    [(400, 8, True), (0, 8, True), (200, 8, False)],
]


@both
@pytest.mark.parametrize("parts", INCONSISTENT)
def test_inconsistent_ends(bench: EngineBench, family: int, parts: list[tuple[int, int, bool]]) -> None:
    ident = next(idents)
    frames = [piece(family, start, octets(count), more, ident) for start, count, more in parts]
    assert hear(bench, frames) == {"fragment_inconsistent": len(parts)}


@both
def test_empty_unaligned_and_beyond(bench: EngineBench, family: int) -> None:
    """CVE-1999-0128, CVE-2020-17438: none of them is kept."""
    name = "ipv4" if family == 4 else "ipv6"
    assert hear(bench, [piece(family, 8, b"", True, 5)]) == {f"{name}_fragment_empty": 1}
    unaligned = hear(bench, [piece(family, 8, octets(9), True, 5)])
    beyond = hear(bench, [piece(family, 65528, octets(9), False, 5)])
    reported = {"transmitted": 1} if family == 6 else {}  # RFC 8200 4.5: parameter problem
    assert unaligned == {f"{name}_fragment_unaligned": 1, **reported}
    assert beyond == {f"{name}_fragment_beyond": 1, **reported}
    if family == 6:
        problems = [j.Ether(octets)[j.IPv6] for octets in bench.sent(0)]
        assert [(p.payload.type, p.payload.code, p.payload.ptr) for p in problems] == [(4, 0, 4), (4, 0, 42)]


def test_a_whole_beyond_65535(bench: EngineBench) -> None:
    """Each piece is good; the first one's header makes the whole too long."""
    ident = next(idents)
    last = piece(4, 65504, octets(8), False, ident)
    size = 1424
    frames = [piece(4, start, octets(min(size, 65504 - start)), True, ident) for start in range(0, 65504, size)]
    first = LINK / j.IP(src=CLIENT[4], dst=OWN4[0], id=ident, flags="MF", proto=1, options=[j.Raw(b"\1" * 40)])
    frames[0] = first / j.Raw(octets(size))
    assert hear(bench, [*frames, last]) == {"fragment_inconsistent": len(frames) + 1}


@both
def test_the_longest_packet(bench: EngineBench, family: int) -> None:
    """65,535 octets need a chunk of 64 KB, and the answer goes out in pieces again."""
    payload = octets(65535 - 8 - (20 if family == 4 else 0))
    data = echo(family, payload)
    frames = pieces(family, data, list(range(1424, len(data), 1424)))
    found = hear(bench, frames)
    assert found == {"reassembled": 47, "transmitted": -(-len(data) // (1480 if family == 4 else 1448))}
    assert answer(bench, family) == payload


@both
def test_too_many_pieces(bench: EngineBench, family: int) -> None:
    ident = next(idents)
    frames = [piece(family, 16 * n, octets(8), True, ident) for n in range(PIECES + 1)]
    assert hear(bench, frames) == {"fragment_too_many": PIECES + 1}
