"""Decorated functions: signatures, arithmetic, intrinsics, and what is refused."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import (
    Array,
    array_at,
    bounds,
    compare_exchange32,
    compare_exchange64,
    copy,
    count_ones,
    cycles,
    external,
    fetch_add32,
    fetch_add64,
    fill,
    hashing,
    hot,
    i32,
    leading_zeros,
    leaf,
    load_be32,
    mode,
    move,
    same,
    sequence,
    store32,
    swap64,
    trailing_zeros,
    u64,
)

words = st.integers(-(2**63), 2**63 - 1)
small = st.integers(-(2**31), 2**31 - 1)
u32s = st.integers(0, 2**32 - 1)
compiled_only = pytest.mark.skipif(mode() != "jit", reason="about the compiler")


def signed(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >> 63 else value


@leaf
def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


@hot
def arithmetic(a: int, b: int) -> tuple[int, int, int, int, int, int]:
    quotient, rest = a // 7, a % 7
    total = 0
    for k in range(5):
        if k == 3:
            continue
        total += k * b
    while total > 1000:
        total >>= 1
    return quotient, rest, (a & b) | (a ^ b), ~a + abs(b), clamp(a, -10, 10), total


def oracle(a: int, b: int) -> tuple[int, int, int, int, int, int]:
    total = 7 * b
    while total > 1000:
        total >>= 1
    return a // 7, a % 7, (a & b) | (a ^ b), ~a + abs(b), max(-10, min(a, 10)), total


@hot
def logic(a: int, b: int, flag: bool) -> bool:
    return (a < b and not flag) or (flag and a == b)


@hot
def bits(value: int) -> tuple[int, int, int, int]:
    return count_ones(value), trailing_zeros(value), leading_zeros(value), swap64(value)


@hot
def mixing(a: int, b: int, key: int) -> tuple[int, int, int, int]:
    return hashing.mix(a, b, key), hashing.mix4(a, b, b, a, key), hashing.multiply(a, b), hashing.shift_right(a, 7)


@hot
def serial(a: int, b: int) -> tuple[int, int, bool, bool]:
    return sequence.add(a, b), sequence.difference(a, b), sequence.before(a, b), sequence.after(a, b)


@hot
def memory_work(a: Array[u64], b: Array[u64]) -> tuple[int, int, bool, bool, bool]:
    fill(a.address, 0x1FF, 64)
    copy(b.address, a.address, 32)
    move(a.address + 4, a.address, 32)
    store32(b.address, -2)
    before = fetch_add32(b.address, 3) + fetch_add64(b.address + 8, 1)
    wide = compare_exchange64(b.address + 8, 0, 5)
    narrow = compare_exchange32(b.address, 1, 0x01020304)
    return before, load_be32(b.address), same(a.address + 16, b.address + 16, 8), wide, narrow


getppid = external("getppid", (), i32)
labs = external("llabs", (u64,), u64)


@hot
def outside(value: int) -> tuple[int, int]:
    return getppid(), labs(value)


@given(a=small, b=small)
def test_arithmetic_is_pythons(a: int, b: int) -> None:
    assert arithmetic(a, b) == oracle(a, b)


@given(a=small, b=small, flag=st.booleans())
def test_truth_values(a: int, b: int, flag: bool) -> None:
    assert logic(a, b, flag) is bool((a < b and not flag) or (flag and a == b))


@given(value=words)
def test_bit_counting(value: int) -> None:
    pattern = value & 2**64 - 1
    text = f"{pattern:064b}"
    low = 64 if value == 0 else len(text) - len(text.rstrip("0"))
    high = len(text) - len(text.lstrip("0"))
    turned = int.from_bytes(pattern.to_bytes(8, "little"), "big")
    assert bits(value) == (text.count("1"), low, high, signed(turned))


@given(a=words, b=words, key=words)
def test_hashing_against_big_integers(a: int, b: int, key: int) -> None:
    def fold(x: int, y: int) -> int:
        product = (x & 2**64 - 1) * (y & 2**64 - 1)
        return signed(product ^ product >> 64)

    odd = -7046029254386353131
    second = signed(key * odd)
    mix = fold(fold(a ^ key, b ^ second) ^ key, odd)
    mix4 = fold(fold(a ^ key, b ^ second) ^ second, fold(b ^ second, a ^ key) ^ odd)
    assert mixing(a, b, key) == (mix, mix4, signed(a * b), (a & 2**64 - 1) >> 7)


@given(a=u32s, b=u32s)
def test_serial_numbers(a: int, b: int) -> None:
    difference = (a - b) % 2**32
    difference -= 2**32 if difference >= 2**31 else 0
    assert serial(a, b) == ((a + b) % 2**32, difference, difference < 0, difference > 0)


def test_memory_intrinsics() -> None:
    octets = (ctypes.c_uint64 * 16)()
    start = ctypes.addressof(octets)
    bounds.register(start, 128)
    a, b = array_at(u64, start), array_at(u64, start + 64)
    before, after, equal, wide, narrow = memory_work(a, b)
    assert before == 0xFFFFFFFE + -1
    assert after == 0x04030201
    assert (equal, wide, narrow) == (True, True, True)
    bounds.unregister(start)


def test_libc_functions_can_be_called() -> None:
    import os

    assert outside(-12) == (os.getppid(), 12)


def test_cycles_advance() -> None:
    @hot
    def twice() -> tuple[int, int]:
        return cycles(), cycles()

    first, second = twice()
    assert second >= first


@compiled_only
def test_overflow_wraps() -> None:
    @hot
    def more(a: int) -> bool:
        return a + 1 > a

    assert more(2**63 - 1) is False


@compiled_only
def test_symbols_are_readable() -> None:
    from pronghorn.compiled.functions import Function

    assert isinstance(arithmetic, Function)
    assert arithmetic.symbol.endswith("test_functions_arithmetic")
