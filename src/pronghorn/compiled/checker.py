"""The bounds check that compiled code calls before each access, in the data plane's own language.

Reads the table of regions that `bounds` publishes: sorted by start, searched by halving.
"""

from __future__ import annotations

from pronghorn.compiled.functions import hot
from pronghorn.compiled.intrinsics import external, region_table, unchecked64
from pronghorn.compiled.scalars import i32, i64, u64

write = external("write", (i32, u64, u64), i64)
strlen = external("strlen", (u64,), u64)
abort = external("abort", (), None)

STANDARD_ERROR = 2


@hot
def check_access(address: int, octets: int, place: int) -> None:
    """Abort, naming the place (a C string), unless the octets lie inside one element of a known table."""
    table = region_table()
    low, high = 0, unchecked64(table)
    while low < high:
        middle = (low + high) >> 1
        if unchecked64(table + 8 + 24 * middle) <= address:
            low = middle + 1
        else:
            high = middle
    if low > 0:
        region = table + 8 + 24 * (low - 1)
        inside, size, element = address - unchecked64(region), unchecked64(region + 8), unchecked64(region + 16)
        if inside + octets <= size:
            if element == 0:
                return
            if inside % element + octets <= element:
                return
    write(STANDARD_ERROR, place, strlen(place))
    abort()
