"""Trains of segments: a burst leaves the connection as the same segments do that come turn by turn."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pronghorn.state.mib import COUNTERS
from pronghorn.state.packet import CHECKSUM_GOOD, UNSEGMENTED
from pronghorn.tcp.statistics import data_counted
from pronghorn.wire.tcp import ACK, CWR, ECE, FIN, PSH, URG
from tests.tcp.victim import MSS_1400, SACK_OK, SCALE_7, Peer, Victim, sacks, stamps, summed

FULL = 1000
Frames = list[bytes]


def octets(first: int, count: int) -> bytes:
    """Payload that tells its place in the stream."""
    return bytes((place * 7 + (place >> 8)) & 0xFF for place in range(first, first + count))


def segment(peer: Peer, first: int, count: int = FULL, flags: int = ACK, **fields: object) -> bytes:
    return peer.frame(octets(first, count), seq=first, flags=flags, **fields)  # type: ignore[arg-type]


def row(peer: Peer, count: int, each: int = FULL) -> Frames:
    """So many in order."""
    return [segment(peer, place * each, each) for place in range(count)]


def changed(frame: bytes, place: int, to: int) -> bytes:
    """An octet of the frame is another; IPv4's checksum is right again."""
    frame = frame[:place] + bytes((to,)) + frame[place + 1 :]
    if frame[12:14] == b"\x08\x00":
        header = frame[14:24] + b"\0\0" + frame[26:34]
        frame = frame[:24] + struct.pack("!H", summed(header)) + frame[26:]
    return frame


def hops(peer: Peer, frame: bytes) -> bytes:
    """Another TTL or hop limit."""
    return changed(frame, 22 if peer.victim.family == 4 else 21, 9)


def service(peer: Peer, frame: bytes) -> bytes:
    """Another class of service, CE among it."""
    return changed(frame, 15, 3) if peer.victim.family == 4 else changed(frame, 15, 0x30)


def spoilt(frame: bytes) -> bytes:
    return frame[:-1] + bytes((frame[-1] ^ 1,))


@dataclass
class Case:
    """Frames of a peer; how many of them are merged, and what is read."""

    name: str
    frames: Callable[[Peer], Frames]
    merged: int
    read: int
    verdicts: dict[str, int] = field(default_factory=dict)  # other than delivered
    flags: int = 0
    stamped: bool = False


def at(time: int) -> bytes:
    return stamps(time, 0)


CASES = [
    Case("row", lambda p: row(p, 5), 4, 5 * FULL),
    Case("small", lambda p: row(p, 20, 10), 19, 200),
    Case("push-ends", lambda p: [*row(p, 1), segment(p, FULL, FULL, ACK | PSH), *row(p, 4)[2:]], 2, 4 * FULL),
    Case("push-first", lambda p: [segment(p, 0, FULL, ACK | PSH), *row(p, 2)[1:]], 0, 2 * FULL),
    Case("shorter-ends", lambda p: [*row(p, 1), segment(p, FULL, 600), segment(p, 1600)], 1, 2600),
    Case("longer", lambda p: [segment(p, 0, 600), segment(p, 600)], 0, 1600),
    Case("padded", lambda p: [frame + b"pad" for frame in row(p, 3)], 2, 3 * FULL),
    Case("checksum", lambda p: [*row(p, 1), spoilt(row(p, 2)[1]), *row(p, 3)[2:]], 0, FULL, {"tcp_bad_checksum": 1}),
    Case("vouched", lambda p: row(p, 3), 2, 3 * FULL, flags=CHECKSUM_GOOD),
    Case("unsegmented", lambda p: row(p, 3), 0, 3 * FULL, flags=UNSEGMENTED),
    Case("hole", lambda p: [*row(p, 2), *row(p, 4)[3:]], 1, 2 * FULL),
    Case("hole-filled", lambda p: [row(p, 3)[2], row(p, 3)[0], row(p, 3)[1]], 0, 3 * FULL),
    Case("backwards", lambda p: row(p, 4)[::-1], 0, 4 * FULL),
    Case("duplicate", lambda p: [*row(p, 2), row(p, 2)[1], *row(p, 4)[2:]], 2, 4 * FULL, {"tcp_old": 1}),
    Case("overlap", lambda p: [*row(p, 1), segment(p, 500), segment(p, 1500)], 0, 2500),
    Case("ack", lambda p: [*row(p, 1), segment(p, FULL, ack=-1)], 0, 2 * FULL),
    Case("bad-ack", lambda p: [*row(p, 1), segment(p, FULL, ack=99)], 0, FULL, {"tcp_bad_ack": 1}),
    Case("window", lambda p: [*row(p, 1), segment(p, FULL, window=500)], 0, 2 * FULL),
    Case("empty", lambda p: [*row(p, 1), segment(p, FULL, 0), segment(p, FULL)], 0, 2 * FULL),
    Case("urgent", lambda p: [*row(p, 1), segment(p, FULL, FULL, ACK | URG, urgent=1), segment(p, 2000)], 0, FULL),
    Case("urgent-pointer-alone", lambda p: [*row(p, 1), segment(p, FULL, urgent=7)], 1, 2 * FULL),
    Case("fin", lambda p: [*row(p, 2), segment(p, 2 * FULL, 10, ACK | FIN)], 1, 2 * FULL + 10),
    Case("ece", lambda p: [*row(p, 1), segment(p, FULL, FULL, ACK | ECE)], 0, 2 * FULL),
    Case("ece-both", lambda p: [segment(p, 0, FULL, ACK | ECE), segment(p, FULL, FULL, ACK | ECE)], 1, 2 * FULL),
    Case("cwr", lambda p: [*row(p, 1), segment(p, FULL, FULL, ACK | CWR)], 0, 2 * FULL),
    Case("no-ack", lambda p: [*row(p, 1), segment(p, FULL, FULL, PSH)], 0, FULL, {"tcp_bad_flags": 1}),
    Case("hops", lambda p: [*row(p, 1), hops(p, row(p, 2)[1])], 0, 2 * FULL),
    Case("service", lambda p: [*row(p, 1), service(p, row(p, 2)[1])], 0, 2 * FULL),
    Case("offset", lambda p: [*row(p, 1), segment(p, FULL, offset=4)], 0, FULL, {"tcp_bad_offset": 1}),
    Case("sack", lambda p: [*row(p, 1), segment(p, FULL, options=sacks((p.wants + 9, p.wants + 10)))], 0, 2 * FULL),
    Case("stamped", lambda p: [segment(p, FULL * n, options=at(50)) for n in range(4)], 3, 4 * FULL, stamped=True),
    Case("later", lambda p: [segment(p, FULL * n, options=at(50 + n)) for n in range(3)], 0, 3 * FULL, stamped=True),
    Case(
        "earlier",
        lambda p: [segment(p, FULL * n, options=at(50 - n)) for n in range(3)],
        0,
        FULL,
        {"tcp_paws": 2},
        stamped=True,
    ),
    Case(
        "unaligned",
        lambda p: [segment(p, FULL * n, options=at(50)[2:] + b"\x01\x01") for n in range(3)],
        0,
        3 * FULL,
        stamped=True,
    ),
]


def state(peer: Peer) -> list[int]:
    """Of the connection, what segments received have made."""
    tcb = peer.tcb
    numbers = [tcb.rcv_nxt - peer.next & 0xFFFF_FFFF, tcb.rcv_mss, tcb.segments_in, data_counted(tcb.receive)]
    return [*numbers, tcb.octets_in, tcb.beyond.count, tcb.state, tcb.snd_window, tcb.flags >> 13 & 1]


def counters(victim: Victim) -> dict[str, int]:
    """Those that count what came; what was sent because of it depends on the turns."""
    own = ("OutSegs", "TCPRcvCoalesce")
    return {
        name: victim.endpoints.mib[place]
        for place, (_, name) in enumerate(COUNTERS)
        if name not in own and victim.endpoints.mib[place]
    }


def play(victim: Victim, case: Case, burst: bool) -> tuple[list[int], bytes | int, dict[str, int], int, dict[str, int]]:
    """State, what is read, verdicts, merged, counters."""
    options = MSS_1400 + SACK_OK + (at(1) if case.stamped else b"")
    peer = Peer(victim)
    peer.tail = at(2) if case.stamped else b""
    peer.connect(options)
    before, merged, counted = victim.counts(), victim.counter("TCPRcvCoalesce"), counters(victim)
    for frame in case.frames(peer):
        victim.put(frame, flags=case.flags)
        if not burst:
            victim.turn(0)
    victim.turn(0)
    found = dict(victim.counts() - before)
    found.pop("transmitted", None)
    counted = {name: value - counted.get(name, 0) for name, value in counters(victim).items()}
    return state(peer), victim.read(peer.number), found, victim.counter("TCPRcvCoalesce") - merged, counted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_burst_is_what_its_segments_are(victim: Victim, case: Case) -> None:
    victim.listen()
    alone = play(victim, case, burst=False)
    together = play(victim, case, burst=True)
    assert (alone[3], together[3]) == (0, case.merged)
    assert together[:3] == alone[:3]
    assert {name: value for name, value in together[4].items() if value} == {
        name: value for name, value in alone[4].items() if value
    }
    assert together[1] == octets(0, case.read)
    sent = len(case.frames(Peer(victim)))
    others = sum(case.verdicts.values())
    assert together[2] == ({"delivered": sent - others} if sent != others else {}) | case.verdicts


def test_ipv4_header_spoilt(victim: Victim) -> None:
    """The second's header checksum is wrong: it is dropped by IP, the first stands."""
    if victim.family == 6:
        return
    peer = victim.peer()
    before = victim.counts()
    first, second, third = row(peer, 3)
    for frame in (first, second[:24] + b"\xff\xff" + second[26:], third):
        victim.put(frame)
    victim.turn()
    found = dict(victim.counts() - before)
    assert (found["ipv4_bad_checksum"], found["delivered"]) == (1, 2)
    assert victim.read(peer.number) == octets(0, FULL)


def test_fragments_between(victim: Victim) -> None:
    """A fragment neither begins a train nor is part of one."""
    if victim.family == 6:
        return
    peer = victim.peer()
    frames = row(peer, 3)
    for frame in (changed(frames[0], 20, 0x20), changed(frames[1], 20, 0x20), frames[2]):
        victim.put(frame)
    victim.turn()
    assert victim.counter("TCPRcvCoalesce") == 0
    assert peer.tcb.octets_in == 0
    victim.wait(60, 10)
    victim.sent(0)


def test_one_acknowledgement(victim: Victim) -> None:
    """A train is acknowledged once, at its end, and at once when it is more than a segment."""
    peer = victim.peer()
    for frame in row(peer, 10):
        victim.put(frame)
    victim.turn()
    victim.turn()
    heard = peer.heard()
    assert [segment.ack - peer.next & 0xFFFF_FFFF for segment in heard] == [10 * FULL]


def test_connections_that_alternate(victim: Victim) -> None:
    """Each gets its own octets, merged or not."""
    one, other = victim.peer(), victim.peer()
    for first, second in zip(row(one, 4), row(other, 4), strict=True):
        victim.put(first)
        victim.put(second)
    for place in (4, 5, 6):
        victim.put(segment(other, place * FULL))
    victim.turn()
    assert victim.counter("TCPRcvCoalesce") == 3
    assert victim.read(one.number) == octets(0, 4 * FULL)
    assert victim.read(other.number) == octets(0, 7 * FULL)


def test_window_probes(victim: Victim) -> None:
    """A window of 0 takes nothing, however many ask."""
    peer = victim.peer()
    peer.tcb.rcv_right = peer.tcb.rcv_nxt
    for frame in row(peer, 2, 1):
        victim.put(frame)
    before = victim.counts()
    victim.turn()
    assert (victim.counts() - before)["tcp_out_of_window"] == 2
    assert (victim.counter("TCPRcvCoalesce"), peer.tcb.octets_in) == (0, 0)


def test_beyond_the_window(victim: Victim) -> None:
    """A train ends before the segment that the window takes in part; that one goes on alone, the others are nothing."""
    peer = victim.peer()
    peer.tcb.rcv_right = peer.tcb.rcv_nxt + 3500 & 0xFFFF_FFFF
    for frame in row(peer, 6):
        victim.put(frame)
    victim.turn()
    assert victim.counter("TCPRcvCoalesce") == 2
    assert victim.read(peer.number) == octets(0, 3500)


def test_no_more_than_64_kb(victim: Victim) -> None:
    """What is more is a second train."""
    peer = victim.peer(options=MSS_1400 + SACK_OK + SCALE_7)
    peer.tcb.receive_limit = 200_000
    peer.tcb.rcv_right = peer.tcb.rcv_nxt + 150_000 & 0xFFFF_FFFF
    for frame in row(peer, 60, 1400):
        victim.put(frame)
    victim.turn()
    assert victim.counter("TCPRcvCoalesce") == 58
    assert victim.read(peer.number) == octets(0, 60 * 1400)


def test_memory_is_short(victim: Victim) -> None:
    """Under pressure the ring does not grow ahead, and nothing is lost that is said to be delivered."""
    pressure = victim.tcp.memory_pressure
    victim.tcp.memory_pressure = 0
    peer = victim.peer()
    for frame in row(peer, 12):
        victim.put(frame)
    victim.turn()
    got = victim.read(peer.number)
    victim.tcp.memory_pressure = pressure
    assert isinstance(got, bytes)
    assert got == octets(0, len(got)) != b""
    assert peer.tcb.octets_in == len(got)
    victim.wait(1, 0.1)


def test_streams_of_all_sizes(victim: Victim) -> None:
    """Bursts of any shape, read now and then: every octet in its place."""
    chance = random.Random(1)
    peer = victim.peer()
    sent, got = 0, b""
    for _ in range(15):
        each = chance.choice((1, 13, 536, 1400))
        for _ in range(chance.randrange(1, 30)):
            count = each if chance.random() < 0.9 else chance.randrange(1, 1400)
            victim.put(segment(peer, sent, count, ACK | (PSH if chance.random() < 0.1 else 0)))
            sent += count
        victim.turn()
        victim.turn()
        read = victim.read(peer.number, chance.choice((1 << 17, 1 << 17, 3000)))
        got += read if isinstance(read, bytes) else b""
        if peer.tcb.octets_in - len(got) > 15_000:
            read = victim.read(peer.number)
            got += read if isinstance(read, bytes) else b""
    read = victim.read(peer.number)
    got += read if isinstance(read, bytes) else b""
    assert got == octets(0, sent)
    assert victim.counter("TCPRcvCoalesce") > 50
