"""Sequence-number arithmetic modulo 2**32 (RFC 9293 section 3.4; RFC 1982 for the comparison)."""

from __future__ import annotations

from pronghorn.compiled.functions import leaf


@leaf
def add(a: int, n: int) -> int:
    """a + n modulo 2**32."""
    return (a + n) & 0xFFFFFFFF


@leaf
def difference(a: int, b: int) -> int:
    """How far `a` is ahead of `b`: -2**31 to 2**31-1."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@leaf
def before(a: int, b: int) -> bool:
    """Whether `a` comes before `b`."""
    return difference(a, b) < 0


@leaf
def after(a: int, b: int) -> bool:
    """Whether `a` comes after `b`."""
    return difference(a, b) > 0
