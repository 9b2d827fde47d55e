"""The bounds-check mode: every view access must lie inside one element of a table that is known.

Set PRONGHORN_BOUNDS=1 before start; it works interpreted, jit, and native with the checked library that
`PRONGHORN_BOUNDS=1 python -m pronghorn.compiled.build` writes beside the ordinary one. Whoever makes memory for views
registers it (the arena does so for its tables, ports for their rings): start, octets, and the size of one element. An
access that touches no registered memory, or that straddles two elements, prints the place (file, line and field when
compiled) and aborts the process: a wrong address is a defect of the data plane, never an input error. So do the ranges
of copy, move, fill and same (which may cover several whole elements), atomic operations, and a division by zero. What
libc does with an address is not checked.

The table of regions is sorted by start and has 4096 places. Compiled code reads the same table through the symbol
`pronghorn_regions`: word 0 is the index of the word where the current list begins: its count, then (start, octets,
element size) each. There are two lists, so that workers can read one while the other is written.
"""

from __future__ import annotations

import bisect
import ctypes
import functools
import os
import sys
from typing import Any, NoReturn

ENABLED = os.environ.get("PRONGHORN_BOUNDS", "") not in ("", "0")
CAPACITY = 4096
_LIST = 1 + 3 * CAPACITY
WORDS = 1 + 2 * _LIST
"""Size of the table, in 64-bit words."""

_starts: list[int] = []
_regions: dict[int, tuple[int, int, str]] = {}


@functools.cache
def table() -> Any:
    """The words that compiled code reads: the native library's own, else memory of this process."""
    from pronghorn.compiled import modes, native

    if modes.mode() == "native":
        return (ctypes.c_int64 * WORDS).in_dll(native.library(), "pronghorn_regions")
    return (ctypes.c_int64 * WORDS)(1)


def register(start: int, octets: int, element: int = 0, name: str = "") -> None:
    """Make `octets` at `start` known. `element` is the size of one record; 0 when the memory is plain octets."""
    if not ENABLED:
        return
    if len(_starts) >= CAPACITY and start not in _regions:
        raise MemoryError(f"bounds-check mode knows at most {CAPACITY} tables")
    _regions[start] = (octets, element, name)
    _publish()


def unregister(start: int) -> None:
    """Forget the table at `start`."""
    if _regions.pop(start, None) is not None:
        _publish()


def _publish() -> None:
    words = table()
    _starts[:] = sorted(_regions)
    at = 1 + _LIST if words[0] == 1 else 1
    words[at] = len(_starts)
    for index, start in enumerate(_starts):
        octets, element, _ = _regions[start]
        words[at + 1 + 3 * index : at + 4 + 3 * index] = [start, octets, element]
    words[0] = at


def check(address: int, octets: int, place: str) -> None:
    """Abort unless `octets` at `address` lie inside one element of a registered table (interpreted code calls this)."""
    inside, size, element = _region(address)
    if inside + octets > size or (element and inside % element + octets > element):
        _abort(address, octets, place)


def check_range(address: int, octets: int, place: str) -> None:
    """The same for a range: it lies inside one element, or starts with an element and lies inside the table."""
    if octets == 0:
        return
    inside, size, element = _region(address)
    across = element and inside % element and inside % element + octets > element
    if octets < 0 or inside + octets > size or across:
        _abort(address, octets, place)


def _region(address: int) -> tuple[int, int, int]:
    """How far the address is inside its table, and the table's octets and element. Before the first: (0, -1, 0)."""
    index = bisect.bisect_right(_starts, address) - 1
    if index < 0:
        return 0, -1, 0
    start = _starts[index]
    size, element, _ = _regions[start]
    return address - start, size, element


def _abort(address: int, octets: int, place: str) -> NoReturn:
    sys.stderr.write(f"pronghorn: {place}: {octets} octets at {address:#x} are outside every table\n")
    sys.stderr.flush()
    os.abort()
