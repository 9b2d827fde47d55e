"""The eight values of MSS that three bits of a SYN cookie tell apart (RFC 4987 3.6).

The values are those of common links, and at the ends of the range a floor and jumbo frames.
"""

from __future__ import annotations

from pronghorn.compiled import leaf


@leaf
def mss_place(mss: int) -> int:
    """The largest place in the table whose MSS is not above this one."""
    place = 0
    place = 1 if mss >= 536 else place
    place = 2 if mss >= 1200 else place
    place = 3 if mss >= 1300 else place
    place = 4 if mss >= 1400 else place
    place = 5 if mss >= 1440 else place
    place = 6 if mss >= 1460 else place
    return 7 if mss >= 8940 else place


@leaf
def mss_at(place: int) -> int:
    """The table, read the other way."""
    mss = 64
    mss = 536 if place == 1 else mss
    mss = 1200 if place == 2 else mss
    mss = 1300 if place == 3 else mss
    mss = 1400 if place == 4 else mss
    mss = 1440 if place == 5 else mss
    mss = 1460 if place == 6 else mss
    return 8940 if place == 7 else mss
