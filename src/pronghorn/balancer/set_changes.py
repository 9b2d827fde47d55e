"""The control plane's hand in sets (sets.py): making, filling and emptying them while workers read them.

    sets = Sets(arena, workers=2, clock=time.monotonic_ns, quiesce=every_worker_has_ended_its_turn)
    sets.create("bad", "net", capacity=1_000_000)
    sets.add("bad", [read_member("net", "192.0.2.0/24 timeout 600")])
    sets.address("bad")                       # what services and the black list are given

Memory is bounded by `capacity` and comes as entries do: 64 octets each, 16 for each worker's counters, 16 to 32 for
slots. `clock` is that of the workers (Worker.now). One thread at a time; the caller sees to it.
"""

from __future__ import annotations

import ctypes
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pronghorn.balancer.addresses import ConfigureError
from pronghorn.balancer.set_entries import KINDS, Member, write_words
from pronghorn.balancer.set_slots import set_fill, set_next, set_put, set_search, set_take
from pronghorn.balancer.sets import (
    ABSENT,
    FIRST_SLOT,
    INTERFACE,
    KEY_SHIFT,
    LENGTH_WORD,
    NOMATCH,
    SETS,
    USED,
    AccessSet,
    Count,
    Entry,
)
from pronghorn.compiled import Array, fence, fill, hashing, u64
from pronghorn.memory.arena import Arena

CAPACITY = 1_048_576
"""Entries of a set, unless another limit is given."""

RETIRED = 1024
"""Numbers that wait for the workers before these are waited for."""

_LEAST = 64
_ENTRY = struct.Struct("<qqqqI20x")
_SECOND = 1_000_000_000
_SECRET = 0x51_7C_C1_B7_27_22_0A_95


@dataclass
class Named:
    """What the control plane knows of a set beyond its record."""

    name: str
    kind: str
    number: int
    record: AccessSet
    timeout: int = 0  # seconds, for entries that say none; 0: never
    count: int = 0
    timed: int = 0  # entries that can time out
    size: int = 0  # slots
    gone: int = 0  # of these, in which an entry was
    generation: int = 0  # tables of slots so far
    comments: dict[int, str] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)  # of interfaces: the entry's number
    free: list[int] = field(default_factory=list)
    retired: list[int] = field(default_factory=list)  # numbers that a worker may still look at
    lengths: Counter[tuple[int, int]] = field(default_factory=Counter)  # entries by family and prefix length


@dataclass(frozen=True)
class Shown:
    """An entry as it is."""

    text: str
    packets: int
    octets: int
    left: int | None  # seconds; None: for ever
    comment: str
    nomatch: bool


def no_interface(name: str) -> int | None:
    """Where no port has a name."""
    return None


class Sets:
    """All sets of an engine."""

    def __init__(
        self,
        arena: Arena,
        workers: int,
        clock: Callable[[], int],
        quiesce: Callable[[], None],
        interface: Callable[[str], int | None] = no_interface,
    ) -> None:
        self.arena, self.workers, self.clock, self.quiesce, self.interface = arena, workers, clock, quiesce, interface
        self.records: Array[AccessSet] = arena.table("sets", AccessSet, SETS)
        fill(self.records.address, 0, SETS * AccessSet.SIZE)
        self.sets: dict[str, Named] = {}

    # --- sets -----------------------------------------------------------------------------------------------------

    def create(self, name: str, kind: str, capacity: int = CAPACITY, timeout: int = 0, secret: int = _SECRET) -> Named:
        """An empty set. `secret` keys its hash."""
        if name in self.sets:
            raise ConfigureError(f"there is a set {name} already")
        number = next((n for n in range(SETS) if self.records[n].kind == 0), None)
        if number is None:
            raise ConfigureError(f"there are {SETS} sets already")
        if not 1 <= capacity <= CAPACITY:
            raise ConfigureError(f"set {name}: {capacity} entries; 1 to {CAPACITY} can be")
        record = self.records[number]
        fill(record.address, 0, AccessSet.SIZE)
        record.entries = self.arena.table(f"set{number}.entries", Entry, capacity)
        record.counts = self.arena.table(f"set{number}.counts", Count, capacity * self.workers)
        record.capacity, record.secret, record.number = capacity, hashing.wrap(secret + number), number
        named = Named(name, kind, number, record, timeout)
        self.sets[name] = named
        self._rebuild(named, _LEAST)
        record.kind = KINDS[kind]
        return named

    def remove(self, name: str) -> None:
        """Nobody asks it any more."""
        named = self.find(name)
        del self.sets[name]
        self.quiesce()
        named.record.kind = 0
        for table in ("entries", "counts", f"slots{named.generation}"):
            self.arena.drop(f"set{named.number}.{table}")

    def find(self, name: str) -> Named:
        if name not in self.sets:
            raise ConfigureError(f"there is no set {name}")
        return self.sets[name]

    def address(self, name: str) -> int:
        """What packets are given to ask it."""
        return self.find(name).record.address

    # --- entries --------------------------------------------------------------------------------------------------

    def add(self, name: str, members: Iterable[Member]) -> int:
        """Add them; of those that are there, time, comment and nomatch change. Returns how many are new.

        All of them, or, when there is no room, none.
        """
        named = self.find(name)
        wanted = {(member.hi, member.lo, member.key, member.name): member for member in members}
        room = named.record.capacity - named.count
        if len(wanted) > room:
            new = sum(self._number(named, member) is None for member in wanted.values())
            if new > room:
                raise ConfigureError(f"set {name} has room for {room} entries more, not for {new}")
        self._reserve(named, named.count + len(wanted))
        before = named.count
        now = self.clock()
        for member in wanted.values():
            self._add(named, member, now, self._number(named, member) if before else None)
        return named.count - before

    def delete(self, name: str, members: Iterable[Member]) -> int:
        """Take them out; returns how many were there."""
        named = self.find(name)
        found = [number for member in members if (number := self._number(named, member)) is not None]
        for number in found:
            self._take(named, number)
        return len(found)

    def flush(self, name: str) -> int:
        """Take all out, one by one; returns how many there were."""
        named, number, count = self.find(name), -1, 0
        while (number := set_next(named.record, number + 1, 0)) >= 0:
            self._take(named, number)
            count += 1
        return count

    def expire(self) -> int:
        """Take out what has had its time; returns how many."""
        now, count = self.clock(), 0
        for named in self.sets.values():
            number = -1
            while named.timed and (number := set_next(named.record, number + 1, now)) >= 0:
                self._take(named, number)
                count += 1
        return count

    def rename_interface(self, name: str, number: int | None) -> None:
        """The port of this name has this number now; None: there is none any more."""
        for named in self.sets.values():
            if name in named.names:
                self._move(named, named.names[name], number)

    # --- what they show -------------------------------------------------------------------------------------------

    def test(self, name: str, member: Member) -> Shown | None:
        """The entry, if it is there and its time is not over."""
        named = self.find(name)
        number = self._number(named, member)
        shown = None if number is None else self._shown(named, number)
        return None if shown is None or shown.left == 0 else shown

    def entries(self, name: str) -> Iterator[Shown]:
        """All whose time is not over."""
        named, number = self.find(name), -1
        while (number := set_next(named.record, number + 1, 0)) >= 0:
            shown = self._shown(named, number)
            if shown.left != 0:
                yield shown

    def _shown(self, named: Named, number: int) -> Shown:
        record = named.record
        one = record.entries[number]
        counts = [record.counts[worker * record.capacity + number] for worker in range(self.workers)]
        text = write_words(record.kind, one.hi, one.lo, one.key)
        if record.kind == INTERFACE:
            text = next(name for name, at in named.names.items() if at == number)
        left = None if one.expires == 0 else max(0, -((self.clock() - one.expires) // _SECOND))
        packets, octets = sum(count.packets for count in counts), sum(count.octets for count in counts)
        return Shown(text, packets, octets, left, named.comments.get(number, ""), bool(one.flags & NOMATCH))

    # --- inside ---------------------------------------------------------------------------------------------------

    def _number(self, named: Named, member: Member) -> int | None:
        if member.name is not None:
            return named.names.get(member.name)
        number = set_search(named.record, member.hi, member.lo, member.key)
        return None if number < 0 else number

    def _add(self, named: Named, member: Member, now: int, number: int | None) -> None:
        """`number`: where it is already."""
        record = named.record
        seconds = named.timeout if member.timeout is None else member.timeout
        expires = now + seconds * _SECOND if seconds else 0
        flags = USED | (NOMATCH if member.nomatch else 0)
        if number is not None:
            one = record.entries[number]
            named.timed += (expires != 0) - (one.expires != 0)
            one.flags, one.expires = flags, expires
        else:
            number = self._fresh(named)
            lo = member.lo
            if member.name is not None:
                named.names[member.name] = number
                port = self.interface(member.name)
                lo = ABSENT if port is None else port
            octets = _ENTRY.pack(member.hi, lo, member.key, expires, flags)
            ctypes.memmove(record.entries.address + number * Entry.SIZE, octets, len(octets))
            named.count += 1
            named.timed += expires != 0
            self._count_length(named, member.key, 1)
            self._put(named, number)
        if member.comment:
            named.comments[number] = member.comment
        elif named.comments:
            named.comments.pop(number, None)

    def _fresh(self, named: Named) -> int:
        """A number whose entry no worker looks at."""
        if (
            not named.free
            and named.retired
            and (named.record.fresh == named.record.capacity or len(named.retired) >= RETIRED)
        ):
            self.quiesce()
            named.free, named.retired = named.retired, []
        if named.free:
            number = named.free.pop()
            for worker in range(self.workers):
                count = named.record.counts[worker * named.record.capacity + number]
                count.packets = count.octets = 0
            return number
        named.record.fresh += 1
        return int(named.record.fresh) - 1

    def _put(self, named: Named, number: int) -> None:
        if not set_put(named.record, number):
            self._rebuild(named, named.size)  # which knows the entry

    def _take(self, named: Named, number: int) -> None:
        one = named.record.entries[number]
        named.gone += set_take(named.record, number)
        self._count_length(named, one.key, -1)
        named.timed -= one.expires != 0
        one.flags &= NOMATCH  # a worker may be about to read it
        named.count -= 1
        named.retired.append(number)
        named.comments.pop(number, None)
        if named.names:
            named.names = {name: at for name, at in named.names.items() if at != number}
        if named.gone > named.size // 4:
            self._rebuild(named, named.size)

    def _count_length(self, named: Named, key: int, change: int) -> None:
        """Packets try the prefix lengths that are in use."""
        length, family = key & 0xFF, key >> 32 & 0xFF
        if family == 0:
            return
        before = named.lengths[family, length]
        named.lengths[family, length] = before + change
        if before and before + change:
            return
        word, bit = (0, length) if family == 4 else (1 + length // LENGTH_WORD, length % LENGTH_WORD)
        there = named.record.lengths[word]
        named.record.lengths[word] = there | 1 << bit if named.lengths[family, length] else there & ~(1 << bit)
        if family == 4:
            self._tell_only(named)

    def _tell_only(self, named: Named) -> None:
        """With one prefix length of IPv4 packets ask the filter alone; none may before one of another is known."""
        used = [length for (family, length), count in named.lengths.items() if family == 4 and count]
        record = named.record
        if len(used) != 1 or named.kind not in ("ip", "net"):
            record.only = 0
        elif record.only == 0:
            record.only_mask = 0xFFFF_FFFF << (32 - used[0]) & 0xFFFF_FFFF
            fence()
            record.only = (4 << 32 | used[0]) << KEY_SHIFT

    def _move(self, named: Named, number: int, port: int | None) -> None:
        """The entry is about this port from now on. While it has no slot, nobody looks at it."""
        named.gone += set_take(named.record, number)
        self.quiesce()
        named.record.entries[number].lo = ABSENT if port is None else port
        self._put(named, number)

    def _reserve(self, named: Named, count: int) -> None:
        """Have slots for so many entries, of which at most half are used."""
        size = named.size
        while size < 2 * count:
            size *= 2
        if size != named.size:
            self._rebuild(named, size)

    def _rebuild(self, named: Named, size: int) -> None:
        """Let packets use another table, of so many slots, or more where an entry would lie too far from its place."""
        old, record = named.generation, named.record
        while True:
            named.generation += 1
            table = f"set{named.number}.slots{named.generation}"
            slots = self.arena.table(table, u64, FIRST_SLOT + size + size // 8)
            slots[0] = size - 1
            if set_fill(record, slots.address):
                break
            self.arena.drop(table)
            size *= 2
        fence()
        record.slots, named.size, named.gone = slots.address, size, 0
        if old:
            self.quiesce()
            self.arena.drop(f"set{named.number}.slots{old}")
