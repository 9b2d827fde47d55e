"""Keyed hashing: 64-bit patterns in signed numbers, the same in every mode.

`mix` is a folded multiplication (both halves of the 128-bit product, exclusive-ored) of two words, each masked with a
secret: the step of Wang Yi's wyhash and of the multilinear universal families (Lemire & Kaser, "Strongly universal
string hashing is fast", 2014). A sender who does not know the key cannot choose colliding addresses; keys are drawn
at start.
"""

from __future__ import annotations

from pronghorn.compiled.functions import leaf
from pronghorn.compiled.intrinsics import fold_multiply, multiply, shift_right, wrap

__all__ = ["mix", "mix4", "multiply", "shift_right", "wrap"]

_ODD = -7046029254386353131  # 2**64 divided by the golden ratio: spreads the key over the second operand


@leaf
def mix(a: int, b: int, key: int) -> int:
    """Hash of two words under `key`: a signed 64-bit number whose bits are all usable."""
    return fold_multiply(fold_multiply(a ^ key, b ^ multiply(key, _ODD)) ^ key, _ODD)


@leaf
def mix4(a: int, b: int, c: int, d: int, key: int) -> int:
    """Hash of four words under `key`."""
    second = multiply(key, _ODD)
    return fold_multiply(fold_multiply(a ^ key, b ^ second) ^ second, fold_multiply(c ^ second, d ^ key) ^ _ODD)
