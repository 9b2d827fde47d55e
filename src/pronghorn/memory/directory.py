"""What an arena says about itself: a header and a directory of tables, and how both are checked when read back.

Page 0 holds the header, the pages after it 1024 places of 128 octets each; tables start at 2 MiB. A place whose `base`
is 0 is free. The file may come from an older program, another machine or a crash in the middle of a write: nothing in
it is believed before `check_header` and `check_directory` have passed.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pronghorn.compiled import Array, View, fixed, i32, u8, u32, u64
from pronghorn.compiled.scalars import Scalar, scalar_of

MAGIC = int.from_bytes(b"prnghorn", "little")
VERSION = 1
PLACES = 4096
FIRST_TABLE = 2 << 20
_NAME = 64


class ArenaError(Exception):
    """The arena cannot do it; the text says what is wrong and with what."""


class ArenaHeader(View, align=64, size=128):
    """The first octets of an arena. Written once, `magic` last."""

    magic: u64  # "prnghorn" in memory order
    version: u32  # of this file's format
    byte_order: u32  # 0x01020304 as the writer stores it
    layout: u64  # hash of the layouts of ArenaHeader and TableEntry
    start: u64  # where it must be mapped: tables hold addresses
    limit: u64  # octets of address space, and of the sparse file
    process: u32  # that made it


class TableEntry(View, align=64, size=128):
    """One place in the directory. Written by the control plane alone."""

    base: u64  # address of record 0; 0 when the place is free
    capacity: u64  # records that fit in the reserved addresses
    committed: u64  # records that may be used
    layout: u64  # layout hash of the record
    element: u32  # octets of one record
    worker: i32  # that writes it; -1 for the engine as a whole
    process: u32  # that made or adopted it
    length: u32  # octets of the name
    name: Array[u8] = fixed(_NAME)  # UTF-8


class Element(NamedTuple):
    """What the directory keeps of a kind of record."""

    name: str
    size: int
    layout: int


@dataclass(frozen=True)
class Table:
    """A directory entry as a Python object; the fields are those of TableEntry."""

    name: str
    base: int
    element: int
    capacity: int
    committed: int
    worker: int
    process: int
    layout: int

    @classmethod
    def read(cls, entry: TableEntry) -> Table:
        """Copy an entry out of the arena."""
        name = ctypes.string_at(entry.name.address, min(entry.length, _NAME)).decode(errors="replace")
        sizes = (entry.base, entry.element, entry.capacity, entry.committed)
        return cls(name, *sizes, entry.worker, entry.process, entry.layout)

    def write(self, entry: TableEntry) -> None:
        """Fill an entry; `base` goes last, so that a crash before it leaves the place free."""
        octets = self.name.encode()
        if not 0 < len(octets) <= _NAME:
            raise ArenaError(f"table name {self.name!r}: 1 to {_NAME} octets")
        ctypes.memmove(entry.name.address, octets, len(octets))
        entry.length, entry.element, entry.layout = len(octets), self.element, self.layout
        entry.capacity, entry.committed = self.capacity, self.committed
        entry.worker, entry.process = self.worker, self.process
        entry.base = self.base


def element_of(kind: Any) -> Element:
    """Size and layout hash of a view class or a scalar such as `u32`."""
    scalar = scalar_of(kind)
    if scalar is not None:
        return Element(scalar.name, scalar.size, _hash(repr(scalar)))
    if isinstance(kind, type) and issubclass(kind, View):
        return Element(kind.__name__, kind.SIZE, kind.layout_hash())
    raise ArenaError(f"{kind!r} is no view class and no scalar such as u32")


def header_layout() -> int:
    """Layout hash of the arena's own records."""
    return _hash(ArenaHeader.LAYOUT + TableEntry.LAYOUT)


def check_header(descriptor: int, label: str) -> tuple[int, int]:
    """Address and limit of the arena in the file, or ArenaError with what is wrong. Reads without mapping."""
    octets = os.pread(descriptor, ArenaHeader.SIZE, 0)
    size = os.fstat(descriptor).st_size
    if len(octets) < ArenaHeader.SIZE:
        raise ArenaError(f"{label}: too short for an arena ({size} octets)")
    facts = {name: _value(octets, name) for name in ("magic", "version", "byte_order", "layout", "start", "limit")}
    if facts["magic"] == int.from_bytes(b"prnghorn", "big") or facts["byte_order"] == 0x04030201:
        raise ArenaError(f"{label}: made on a machine of the other byte order")
    if facts["magic"] != MAGIC:
        raise ArenaError(f"{label}: no arena (it does not start with 'prnghorn')")
    if facts["version"] != VERSION:
        raise ArenaError(f"{label}: an arena of version {facts['version']}; this program reads version {VERSION}")
    if facts["byte_order"] != 0x01020304:
        raise ArenaError(f"{label}: byte-order mark {facts['byte_order']:#x} is damaged")
    if facts["layout"] != header_layout():
        raise ArenaError(f"{label}: its directory has layout {facts['layout']:#x}, this program's {header_layout():#x}")
    address, limit = facts["start"], facts["limit"]
    if limit != size or limit < 2 * FIRST_TABLE or limit % FIRST_TABLE:
        raise ArenaError(f"{label}: its header says {limit} octets, the file has {size}")
    if address <= 0 or address % FIRST_TABLE or address + limit > 1 << 47:
        raise ArenaError(f"{label}: its address {address:#x} cannot be")
    return address, limit


def check_directory(tables: Sequence[Table], label: str, address: int, limit: int) -> None:
    """ArenaError unless every table lies in the arena, apart from the others, under a name of its own."""
    end = address + FIRST_TABLE
    names: set[str] = set()
    for table in tables:
        place = f"{label}: table {table.name!r}"
        if not table.name or "�" in table.name or table.name in names:
            raise ArenaError(f"{place}: its name is damaged or taken twice")
        names.add(table.name)
        if table.element <= 0 or not 0 <= table.committed <= table.capacity or table.capacity <= 0:
            sizes = f"{table.committed} of {table.capacity} records of {table.element} octets"
            raise ArenaError(f"{place}: {sizes} cannot be")
        if table.base < end:
            raise ArenaError(f"{place}: starts at {table.base:#x}, inside the directory or the table before it")
        end = table.base + table.capacity * table.element
        if end > address + limit:
            raise ArenaError(f"{place}: ends at {end:#x}, beyond the arena")


def _value(octets: bytes, name: str) -> int:
    field = ArenaHeader.FIELDS[name]
    signed = isinstance(field.element, Scalar) and field.element.bits == 64
    return int.from_bytes(octets[field.offset : field.offset + field.size], "little", signed=signed)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
