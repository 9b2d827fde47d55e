"""Sets against Python's ipaddress; what changes them while they are read; how they grow, expire and are bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.balancer.addresses import ConfigureError
from pronghorn.balancer.set_changes import Sets
from pronghorn.balancer.set_entries import KINDS, Member, read_member, write_member
from pronghorn.balancer.set_slots import set_search
from pronghorn.balancer.sets import FIRST_SLOT, GONE, PROBES, SETS, AccessSet, entry_hash, probe_prefixes
from pronghorn.compiled import array_at, mode, u64
from pronghorn.memory import Arena
from pronghorn.wire.text import signed

SECOND = 1_000_000_000
MANY = 5_000 if mode() == "interpreted" else 100_000


class Bench(Sets):
    """Sets without workers, on a clock that tests turn; counts how often the workers were waited for."""

    def __init__(self) -> None:
        self.now, self.waits = 5 * SECOND, 0
        super().__init__(Arena.create(huge="never"), 2, lambda: self.now, self._wait)

    def _wait(self) -> None:
        self.waits += 1

    def put(self, name: str, *texts: str) -> int:
        return self.add(name, [read_member(self.find(name).kind, text) for text in texts])

    def take(self, name: str, *texts: str) -> int:
        return self.delete(name, [read_member(self.find(name).kind, text) for text in texts])

    def meets(self, name: str, address: str) -> str | None:
        """The entry that decides about a packet from this address."""
        return meets(self.find(name).record, address, self.now)

    def texts(self, name: str) -> list[str]:
        return sorted(shown.text for shown in self.entries(name))


def meets(record: AccessSet, address: str, now: int) -> str | None:
    ip = ip_address(address)
    number = int(ip)
    found = probe_prefixes(record, now, signed(number >> 64), signed(number), ip.version << 32)
    if found < 0:
        return None
    entry = record.entries[found]
    length = entry.key & 0xFF
    if entry.key >> 32 == 4:
        return f"{IPv4Address(entry.lo)}/{length}"
    return f"{IPv6Address((entry.hi % (1 << 64)) << 64 | entry.lo % (1 << 64))}/{length}"


@pytest.fixture
def sets() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.arena.close()


FAR = st.sampled_from(["10.0.0.0", "10.128.0.0", "255.255.255.255", "0.0.0.0", "10.0.0.1"])
WIDE = st.sampled_from(["::", "2001:db8::1", "2001:db8::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::"])
NETWORKS = st.one_of(
    st.tuples(FAR, st.sampled_from([0, 1, 8, 9, 31, 32])),
    st.tuples(WIDE, st.sampled_from([0, 1, 47, 48, 63, 64, 65, 95, 96, 127, 128])),
).map(lambda pair: ip_network(f"{pair[0]}/{pair[1]}", strict=False))


@given(st.lists(st.tuples(st.booleans(), NETWORKS), max_size=40), st.lists(st.one_of(FAR, WIDE), max_size=8))
def test_the_longest_prefix_decides(changes: list[tuple[bool, Any]], asked: list[str]) -> None:
    bench = Bench()
    bench.create("s", "net")
    there: set[Any] = set()
    for added, network in changes:
        if added:
            assert bench.put("s", str(network)) == (network not in there)
            there.add(network)
        else:
            assert bench.take("s", str(network)) == (network in there)
            there.discard(network)
    assert bench.find("s").count == len(there)
    assert bench.texts("s") == sorted(map(str, there))
    for text in asked:
        address = ip_address(text)
        best = max((n for n in there if address in n), key=lambda network: network.prefixlen, default=None)
        assert bench.meets("s", text) == (None if best is None else str(best))
    bench.arena.close()


def test_many_entries_are_found_at_once(sets: Bench) -> None:
    """However many there are, nobody walks further than PROBES; loading takes seconds at most."""
    sets.create("s", "ip")
    start = time.monotonic()
    members = [Member("", 0, 0x0A00_0000 + 7 * n, 4 << 32 | 32) for n in range(MANY)]
    assert sets.add("s", members) == MANY
    assert time.monotonic() - start < 30
    record = sets.find("s").record
    for n in (0, 1, MANY // 2, MANY - 1):
        assert sets.meets("s", str(IPv4Address(0x0A00_0000 + 7 * n))) is not None
        assert sets.meets("s", str(IPv4Address(0x0A00_0001 + 7 * n))) is None
    slots = array_at(u64, record.slots)
    mask = slots[0]
    furthest = 0
    for place in range(0, mask + 1, 97):
        number = slots[FIRST_SLOT + place] & GONE
        if number:
            entry = record.entries[number - 1]
            home = entry_hash(entry.hi, entry.lo, entry.key, record.secret) & mask
            furthest = max(furthest, place - home & mask)
    assert furthest < PROBES
    assert mask + 1 >= 2 * MANY


def test_a_set_that_changes_all_the_time_keeps_its_size(sets: Bench) -> None:
    """Slots of what has gone are cleared away, numbers are used again once the workers have been waited for."""
    named = sets.create("s", "ip", capacity=64)
    for n in range(2000):
        sets.put("s", f"10.0.{n >> 8}.{n & 255}")
        if n >= 60:
            sets.take("s", f"10.0.{n - 60 >> 8}.{n - 60 & 255}")
    assert named.count == 60
    assert named.size <= 256
    assert named.record.fresh <= 64
    assert sets.waits > 0
    assert sets.meets("s", "10.0.7.207") is not None
    assert sets.meets("s", "10.0.0.1") is None


def test_what_is_taken_out_is_not_written_before_the_workers_are_waited_for(sets: Bench) -> None:
    named = sets.create("s", "ip", capacity=2)
    sets.put("s", "10.0.0.1", "10.0.0.2")
    sets.take("s", "10.0.0.1")
    assert named.record.entries[0].lo == 0x0A000001
    waits = sets.waits
    sets.put("s", "10.0.0.3")
    assert sets.waits == waits + 1
    assert sets.texts("s") == ["10.0.0.2", "10.0.0.3"]


def test_a_full_set_takes_nothing_more(sets: Bench) -> None:
    sets.create("s", "ip", capacity=3)
    sets.put("s", "10.0.0.1", "10.0.0.2")
    with pytest.raises(ConfigureError, match="room for 1"):
        sets.put("s", "10.0.0.3", "10.0.0.4")
    assert sets.texts("s") == ["10.0.0.1", "10.0.0.2"]
    assert sets.put("s", "10.0.0.1 comment again", "10.0.0.2", "10.0.0.3") == 1


def test_time_ends_entries(sets: Bench) -> None:
    """For packets at once, for the table when it is swept; 0 and the set's own time count, a second add begins anew."""
    named = sets.create("s", "net", timeout=10)
    sets.put("s", "10.0.0.0/8", "10.1.0.0/16 timeout 2", "10.2.0.0/16 timeout 0")
    assert sets.meets("s", "10.1.0.1") == "10.1.0.0/16"
    sets.now += 2 * SECOND
    assert sets.meets("s", "10.1.0.1") == "10.0.0.0/8"
    assert sets.test("s", read_member("net", "10.1.0.0/16")) is None
    assert sets.texts("s") == ["10.0.0.0/8", "10.2.0.0/16"]
    assert (sets.expire(), named.count, named.timed) == (1, 2, 1)
    sets.put("s", "10.0.0.0/8")
    sets.now += 9 * SECOND
    shown = sets.test("s", read_member("net", "10.0.0.0/8"))
    assert shown is not None
    assert shown.left == 1
    sets.now += 1 * SECOND
    assert sets.expire() == 1
    assert (sets.texts("s"), named.timed) == (["10.2.0.0/16"], 0)
    sets.now += 10_000 * SECOND
    assert sets.expire() == 0


def test_flush_and_remove(sets: Bench) -> None:
    sets.create("s", "net")
    sets.put("s", "10.0.0.0/8", "::/0")
    assert sets.flush("s") == 2
    assert sets.meets("s", "10.0.0.1") is None
    assert sets.meets("s", "::1") is None
    tables = len(sets.arena.tables())
    sets.remove("s")
    assert len(sets.arena.tables()) == tables - 3
    with pytest.raises(ConfigureError, match="no set s"):
        sets.find("s")
    sets.create("s", "ip")
    assert sets.texts("s") == []


def test_there_are_only_so_many_sets(sets: Bench) -> None:
    for n in range(SETS):
        sets.create(f"s{n}", "ip", capacity=1)
    with pytest.raises(ConfigureError, match=f"{SETS} sets already"):
        sets.create("more", "ip")
    with pytest.raises(ConfigureError, match="already"):
        sets.create("s1", "ip")


def test_a_slot_is_written_after_its_entry(sets: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever a packet may look, what it finds is whole: looked at from the one place where the writer waits."""
    named = sets.create("s", "ip", capacity=70)
    seen: list[int] = []

    def look() -> None:
        slots = array_at(u64, named.record.slots)
        for place in range(slots[0] + 1):
            number = slots[FIRST_SLOT + place] & GONE
            if number not in (0, GONE):
                entry = named.record.entries[number - 1]
                assert entry.key == 4 << 32 | 32
                assert set_search(named.record, entry.hi, entry.lo, entry.key) == number - 1
                seen.append(number)

    monkeypatch.setattr(sets, "quiesce", look)
    for n in range(200):
        sets.put("s", f"10.0.0.{n}")
        if n >= 66:
            sets.take("s", f"10.0.0.{n - 66}")
    assert seen


def test_who_stays_is_found_while_others_come_and_go(sets: Bench) -> None:
    """A thread reads as a worker does, and is waited for as one: what stays is found every time, under every table."""
    named = sets.create("s", "net", capacity=400)
    stay = [read_member("net", f"10.0.{n}.0/24") for n in range(40)]
    sets.add("s", stay)
    rounds, missed, ending = [0], [], threading.Event()

    def read() -> None:
        while not ending.is_set():
            for member in stay:
                number = set_search(named.record, member.hi, member.lo, member.key)
                if number < 0 or named.record.entries[number].lo != member.lo:
                    missed.append(member.text)
            rounds[0] += 1

    def quiesce() -> None:
        before = rounds[0]
        while rounds[0] < before + 2 and reader.is_alive():
            time.sleep(0)

    sets.quiesce = quiesce
    reader = threading.Thread(target=read)
    reader.start()
    for first in range(0, 1200, 100):
        others = [read_member("net", f"172.16.{first // 100}.{n}") for n in range(100)]
        sets.add("s", others)
        sets.delete("s", others)
    ending.set()
    reader.join()
    assert not missed
    assert rounds[0] > 1
    assert named.count == 40


# --- text ---------------------------------------------------------------------------------------------------------

TEXTS = [
    ("ip", "192.0.2.1", "192.0.2.1"),
    ("ip", "2001:DB8::1 timeout 5", "2001:db8::1 timeout 5"),
    ("net", "192.0.2.0/24 nomatch", "192.0.2.0/24 nomatch"),
    ("net", "192.0.2.7", "192.0.2.7/32"),
    ("ip:port", "192.0.2.1,80", "192.0.2.1,tcp:80"),
    ("net:port", '::/0,udp:53 comment "a b" timeout 0', '::/0,udp:53 timeout 0 comment "a b"'),
    ("mac", "02-00-00-00-00-0A", "02:00:00:00:00:0a"),
    ("port", "443", "443"),
    ("interface", "wan0", "wan0"),
]


@pytest.mark.parametrize(("kind", "text", "written"), TEXTS)
def test_members_are_written_as_ipset_does(sets: Bench, kind: str, text: str, written: str) -> None:
    member = read_member(kind, text)
    assert write_member(member) == written
    assert read_member(kind, written) == member
    sets.create("s", kind)
    sets.add("s", [member])
    assert sets.texts("s") == [member.text]


WRONG = [
    ("ip", "192.0.2.0/24", "not an address"),
    ("ip", "fe80::1%eth0", "zone"),
    ("net", "192.0.2.1/24", "bits set"),
    ("ip:port", "192.0.2.1", "no port"),
    ("ip:port", "192.0.2.1,gre:80", "no port"),
    ("net:port", "192.0.2.0/24,65536", "0 to 65535"),
    ("mac", "02:00", "not an Ethernet address"),
    ("port", "-1", "0 to 65535"),
    ("interface", "a b", "known are"),
    ("ip", "192.0.2.1 timeout x", "timeout"),
    ("ip", "192.0.2.1 timeout", "nothing after"),
    ("ip", "192.0.2.1 packets 7", "known are"),
    ("ip", '192.0.2.1 comment "a', "quotation"),
    ("ip", "192.0.2.1 comment " + 256 * "x", "255"),
]


@pytest.mark.parametrize(("kind", "text", "wrong"), WRONG)
def test_members_that_are_none(kind: str, text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        read_member(kind, text)


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=60))
def test_any_text_is_read_or_refused(kind: str, text: str) -> None:
    try:
        member = read_member(kind, text)
    except ValueError:
        return
    assert read_member(kind, write_member(member)).key == member.key
