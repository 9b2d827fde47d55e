"""The widths an integer can have in memory.

A field is stored in as many octets as its name says, in the byte order its name says, and read as a signed 64-bit
number. Storing truncates. So arithmetic has one width, and narrowness is a property of memory alone.

    u8 u16 u32 u64   i8 i16 i32 i64     host byte order (little-endian on both targets)
    be16 be32 be64                      network byte order
    au32 au64                           shared with other threads: reading is a load-acquire, writing a store-release

`u64` reads as a signed number with the same 64 bits: addresses and counters never reach the sign bit, and hashes do
not mind.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

_C_TYPES: dict[tuple[int, bool], Any] = {
    (8, False): ctypes.c_uint8,
    (16, False): ctypes.c_uint16,
    (32, False): ctypes.c_uint32,
    (8, True): ctypes.c_int8,
    (16, True): ctypes.c_int16,
    (32, True): ctypes.c_int32,
    (64, False): ctypes.c_int64,
    (64, True): ctypes.c_int64,
}


@dataclass(frozen=True)
class Scalar:
    """How one integer lies in memory. `bits` is 8, 16, 32 or 64."""

    name: str
    bits: int
    signed: bool = False
    big: bool = False
    atomic: bool = False
    at: Callable[[int], Any] = field(init=False, repr=False, compare=False)
    """The C integer at an address, whose `value` is read and written; kept, since interpreted code does little else."""

    def __post_init__(self) -> None:
        kind = _C_TYPES[self.bits, self.signed]
        object.__setattr__(self, "at", (kind.__ctype_be__ if self.big and self.bits > 8 else kind).from_address)

    @property
    def size(self) -> int:
        """Octets in memory."""
        return self.bits // 8

    @property
    def alignment(self) -> int:
        """What natural alignment asks for; network headers are packed and need none."""
        return 1 if self.big else self.size

    @property
    def c_name(self) -> str:
        """The type in the generated C header."""
        return f"{'' if self.signed else 'u'}int{self.bits}_t"

    def load(self, address: int) -> int:
        """Read from memory, interpreted."""
        value: int = self.at(address).value
        return value

    def store(self, address: int, value: int) -> None:
        """Write to memory, interpreted; `value` is truncated."""
        self.at(address).value = value


u8 = Annotated[int, Scalar("u8", 8)]
u16 = Annotated[int, Scalar("u16", 16)]
u32 = Annotated[int, Scalar("u32", 32)]
u64 = Annotated[int, Scalar("u64", 64)]
i8 = Annotated[int, Scalar("i8", 8, signed=True)]
i16 = Annotated[int, Scalar("i16", 16, signed=True)]
i32 = Annotated[int, Scalar("i32", 32, signed=True)]
i64 = Annotated[int, Scalar("i64", 64, signed=True)]
be16 = Annotated[int, Scalar("be16", 16, big=True)]
be32 = Annotated[int, Scalar("be32", 32, big=True)]
be64 = Annotated[int, Scalar("be64", 64, big=True)]
au32 = Annotated[int, Scalar("au32", 32, atomic=True)]
au64 = Annotated[int, Scalar("au64", 64, atomic=True)]


def scalar_of(hint: Any) -> Scalar | None:
    """The Scalar behind an annotation such as `u16`, or None when it is something else."""
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, Scalar):
            return mark
    return None
