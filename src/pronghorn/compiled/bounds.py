"""The bounds-check mode: every view access must lie inside one element of a table that is known.

Set PRONGHORN_BOUNDS=1 before start. Whoever makes memory for views registers it (the arena does so for its tables,
ports for their rings): start, octets, and the size of one element. An access that touches no registered memory, or
that straddles two elements, prints the place (file, line and field when compiled) and aborts the process: a wrong
address is a defect of the data plane, never an input error.

The table of regions is sorted by start and has 4096 places. Compiled code reads the same table through the symbol
`pronghorn_regions`: word 0 is the count, then (start, octets, element size) each.
"""

from __future__ import annotations

import bisect
import ctypes
import os
import sys

ENABLED = os.environ.get("PRONGHORN_BOUNDS", "") not in ("", "0")
CAPACITY = 4096
TABLE = (ctypes.c_int64 * (1 + 3 * CAPACITY))()

_starts: list[int] = []
_regions: dict[int, tuple[int, int, str]] = {}


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
    _starts[:] = sorted(_regions)
    TABLE[0] = 0
    for index, start in enumerate(_starts):
        octets, element, _ = _regions[start]
        TABLE[1 + 3 * index], TABLE[2 + 3 * index], TABLE[3 + 3 * index] = start, octets, element
    TABLE[0] = len(_starts)


def check(address: int, octets: int, place: str) -> None:
    """Abort unless `octets` at `address` lie inside one element of a registered table (interpreted code calls this)."""
    index = bisect.bisect_right(_starts, address) - 1
    if index >= 0:
        start = _starts[index]
        size, element, _ = _regions[start]
        inside = address - start
        if inside + octets <= size and (element == 0 or inside % element + octets <= element):
            return
    sys.stderr.write(f"pronghorn: {place}: {octets} octets at {address:#x} are outside every table\n")
    sys.stderr.flush()
    os.abort()
