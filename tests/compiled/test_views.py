"""Views: layout, widths, byte orders, nesting; the same answers interpreted and compiled."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn.compiled import (
    Array,
    View,
    array_at,
    au32,
    au64,
    be16,
    be32,
    be64,
    bounds,
    field,
    fixed,
    hot,
    i8,
    i16,
    i32,
    i64,
    u8,
    u16,
    u32,
    u64,
)


class Everything(View, align=64):
    a: u8
    b: i8
    c: u16
    d: u32
    e: i16
    f: be16
    g: be32
    h: u64
    i: i64
    j: be64
    k: i32
    m: au32
    n: au64


class Header(View):
    kind: u8
    length: be16
    source: be32


class Ring(View, align=64, size=128):
    head: au64
    tail: au64 = field(align=64)


class Owner(View, align=64):
    count: u32
    pad: u32
    many: Array[Header]
    numbers: Array[u16] = fixed(6)
    headers: Array[Header] = fixed(2)
    spare: u16
    ring: Ring = field(align=64)


FIELDS = list(Everything.FIELDS)


@hot
def write_all(view: Everything, value: int) -> None:
    view.a = value
    view.b = value
    view.c = value
    view.d = value
    view.e = value
    view.f = value
    view.g = value
    view.h = value
    view.i = value
    view.j = value
    view.k = value
    view.m = value
    view.n = value


@hot
def read_one(view: Everything, which: int) -> int:
    if which == 0:
        return view.a
    if which == 1:
        return view.b
    if which == 2:
        return view.c
    if which == 3:
        return view.d
    if which == 4:
        return view.e
    if which == 5:
        return view.f
    if which == 6:
        return view.g
    if which == 7:
        return view.h
    if which == 8:
        return view.i
    if which == 9:
        return view.j
    if which == 10:
        return view.k
    return view.m if which == 11 else view.n


@hot
def walk(owner: Owner, at: int) -> tuple[int, int, bool]:
    owner.many = array_at(Header, at)
    owner.many[1].length = 0x1234
    owner.many[1].length += 1
    owner.numbers[5] = 70000
    owner.headers[1].source = -1
    owner.ring.tail = owner.numbers[5] + Header.SIZE
    return owner.many[1].length, owner.ring.tail, owner.headers[0].source == 0


@pytest.fixture
def memory() -> Iterator[int]:
    """4096 zeroed octets, aligned to 64."""
    raw = (ctypes.c_uint8 * 4160)()
    address = (ctypes.addressof(raw) + 63) // 64 * 64
    bounds.register(address, 4096, 0, "test")
    yield address
    bounds.unregister(address)


@given(value=st.integers(-(2**63), 2**63 - 1))
def test_each_width_truncates_on_store_and_widens_on_load(memory: int, value: int) -> None:
    view = Everything(memory)
    write_all(view, value)
    for which, name in enumerate(FIELDS):
        scalar = Everything.FIELDS[name].element
        signed = scalar.signed or scalar.bits == 64
        octets = (value & (1 << scalar.bits) - 1).to_bytes(scalar.size, "big" if scalar.big else "little")
        wanted = int.from_bytes(octets, "big" if scalar.big else "little", signed=signed)
        assert read_one(view, which) == wanted == getattr(view, name)
        assert ctypes.string_at(memory + Everything.offset(name), scalar.size) == octets


def test_headers_are_packed_and_records_are_laid_out_in_order() -> None:
    assert [Header.offset(name) for name in ("kind", "length", "source")] == [0, 1, 3]
    assert struct.calcsize(">BHI") == Header.SIZE
    assert (Ring.SIZE, Ring.offset("tail"), Ring.ALIGN) == (128, 64, 64)
    assert [Owner.offset(name) for name in Owner.FIELDS] == [0, 4, 8, 16, 28, 42, 64]
    assert Owner.SIZE == 192


def test_nested_views_arrays_and_pointers(memory: int) -> None:
    assert walk(Owner(memory), memory + 1024) == (0x1235, (70000 & 0xFFFF) + 7, True)
    assert Header(memory + 1024 + Header.SIZE).length == 0x1235
    assert Owner(memory).headers[1].source == 0xFFFFFFFF
    assert Owner(memory).many.address == memory + 1024


def test_a_misaligned_field_of_a_record_is_refused_with_the_padding() -> None:
    with pytest.raises(TypeError, match=r"Bad.word: offset 1 is not a multiple of 4; pad 3 octets"):

        class Bad(View, align=64):
            small: u8
            word: u32


def test_a_record_that_outgrows_its_size_is_refused() -> None:
    with pytest.raises(TypeError, match="its fields need 16 octets"):

        class Big(View, align=8, size=8):
            one: u64
            two: u64


def test_unknown_annotations_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Odd\.text"):

        class Odd(View):
            text: str


def test_names_that_every_view_has_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Shadow\.address"):

        class Shadow(View):
            address: u64


def test_the_layout_hash_follows_names_widths_and_nested_layouts() -> None:
    def made(inner: Any, name: str = "x") -> int:
        made_view: Any = type("Made", (View,), {"__annotations__": {name: inner}})
        return int(made_view.layout_hash())

    assert made(u32) == made(u32)
    assert len({made(u32), made(u16), made(be32), made(u32, "y"), made(Header), made(Ring)}) == 6


def test_parts_of_a_record_cannot_be_assigned(memory: int) -> None:
    with pytest.raises(TypeError, match="part of the record"):
        Owner(memory).ring = Ring(memory)
    with pytest.raises(TypeError, match="assign their fields"):
        Owner(memory).headers[0] = Header(memory)


def test_describe_names_every_field(memory: int) -> None:
    Header(memory).kind = 7
    assert "kind = 7" in Header(memory).describe()
