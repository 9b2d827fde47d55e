"""What compiled code calls in the bounds-check mode before each access, in the data plane's own language.

Reads the table of regions that `bounds` publishes: sorted by start, searched by halving.
"""

from __future__ import annotations

from pronghorn.compiled.functions import hot, leaf
from pronghorn.compiled.intrinsics import external, region_table, unchecked64
from pronghorn.compiled.scalars import i32, i64, u64

write = external("write", (i32, u64, u64), i64)
strlen = external("strlen", (u64,), u64)
abort = external("abort", (), None)

STANDARD_ERROR = 2


@hot
def check_access(address: int, octets: int, place: int) -> None:
    """Abort, naming the place (a C string), unless the octets lie inside one element of a known table."""
    region = _region(address)
    if region != 0:
        inside, size, element = address - unchecked64(region), unchecked64(region + 8), unchecked64(region + 16)
        if inside + octets <= size and (element == 0 or inside % element + octets <= element):
            return
    fail(place)


@hot
def check_range(address: int, octets: int, place: int) -> None:
    """The same for a range: it lies inside one element, or starts with an element and lies inside the table."""
    if octets == 0:
        return
    region = _region(address)
    if region != 0 and octets > 0:
        inside, size, element = address - unchecked64(region), unchecked64(region + 8), unchecked64(region + 16)
        if octets <= size - inside and (element == 0 or inside % element == 0 or inside % element + octets <= element):
            return
    fail(place)


@hot
def check_divisor(divisor: int, place: int) -> None:
    """Abort where CPython would raise."""
    if divisor == 0:
        fail(place)


@leaf
def _region(address: int) -> int:
    """Address of the last region that starts at or before `address`: (start, octets, element); 0 for none."""
    table = region_table()
    count = table + 8 * unchecked64(table)
    low, high = 0, unchecked64(count)
    while low < high:
        middle = (low + high) >> 1
        if unchecked64(count + 8 + 24 * middle) <= address:
            low = middle + 1
        else:
            high = middle
    return count + 8 + 24 * (low - 1) if low > 0 else 0


@hot
def fail(place: int) -> None:
    """Print the place and abort."""
    write(STANDARD_ERROR, place, strlen(place))
    abort()
