"""SipHash-2-4: a keyed hash whose key cannot be learnt from its results, for what is shown to strangers.

Aumasson & Bernstein, "SipHash: a fast short-input PRF" (INDOCRYPT 2012), over five words of 64 bits. The input is
whole words, so the last block holds its length in octets alone. For tables `hashing.mix` is enough and faster.
"""

from __future__ import annotations

from pronghorn.compiled.functions import hot, leaf
from pronghorn.compiled.intrinsics import shift_right, wrap


@leaf
def _rotate(x: int, bits: int) -> int:
    return wrap(x << bits) | shift_right(x, 64 - bits)


@leaf
def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = wrap(a + b)
    b = _rotate(b, 13) ^ a
    a = _rotate(a, 32)
    c = wrap(c + d)
    d = _rotate(d, 16) ^ c
    a = wrap(a + d)
    d = _rotate(d, 21) ^ a
    c = wrap(c + b)
    b = _rotate(b, 17) ^ c
    c = _rotate(c, 32)
    return a, b, c, d


@leaf
def _absorb(a: int, b: int, c: int, d: int, word: int) -> tuple[int, int, int, int]:
    d ^= word
    a, b, c, d = _round(a, b, c, d)
    a, b, c, d = _round(a, b, c, d)
    return a ^ word, b, c, d


@hot
def sip5(key: int, key2: int, one: int, two: int, three: int, four: int, five: int) -> int:
    """SipHash-2-4 of five words under (key, key2): a signed 64-bit number."""
    a, b = key ^ 0x736F6D6570736575, key2 ^ 0x646F72616E646F6D
    c, d = key ^ 0x6C7967656E657261, key2 ^ 0x7465646279746573
    a, b, c, d = _absorb(a, b, c, d, one)
    a, b, c, d = _absorb(a, b, c, d, two)
    a, b, c, d = _absorb(a, b, c, d, three)
    a, b, c, d = _absorb(a, b, c, d, four)
    a, b, c, d = _absorb(a, b, c, d, five)
    a, b, c, d = _absorb(a, b, c, d, 40 << 56)
    c ^= 0xFF
    for _ in range(4):
        a, b, c, d = _round(a, b, c, d)
    return a ^ b ^ c ^ d
