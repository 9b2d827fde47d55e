"""CRC32c against RFC 3720's vectors, and changes by difference against computing anew."""

from __future__ import annotations

import ctypes
import random

import pytest

from pronghorn.wire.crc32c import change32, compute, multiply, shift

READ = bytes.fromhex(
    "01c00000000000000000000000000000 14000000000004000000001400000018 28000000000000000200000000000000"
)
VECTORS = {
    "zeros": (bytes(32), 0x8A9136AA),
    "ones": (b"\xff" * 32, 0x62A8AB43),
    "up": (bytes(range(32)), 0x46DD794E),
    "down": (bytes(range(31, -1, -1)), 0x113FDB5C),
    "read": (READ, 0xD9963A56),
    "digits": (b"123456789", 0xE3069283),
    "nothing": (b"", 0),
}


def crc(octets: bytes) -> int:
    buffer = ctypes.create_string_buffer(octets, len(octets) + 1)
    return compute(ctypes.addressof(buffer), len(octets))


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name: str) -> None:
    octets, expected = VECTORS[name]
    assert crc(octets) == expected


@pytest.mark.parametrize("octets", [4, 5, 12, 100, 1480, 65535])
def test_a_change_by_difference_is_what_computing_anew_gives(octets: int) -> None:
    draw = random.Random(octets)
    before = draw.randbytes(octets)
    at = draw.randrange(octets - 3)
    new = draw.randbytes(4)
    after = before[:at] + new + before[at + 4 :]
    old_word, new_word = int.from_bytes(before[at : at + 4], "little"), int.from_bytes(new, "little")
    assert crc(before) ^ change32(old_word, new_word, octets - at) == crc(after)


def test_remainders_form_a_ring() -> None:
    draw = random.Random(7)
    for _ in range(20):
        a, b, c = (draw.getrandbits(32) for _ in range(3))
        assert multiply(a, b) == multiply(b, a)
        assert multiply(a ^ b, c) == multiply(a, c) ^ multiply(b, c)
        assert multiply(a, 1 << 31) == a
        assert shift(shift(a, 11), 30) == shift(a, 41)
