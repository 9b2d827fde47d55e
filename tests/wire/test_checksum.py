"""Checksums against the RFCs' examples, a naive oracle, and scapy."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pronghorn.wire import checksum
from tests.wire.judges import scapy_checksum
from tests.wire.support import place, signed, vectors

u16s = st.integers(0, 0xFFFF)
u32s = st.integers(0, 0xFFFF_FFFF)
u64s = st.integers(0, (1 << 64) - 1)


def naive(data: bytes) -> int:
    """RFC 1071 word by word; the sum, not complemented."""
    total = 0
    for high, low in zip(data[::2], (data + b"\0")[1::2], strict=False):
        total += high << 8 | low
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_rfc1071_example() -> None:
    data = vectors("checksum")["rfc1071"]
    assert checksum.add(place(data), len(data)) == 0xDDF2


def test_textbook_header() -> None:
    data = vectors("checksum")["textbook-ipv4"]
    assert checksum.is_good20(place(data))
    zeroed = data[:10] + b"\0\0" + data[12:]
    assert checksum.compute(0, place(zeroed), 20) == 0xB861


@given(st.binary(min_size=20, max_size=20))
@example(b"\xff" * 20)
@example(bytes(18) + b"\xff\xff")
@example(b"\x45" + bytes(19))
def test_twenty_octets_are_good_when_they_sum_to_ones(data: bytes) -> None:
    assert checksum.is_good20(place(data)) == (naive(data) == 0xFFFF)
    mended = data[:10] + b"\0\0" + data[12:]
    mended = data[:10] + checksum.finish(naive(mended)).to_bytes(2, "big") + data[12:]
    assert checksum.is_good20(place(mended))


def test_rfc1624_example() -> None:
    # RFC 1624 section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285; equation 2 would give 0xffff
    assert checksum.update16(0xDD2F, 0x5555, 0x3285) == 0x0000


@given(st.binary(max_size=300), st.integers(0, 7))
@example(b"", 0)
@example(b"\xff", 1)
@example(b"\xff" * 64, 3)
def test_add_agrees_with_the_oracle_at_any_length_and_alignment(data: bytes, shift: int) -> None:
    address = place(data + bytes(shift))
    assert checksum.add(address, len(data)) == naive(data)
    assert checksum.finish(checksum.add(address, len(data))) == scapy_checksum(data)


def test_add_reads_nothing_beyond_the_end() -> None:
    for octets in range(70):
        assert checksum.add(place(b"\1" * octets), octets) == naive(b"\1" * octets)


@pytest.mark.parametrize("octets", [65535, 65534])
def test_add_does_not_overflow_on_the_longest_packet(octets: int) -> None:
    assert checksum.add(place(b"\xff" * octets), octets) == naive(b"\xff" * octets)


@given(st.integers(0, (1 << 47) - 1))
@example((1 << 47) - 1)
@example(0x1FFFF)
@example(0)
def test_fold_is_the_sum_modulo_65535(total: int) -> None:
    folded = checksum.fold(total)
    assert 0 <= folded <= 0xFFFF
    assert folded % 0xFFFF == total % 0xFFFF
    assert (folded == 0) == (total == 0)


@given(u32s)
@example(0xFFFF_FFFF)
def test_fold_short_is_fold_below_32_bits(total: int) -> None:
    assert checksum.fold_short(total) == checksum.fold(total)


@given(st.binary(min_size=20, max_size=60).filter(any), st.data())
def test_incremental_is_full_for_any_change(data: bytes, draw: st.DataObject) -> None:
    """Equation 3 gives exactly what a full computation gives, whatever changed and to what."""
    width = draw.draw(st.sampled_from([2, 4, 16]))
    at = draw.draw(st.integers(0, (len(data) - width) // 2)) * 2
    new = draw.draw(st.one_of(st.binary(min_size=width, max_size=width), st.just(b"\xff" * width)))
    after = data[:at] + new + data[at + width :]
    old = data[at : at + width]
    if not any(after):
        return  # a sum of zero cannot occur where there is a pseudo header or a version field
    before = checksum.finish(naive(data))
    a, b = int.from_bytes(old, "big"), int.from_bytes(new, "big")
    if width == 2:
        updated = checksum.update16(before, a, b)
    elif width == 4:
        updated = checksum.update32(before, a, b)
    else:
        mask = (1 << 64) - 1
        parts = [signed(part) for part in (a >> 64, a & mask, b >> 64, b & mask)]
        updated = checksum.update_address6(before, *parts)
    assert updated == checksum.finish(naive(after))


@given(u32s, u32s, u16s, u16s)
def test_changes_add_up(old: int, new: int, old_port: int, new_port: int) -> None:
    both = checksum.change32(old, new) + checksum.change16(old_port, new_port)
    step = checksum.update16(checksum.update32(0x1234, old, new), old_port, new_port)
    assert checksum.apply(0x1234, both) == step


@given(u64s)
def test_halves_of_a_signed_word(word: int) -> None:
    assert checksum.fold(checksum.halves(signed(word))) == checksum.fold((word >> 32) + (word & 0xFFFF_FFFF))


def test_udp_zero_means_none_and_stays_so() -> None:
    assert checksum.apply_udp(0, checksum.change16(1, 2)) == 0


def test_udp_sum_of_zero_is_sent_as_ones() -> None:
    assert checksum.apply(0xDD2F, checksum.change16(0x5555, 0x3285)) == 0
    assert checksum.apply_udp(0xDD2F, checksum.change16(0x5555, 0x3285)) == 0xFFFF
    assert checksum.not_zero(0) == 0xFFFF
    assert checksum.not_zero(7) == 7


@given(u32s, u32s, u16s)
def test_pseudo_header_of_ipv4(src: int, dst: int, octets: int) -> None:
    header = src.to_bytes(4, "big") + dst.to_bytes(4, "big") + bytes([0, 6]) + octets.to_bytes(2, "big")
    assert checksum.fold(checksum.pseudo4(src, dst, 6, octets)) == naive(header)


@given(st.tuples(u64s, u64s, u64s, u64s), u16s)
def test_pseudo_header_of_ipv6(words: tuple[int, int, int, int], octets: int) -> None:
    header = b"".join(word.to_bytes(8, "big") for word in words) + octets.to_bytes(4, "big") + bytes([0, 0, 0, 17])
    src_hi, src_lo, dst_hi, dst_lo = (signed(word) for word in words)
    assert checksum.fold(checksum.pseudo6(src_hi, src_lo, dst_hi, dst_lo, 17, octets)) == naive(header)
