"""Floods, cookies and guessing: rows 20 to 22 of the bad inputs."""

from __future__ import annotations

import random
from ipaddress import ip_address
from itertools import pairwise

import pytest

from pronghorn.compiled import mode
from pronghorn.net.state import MAPPED
from pronghorn.tcp.secrets import initial_sequence, timestamp_offset
from pronghorn.tcp.source import choose_port
from pronghorn.tcp.tcb import ESTABLISHED, scratch_of
from pronghorn.wire.tcp import SYN
from tests.support.feed import CLIENT
from tests.tcp.victim import MSS_1400, SACK_OK, SCALE_7, Peer, Victim, stamps

MASK = 0xFFFF_FFFF
SLOW = mode() == "interpreted"
SAMPLES = 2_000 if SLOW else 100_000
BACKLOG = 16
REFUSED = "tcp_bad_cookie"
"""And answered by a reset, as any acknowledgement of nothing."""


def spoofed(chance: random.Random, family: int) -> str:
    """Some source."""
    if family == 4:
        return str(ip_address(0x0B00_0000 + chance.randrange(1 << 24)))
    return str(ip_address((0x2600 << 112) + chance.getrandbits(64)))


def flood(victim: Victim, syns: int, seed: int = 1) -> None:
    """SYNs of nobody."""
    chance = random.Random(seed)
    for _ in range(syns):
        frame = Peer(victim, spoofed(chance, victim.family), isn=chance.getrandbits(32)).frame(
            flags=SYN, options=MSS_1400
        )
        assert victim.verdict(frame) == "delivered"


# --- SYN floods: CVE-1999-0116, CVE-2017-5972 -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [b"", MSS_1400 + stamps(77, 0) + SCALE_7 + SACK_OK], ids=["plain", "all"])
def test_flood_of_ten_backlogs_then_a_good_client(victim: Victim, options: bytes) -> None:
    """The good client connects and is served; what the flood makes us keep is the backlog's."""
    victim.listen(backlog=BACKLOG)
    flood(victim, 3 * BACKLOG)
    records, memory = len(victim.in_use()), victim.memory
    flood(victim, 10 * BACKLOG, 2)
    assert (len(victim.in_use()), victim.memory) == (records, memory)
    assert records == BACKLOG + 1
    assert victim.counter("SyncookiesSent") == 12 * BACKLOG - 1
    victim.sent(0)
    peer = Peer(victim)
    assert peer.send(flags=SYN, options=options) == "delivered"
    answer = peer.heard()[-1]
    peer.next, peer.wants = peer.next + 1 & MASK, answer.seq + 1 & MASK
    if options:
        at = answer.options.index(b"\x08\x0a") + 2
        peer.tail = stamps(78, int.from_bytes(answer.options[at : at + 4]))
    assert peer.send(b"question") == "delivered"
    peer.number = victim.accept()
    assert victim.read(peer.number) == b"question"
    assert victim.counter("SyncookiesRecv") == 1
    if options:
        assert peer.tcb.agreed & 7 == 7
        assert peer.tcb.snd_scale == 7


def test_half_open_connections_go(victim: Victim) -> None:
    """After the retries of their answers, so that the backlog is there again."""
    victim.listen(backlog=BACKLOG)
    flood(victim, BACKLOG)
    victim.wait(100, 1)
    assert victim.in_use() == []
    victim.sent(0)
    victim.peer()
    assert victim.in_use() == [ESTABLISHED]


def test_connections_that_nobody_accepts(victim: Victim) -> None:
    """A queue that is full takes no more; those in it are kept, and served later."""
    victim.listen(backlog=2)
    peers = [Peer(victim) for _ in range(6)]
    for peer in peers:
        peer.send(flags=SYN, options=MSS_1400)
        answers = peer.heard()
        if answers:
            peer.next, peer.wants = peer.next + 1 & MASK, answers[-1].seq + 1 & MASK
            peer.send()
    assert victim.in_use().count(ESTABLISHED) == 3
    for _ in range(3):
        victim.accept()


def test_reset_of_a_connection_that_waits_to_be_accepted(victim: Victim) -> None:
    """It stays on the queue until it is accepted, and says what became of it."""
    listener = victim.listen()
    peers = [Peer(victim) for _ in range(3)]
    for peer in peers:
        peer.send(flags=SYN, options=MSS_1400)
        peer.next, peer.wants = peer.next + 1 & MASK, peer.heard()[-1].seq + 1 & MASK
        assert peer.send() == "delivered"
    assert peers[1].send(flags=4) == "tcp_reset"
    assert len(victim.in_use()) == 3
    numbers = [victim.accept() for _ in range(3)]
    assert [victim.read(number) for number in numbers] == [-11, -104, -11]
    assert listener in victim.sockets


# --- cookies ----------------------------------------------------------------------------------------------------------


def overrun(victim: Victim) -> Peer:
    """A peer whose SYN was answered by a cookie."""
    victim.listen(backlog=0)
    flood(victim, 2)
    victim.sent(0)
    peer = Peer(victim)
    assert peer.send(flags=SYN, options=MSS_1400) == "delivered"
    peer.next, peer.wants = peer.next + 1 & MASK, peer.heard()[-1].seq + 1 & MASK
    return peer


def test_forged_cookies(victim: Victim) -> None:
    """Guesses, and every bit of a good one changed: none is believed."""
    peer = overrun(victim)
    for bit in range(32):
        assert peer.send(ack=1 << bit) == REFUSED
    chance = random.Random(3)
    for _ in range(50 if SLOW else 1000):
        assert peer.send(ack=chance.randrange(1, 1 << 32)) == REFUSED
    assert peer.send(seq=1) == REFUSED
    peer.sport += 1
    assert peer.send() == REFUSED
    peer.sport -= 1
    assert peer.send() == "delivered"
    victim.accept()


def test_cookie_of_long_ago(victim: Victim) -> None:
    """Replay after rotation: a cookie is good for two minutes at most, also while others are given out."""
    peer = overrun(victim)
    for _ in range(5):
        victim.wait(32, 8)
        flood(victim, 1, 9)
    assert peer.send() == REFUSED


def test_acknowledgements_when_no_cookie_was_sent(victim: Victim) -> None:
    """They are of nothing, and looked at no further."""
    victim.listen()
    for seq in range(50):
        assert Peer(victim, isn=seq * 77).send(ack=seq * 991) == "no_listener"
    assert victim.in_use() == []
    assert victim.counter("SyncookiesFailed") == 0


# --- what must not be guessed: CVE-2020-27213, -27630 to -27636, -28388, -35685, CVE-2022-1012 ------------------------


def chi_square(values: list[int], places: int) -> float:
    """Of how often each of `places` values came, against all alike."""
    counts = [0] * places
    for value in values:
        counts[value] += 1
    expected = len(values) / places
    return sum((found - expected) ** 2 for found in counts) / expected


def is_even(values: list[int], places: int) -> bool:
    """Within five standard deviations of what chance gives; nor much evener than that."""
    deviation: float = (2 * (places - 1)) ** 0.5
    return abs(chi_square(values, places) - (places - 1)) < 5 * deviation


def numbers(victim: Victim, purpose: str) -> list[int]:
    """Of many clients whose addresses and ports follow each other."""
    tcb = scratch_of(victim.tcp)
    victim.address(victim.own, 80)
    tcb.local_hi, tcb.local_lo, tcb.local_port, tcb.family = victim.name.hi, victim.name.lo, 80, victim.family
    first = int(ip_address(CLIENT[victim.family]))
    found = []
    for sample in range(SAMPLES):
        remote = first + (sample >> 4)
        tcb.remote_hi = 0 if victim.family == 4 else remote >> 64
        tcb.remote_lo = MAPPED | remote if victim.family == 4 else remote & (1 << 64) - 1
        tcb.remote_port = 1024 + (sample & 15)
        if purpose == "isn":
            found.append(initial_sequence(victim.worker, victim.tcp, tcb))
        elif purpose == "stamp":
            found.append(timestamp_offset(victim.tcp, tcb))
        else:
            tcb.local_port, tcb.remote_port = 0, 80
            assert choose_port(victim.worker, victim.tcp, tcb) == 0
            found.append(tcb.local_port)
    return found


def test_initial_sequence_numbers(victim: Victim) -> None:
    """RFC 6528: of neighbours they tell nothing about each other; of the same four-tuple they go up with time."""
    found = numbers(victim, "isn")
    assert len(set(found)) > SAMPLES * 0.99
    for shift in (0, 8, 16, 24):
        assert is_even([value >> shift & 255 for value in found], 256)
    steps = [two - one & MASK for one, two in pairwise(found)]
    for shift in (0, 8, 16, 24):
        assert is_even([step >> shift & 255 for step in steps], 256)
    tcb = scratch_of(victim.tcp)
    before = initial_sequence(victim.worker, victim.tcp, tcb)
    victim.worker.now += 1_000_000
    assert initial_sequence(victim.worker, victim.tcp, tcb) - before & MASK == 1_000_000 >> 6


def test_timestamp_offsets(victim: Victim) -> None:
    """RFC 7323 7.1: one for a pair of addresses, none tells of another."""
    found = numbers(victim, "stamp")[::16]
    assert len(set(found)) > len(found) * 0.99
    for shift in (0, 12, 24):
        assert is_even([value >> shift & 15 for value in found], 16)


def test_ephemeral_ports(victim: Victim) -> None:
    """RFC 6056: to neighbours from ports that tell nothing about each other."""
    found = numbers(victim, "port")[::16]
    low, high = victim.tcp.port_low, victim.tcp.port_high
    assert all(low <= port <= high for port in found)
    places = 16
    assert is_even([(port - low) * places // (high - low + 1) for port in found], places)
    steps = {two - one for one, two in pairwise(found)}
    assert len(steps) > len(found) // 2
