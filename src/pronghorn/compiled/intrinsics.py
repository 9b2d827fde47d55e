"""What the data plane asks of the machine beyond arithmetic: each works in every mode.

Here is the interpreted meaning; `backend/intrinsics.py` holds the machine code, by the same name.
Atomic read-modify-write operations are sequentially consistent. Interpreted, a lock makes them so among the threads of
a process: the interpreter may change threads between the read and the write.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pronghorn.compiled import bounds
from pronghorn.compiled.scalars import Scalar, scalar_of

C = TypeVar("C", bound=Callable[..., Any])

INTRINSICS: dict[int, str] = {}
"""id of the Python function -> name of the intrinsic."""


def _intrinsic(function: C) -> C:
    INTRINSICS[id(function)] = function.__name__
    return function


def _access(name: str, scalar: Scalar) -> tuple[Callable[[int], int], Callable[[int, int], None]]:
    def load(address: int) -> int:
        if bounds.ENABLED:
            bounds.check(address, scalar.size, f"load{name}()")
        return scalar.load(address)

    def store(address: int, value: int) -> None:
        if bounds.ENABLED:
            bounds.check(address, scalar.size, f"store{name}()")
        scalar.store(address, value)

    load.__name__, store.__name__ = f"load{name}", f"store{name}"
    ACCESS[load.__name__] = ACCESS[store.__name__] = scalar
    return _intrinsic(load), _intrinsic(store)


ACCESS: dict[str, Scalar] = {}
"""The scalar each raw load and store moves."""

_U32, _U64 = Scalar("u32", 32), Scalar("u64", 64)
load8, store8 = _access("8", Scalar("u8", 8))
load16, store16 = _access("16", Scalar("u16", 16))
load32, store32 = _access("32", Scalar("u32", 32))
load64, store64 = _access("64", Scalar("u64", 64))
load_be16, store_be16 = _access("_be16", Scalar("be16", 16, big=True))
load_be32, store_be32 = _access("_be32", Scalar("be32", 32, big=True))
load_be64, store_be64 = _access("_be64", Scalar("be64", 64, big=True))


@_intrinsic
def region_table() -> int:
    """Address of the table of regions of the bounds-check mode."""
    return ctypes.addressof(bounds.table())


@_intrinsic
def unchecked64(address: int) -> int:
    """The u64 at `address`, without a bounds check: for the checker itself."""
    return _U64.load(address)


@_intrinsic
def prefetch(address: int) -> None:
    """Hint that the cache line at `address` will be read and written soon."""


def _check_both(a: int, b: int, octets: int, place: str) -> None:
    if bounds.ENABLED:
        bounds.check_range(a, octets, place)
        bounds.check_range(b, octets, place)


@_intrinsic
def copy(target: int, source: int, octets: int) -> None:
    """memcpy: the two areas do not overlap."""
    _check_both(target, source, octets, "copy()")
    ctypes.memmove(target, source, octets)


@_intrinsic
def move(target: int, source: int, octets: int) -> None:
    """memmove: the areas may overlap."""
    _check_both(target, source, octets, "move()")
    ctypes.memmove(target, source, octets)


@_intrinsic
def fill(target: int, value: int, octets: int) -> None:
    """memset with the low octet of `value`."""
    if bounds.ENABLED:
        bounds.check_range(target, octets, "fill()")
    ctypes.memset(target, value & 0xFF, octets)


@_intrinsic
def same(a: int, b: int, octets: int) -> bool:
    """Whether `octets` at `a` and at `b` are equal."""
    _check_both(a, b, octets, "same()")
    return ctypes.string_at(a, octets) == ctypes.string_at(b, octets)


@_intrinsic
def fence() -> None:
    """A full memory barrier."""


@_intrinsic
def pause() -> None:
    """Tell the core that this is a spin loop."""
    time.sleep(0)


@_intrinsic
def cycles() -> int:
    """The core's time-stamp counter; engine/clock.py knows its rate."""
    return time.perf_counter_ns()


_EXCHANGES = threading.Lock()


def _fetch_add(scalar: Scalar, address: int, n: int) -> int:
    if bounds.ENABLED:
        bounds.check_range(address, scalar.size, f"fetch_add{scalar.bits}()")
    with _EXCHANGES:
        old = scalar.load(address)
        scalar.store(address, old + n)
    return old


def _compare_exchange(scalar: Scalar, address: int, expected: int, new: int) -> bool:
    if bounds.ENABLED:
        bounds.check_range(address, scalar.size, f"compare_exchange{scalar.bits}()")
    with _EXCHANGES:
        if scalar.load(address) != expected:
            return False
        scalar.store(address, new)
    return True


@_intrinsic
def fetch_add32(address: int, n: int) -> int:
    """Add `n` to the u32 at `address`; returns what was there."""
    return _fetch_add(_U32, address, n)


@_intrinsic
def fetch_add64(address: int, n: int) -> int:
    """Add `n` to the u64 at `address`; returns what was there."""
    return _fetch_add(_U64, address, n)


@_intrinsic
def compare_exchange32(address: int, expected: int, new: int) -> bool:
    """Replace the u32 at `address` if it is `expected`; says whether it did."""
    return _compare_exchange(_U32, address, expected, new)


@_intrinsic
def compare_exchange64(address: int, expected: int, new: int) -> bool:
    """Replace the u64 at `address` if it is `expected`; says whether it did."""
    return _compare_exchange(_U64, address, expected, new)


def _signed(value: int) -> int:
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >> 63 else value


@_intrinsic
def wrap(value: int) -> int:
    """The signed 64-bit number with the same low 64 bits (compiled integers always are)."""
    return _signed(value)


@_intrinsic
def multiply(a: int, b: int) -> int:
    """The low 64 bits of a*b."""
    return _signed(a * b)


@_intrinsic
def fold_multiply(a: int, b: int) -> int:
    """Both halves of the unsigned 128-bit product, exclusive-ored: the mixing step of keyed hashing."""
    product = (a & 0xFFFFFFFFFFFFFFFF) * (b & 0xFFFFFFFFFFFFFFFF)
    return _signed(product ^ (product >> 64))


@_intrinsic
def shift_right(value: int, bits: int) -> int:
    """Logical shift of the 64-bit pattern; 0 when `bits` is 64 or more."""
    return _signed((value & 0xFFFFFFFFFFFFFFFF) >> bits)


@_intrinsic
def swap64(value: int) -> int:
    """The eight octets in reverse order."""
    return int.from_bytes((value & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"), "big", signed=True)


@_intrinsic
def count_ones(value: int) -> int:
    """Number of one bits in the 64-bit pattern."""
    return (value & 0xFFFFFFFFFFFFFFFF).bit_count()


@_intrinsic
def trailing_zeros(value: int) -> int:
    """Index of the lowest one bit; 64 when there is none."""
    return ((value & -value).bit_length() - 1) if value else 64


@_intrinsic
def leading_zeros(value: int) -> int:
    """Zeros above the highest one bit of the 64-bit pattern; 64 when there is none."""
    return 64 - (value & 0xFFFFFFFFFFFFFFFF).bit_length()


_libc = ctypes.CDLL(None)


class External:
    """A libc function, called the same way in every mode. Compiled code links to the symbol."""

    def __init__(self, name: str, parameters: tuple[Any, ...], result: Any) -> None:
        self.name = name
        self.parameters = tuple(_scalar(p) for p in parameters)
        self.result = None if result is None else _scalar(result)
        self._native: Any = None

    def __call__(self, *arguments: int) -> int:
        if self._native is None:
            self._native = getattr(_libc, self.name)
            self._native.argtypes = [_ctype(p) for p in self.parameters]
            self._native.restype = None if self.result is None else _ctype(self.result)
        value = self._native(*arguments)
        return 0 if value is None else int(value)

    def text(self) -> str:
        """Stable text for keys."""
        result = self.result.name if self.result else "none"
        return f"{self.name}({','.join(p.name for p in self.parameters)})->{result}"


def external(name: str, parameters: tuple[Any, ...], result: Any) -> Callable[..., int]:
    """Declare a libc function: `close = external("close", (i32,), i32)`. Pointers are `u64`."""
    return External(name, parameters, result)


def _scalar(hint: Any) -> Scalar:
    scalar = scalar_of(hint)
    if scalar is None:
        raise TypeError(f"{hint!r} is no scalar such as u32")
    return scalar


def _ctype(scalar: Scalar) -> Any:
    return getattr(ctypes, f"c_{'' if scalar.signed else 'u'}int{scalar.bits}") if scalar.bits < 64 else ctypes.c_int64
