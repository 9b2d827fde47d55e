"""Named sets of addresses, networks, ports, hardware addresses and interfaces, as packets ask them: ipset's kinds.

A set is one open-addressed table of slots, with a filter behind them: one bit for each of eight times as many places,
set where an entry's hash points (Bloom, 1970, with one hash). A packet that is in no set, as most are, finds that bit
unset but for one time in sixteen, and costs one look into the filter, which a core's cache holds: 256 KB for 100,000
entries. Otherwise it looks at slots, and at an entry only where 31 bits of a keyed hash agree. All that for each prefix
length that the set uses (one for all kinds but networks); these are bits of a word and are tried from the longest on,
as ipset does, and are at most 33 and 129. However many entries there are, nobody walks further than PROBES places, for
the writer enlarges the table before.

Sets are one per engine: all workers read them while the control plane, their only writer, changes them
(set_changes.py). So that nobody ever sees half an entry:

* An entry is written first, then its bit of the filter; then a single store of one word, its slot, makes it known. So
  it is taken out, too; its bit stays until the table is made anew.
* A larger table of slots is written aside; a single store of its address makes it known.
* What was taken out is only written again, and old slots given back, after every worker has ended the turn that it was
  in: no reference to a set outlives a packet.

What an entry has met is counted by each worker for itself. Words of addresses are in network order here, as prefixes
want them. An entry with `nomatch` says no, as the longest prefix that meets an address decides. One whose time is over
is passed over by packets; the control plane takes it out later.

Left out: ipset's pairs of addresses, ip,mac, lists of sets, and ranges, which the control plane can write as prefixes.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    View,
    array_at,
    fixed,
    hashing,
    hot,
    leading_zeros,
    leaf,
    load8,
    load_be16,
    u8,
    u16,
    u32,
    u64,
)
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.wire.ethernet import Ethernet, source
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6

# AccessSet.kind
IP, NET, IP_PORT, NET_PORT, MAC, PORT, INTERFACE = range(1, 8)

PROBES = 64
"""Places that an entry can lie behind its own."""

SETS = 64
"""Sets that an engine can have."""

FIRST_SLOT = 8
"""Words before the first slot of a table; word 0 is its mask."""

GONE = 0xFFFF_FFFF
"""In a slot, instead of a number plus 1: an entry was taken out here, and others may lie behind it."""

# Entry.flags
NOMATCH = 1
USED = 2

ABSENT = 0xFFFF
"""The number of an interface that does not exist."""

LENGTH_WORD = 48
"""Prefix lengths of IPv6 in one word of AccessSet.lengths."""

KEY_SHIFT = 20
"""Where Entry.key meets the high word of an address in a hash."""

OTHER = 1 << 40
"""Entry.key of kinds without address."""


class Entry(View, align=64, size=64):
    """One member of a set."""

    hi: u64  # address in network order; 0 for IPv4
    lo: u64  # IPv4 address; or a hardware address, a port, the number of an interface
    key: u64  # prefix length, port << 8, protocol << 24, family << 32; OTHER without address
    expires: u64  # ns of the workers' clock; 0: never
    flags: u32  # NOMATCH, USED
    spare: u32


class Count(View, align=16, size=16):
    """What an entry has met, by worker."""

    packets: u64
    octets: u64


class AccessSet(View, align=64, size=128):
    """One set. Written by the control plane alone."""

    slots: u64  # address of a table: its mask; from FIRST_SLOT on (tag << 32 | entry + 1), or 0; the filter's octets
    secret: u64  # key of the hash
    only: u64  # where IPv4 addresses have one prefix length and no port: Entry.key << KEY_SHIFT of all these; else 0
    only_mask: u32  # which bits of an IPv4 address count then
    capacity: u32  # entries there can be
    fresh: u32  # numbers ever used
    kind: u8  # 0: no set
    number: u8
    spare: u16
    entries: Array[Entry]
    counts: Array[Count]  # worker * capacity + entry
    lengths: Array[u64] = fixed(4)  # prefix lengths in use: IPv4; then IPv6, LENGTH_WORD in a word


@leaf
def entry_hash(hi: int, lo: int, key: int, secret: int) -> int:
    """64 bits for an entry. Two that differ in `hi` as their keys do have the same: they are compared, that is all."""
    return hashing.mix(hi ^ key << KEY_SHIFT, lo, secret)


@leaf
def entry_tag(hash: int) -> int:
    """What a slot says of its entry's hash: 31 bits that do not choose the place."""
    return hashing.shift_right(hash, 33)


@leaf
def filter_octet(slots: int, mask: int, hash: int) -> int:
    """The address of the filter's octet for the hash; `filter_bit` is in it."""
    return slots + 8 * (FIRST_SLOT + mask + 1) + (hashing.shift_right(hash, 27) & mask)


@leaf
def filter_bit(hash: int) -> int:
    """Which bit of its octet is the hash's."""
    return 1 << (hashing.shift_right(hash, 24) & 7)


@leaf
def high_bits(word: int, bits: int) -> int:
    """The first `bits` (0 to 64) of a word, the others 0."""
    return 0 if bits == 0 else word & (-1 << (64 - bits))


@hot
def probe(set: AccessSet, hi: int, lo: int, key: int) -> int:
    """The number of exactly this entry, or -1."""
    slots, hash = set.slots, entry_hash(hi, lo, key, set.secret)
    table: Array[u64] = array_at(u64, slots)
    mask, tag = table[0], entry_tag(hash)
    if load8(filter_octet(slots, mask, hash)) & filter_bit(hash) == 0:
        return -1
    place = hash & mask
    for _ in range(PROBES):
        slot = table[FIRST_SLOT + place]
        number = slot & GONE
        if number == 0:
            return -1
        if slot >> 32 == tag and number != GONE:
            entry = set.entries[number - 1]
            if entry.lo == lo and entry.hi == hi and entry.key == key:
                return number - 1
        place = (place + 1) & mask
    return -1


@hot
def probe_prefixes(set: AccessSet, now: int, hi: int, lo: int, tail: int) -> int:
    """The entry with the longest prefix of the address whose time is not over, or -1. `tail`: key without length."""
    if tail >> 32 & 0xFF == 4:
        bits = set.lengths[0]
        while bits != 0:
            length = 63 - leading_zeros(bits)
            bits &= ~(1 << length)
            found = probe(set, 0, high_bits(lo << 32, length) >> 32 & 0xFFFF_FFFF, tail | length)
            if found >= 0 and is_alive(set, found, now):
                return found
        return -1
    for back in range(3):
        word = 3 - back
        bits = set.lengths[word]
        while bits != 0:
            bit = 63 - leading_zeros(bits)
            bits &= ~(1 << bit)
            length = (word - 1) * LENGTH_WORD + bit
            high, low = high_bits(hi, min(length, 64)), high_bits(lo, max(length - 64, 0))
            found = probe(set, high, low, tail | length)
            if found >= 0 and is_alive(set, found, now):
                return found
    return -1


@leaf
def is_alive(set: AccessSet, number: int, now: int) -> bool:
    """Whether the entry's time is not over."""
    expires = set.entries[number].expires
    return expires == 0 or expires > now


@hot
def set_find(set: AccessSet, packet: Packet, now: int) -> int:
    """The entry that decides about the packet, or -1: its source, the port it is for, where it came in."""
    kind = set.kind
    if kind == MAC or kind == PORT or kind == INTERFACE:
        if kind == MAC:
            what = source(Ethernet(packet.data))
        elif kind == PORT:
            what = load_be16(packet.transport + 2)
        else:
            what = packet.port
        found = probe(set, 0, what, OTHER)
        return found if found >= 0 and is_alive(set, found, now) else -1
    tail = packet.family << 32
    if kind == IP_PORT or kind == NET_PORT:
        tail |= load_be16(packet.transport + 2) << 8 | packet.protocol << 24
    if packet.family == 4:
        return probe_prefixes(set, now, 0, IPv4(packet.network).src, tail)
    ip = IPv6(packet.network)
    return probe_prefixes(set, now, ip.src_hi, ip.src_lo, tail)


@leaf
def is_in(worker: Worker, set: AccessSet, packet: Packet) -> bool:
    """Whether the packet is in the set. Most are not, and most of those are known by the filter at once."""
    if packet.family == 4 and set.only != 0:
        slots, hash = set.slots, hashing.mix(set.only, IPv4(packet.network).src & set.only_mask, set.secret)
        table: Array[u64] = array_at(u64, slots)
        if load8(filter_octet(slots, table[0], hash)) & filter_bit(hash) == 0:
            return False
    return is_member(worker, set, packet)


@hot
def is_member(worker: Worker, set: AccessSet, packet: Packet) -> bool:
    """The same, asking the slots; counts the packet at the entry that decides."""
    found = set_find(set, packet, worker.now)
    if found < 0:
        return False
    count = set.counts[worker.index * set.capacity + found]
    count.packets += 1
    count.octets += packet.length
    return set.entries[found].flags & NOMATCH == 0
