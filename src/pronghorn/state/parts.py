"""Octets of an application that lie in several places: what scatter and gather calls take (struct iovec of POSIX)."""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, hot, u64

PARTS = 1024
"""Parts that a call takes at most: UIO_MAXIOV of Linux."""


class Part(View, align=8, size=16):
    """Octets side by side."""

    base: u64  # address of the first
    octets: u64


@hot
def parts_octets(parts: Array[Part], count: int) -> int:
    """Octets in all parts; -1 when one of them has a length that cannot be, or there are too many."""
    if count < 0 or count > PARTS:
        return -1
    total = 0
    for place in range(count):
        octets = parts[place].octets
        if octets < 0 or octets > 0x7FFF_F000:
            return -1
        total += octets
    return total


@hot
def gather(target: int, parts: Array[Part], skip: int, octets: int) -> None:
    """Copy so many octets, that come after the first `skip` ones of the parts, to `target`. They are there."""
    place = 0
    while octets > 0:
        part = parts[place]
        if skip >= part.octets:
            skip -= part.octets
        else:
            size = min(part.octets - skip, octets)
            copy(target, part.base + skip, size)
            target += size
            octets -= size
            skip = 0
        place += 1
