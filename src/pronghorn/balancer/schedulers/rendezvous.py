"""Weighted rendezvous hashing (Thaler and Ravishankar, 1998; weights after Schindelhauer and Schomaker, 2005): of all
servers the one whose distance, divided by its weight, is the least. Everybody who knows the servers chooses the same,
and when one goes, only what it had goes elsewhere.
"""

from __future__ import annotations

from pronghorn.compiled import hashing, leading_zeros, leaf

_BITS = 38  # of a hash; and _ONE more are 62
_ONE = 1 << 24
_BULGE = 5814000
"""What log2 is above a line between powers of two, at most four times: 0.34654 * _ONE."""


@leaf
def distance_of(hash: int) -> int:
    """-log2 of the hash taken as a number from 0 to 1, in units of 1 / _ONE: exponentially distributed."""
    value = hashing.shift_right(hash, 64 - _BITS) | 1
    top = 63 - leading_zeros(value)
    part = (value << 24 >> top) - _ONE
    return (_BITS << 24) - (top << 24) - part - (part * (_ONE - part) >> 24) * _BULGE // _ONE
