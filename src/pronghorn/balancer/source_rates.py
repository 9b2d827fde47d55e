"""How often a source may: a token bucket for each service and source, in a table that never grows.

A bucket is one number, the time from which on it is full again (the generic cell rate algorithm, ITU-T I.371 annex A):
a packet moves it on by the interval between two, and is too much when it lies further ahead than the burst allows.

The table is one per engine, for a source's packets reach every worker; it is written by all of them. A bucket moves by
compare-and-exchange, so that no packet is forgotten. Eight sources share two hundred octets, four lines; a new source
takes the place of the one of its eight that has been silent the longest. Two workers that give the same place to two
sources at once leave one of them with the other's time: at worst a burst more or less. Whoever fills the table with
false sources gains a fresh bucket for each, which it would have had anyway, and makes honest ones forgotten: they
get a full bucket again.

IPv6 sources are counted by /64, since whoever has one address has all of those (RFC 6177).
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, compare_exchange64, fill, hashing, hot, load64, u64
from pronghorn.memory.arena import Arena

SOURCES = 262_144
"""Sources that are remembered; a power of two."""

WAYS = 8
"""Sources that compete for a place."""

CONNECTIONS, PACKETS = 0, 1
"""Which bucket of a source."""

_SECOND = 1_000_000_000
_TRIES = 4


class Source(View, align=32, size=32):
    """One source of one service. All zero: free."""

    tag: u64  # 64 bits of a keyed hash, never 0
    conns: u64  # ns of the workers' clock: when the bucket is full again
    packets: u64
    used: u64  # ns when it was asked last


class Sources(View, align=64, size=64):
    """The table."""

    places: Array[Source]
    mask: u64  # groups of WAYS - 1
    secret: u64


@hot
def find_source(sources: Sources, hi: int, lo: int, ports: int, address: int, now: int) -> Source:
    """The source's record for the service with these ports and (the low half of its) address; made if need be."""
    hash = hashing.mix4(hi, lo, ports, address, sources.secret)
    first, tag = (hash & sources.mask) * WAYS, hash | 1
    oldest = sources.places[first]
    for way in range(WAYS):
        source = sources.places[first + way]
        if source.tag == tag:
            source.used = now
            return source
        if source.used < oldest.used:
            oldest = source
    oldest.tag = tag
    oldest.conns = oldest.packets = 0
    oldest.used = now
    return oldest


@hot
def take_token(bucket: int, now: int, interval: int, slack: int) -> bool:
    """Take a token from the bucket at this address; False: there is none. `slack`: ns it may lie ahead."""
    for _ in range(_TRIES):
        there = load64(bucket)
        start = max(there, now)
        if start - now > slack:
            return False
        if compare_exchange64(bucket, there, start + interval):
            return True
    return True


def interval_of(rate: int, burst: int) -> tuple[int, int]:
    """ns between two, and how far ahead a bucket may lie, for `rate` a second; (0, 0) for none."""
    if rate == 0:
        return 0, 0
    interval = max(1, _SECOND // rate)
    return interval, (max(burst, 1) - 1) * interval


def create_sources(arena: Arena, secret: int, count: int = SOURCES) -> Sources:
    """An empty table, one for an engine."""
    sources: Sources = arena.table("sources.root", Sources, 1)[0]
    fill(sources.address, 0, Sources.SIZE)
    sources.places, sources.mask, sources.secret = arena.table("sources", Source, count), count // WAYS - 1, secret
    return sources
