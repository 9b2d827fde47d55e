"""Laying tables out one after the other in a stretch of memory: what an arena is to Python, for compiled code.

    layout.next, layout.end = start, start + octets       # zero and untouched, as mmap gives it
    table = lay(layout, count * Record.SIZE, Record.ALIGN)
    if layout.full != 0: ...                                 # what was laid is of no use

Each structure of this room has a function in its own file that lays it out (`hash_lay`, `prefix_lay`, `wheel_lay`,
`pool_lay`), and one that fills given memory (`hash_open` ...), which the arena's `create_...` call too.

Left out: names, owners and growth, which the arena has; giving anything back.
"""

from __future__ import annotations

from pronghorn.compiled import View, hot, u64


class Layout(View, align=8):
    """Memory that is being handed out, from its start to its end."""

    next: u64  # address of the first octet that is free
    end: u64  # address of the first octet beyond the memory
    full: u64  # 1: something did not fit


@hot
def lay(layout: Layout, octets: int, align: int) -> int:
    """The address of `octets` of zero memory at a multiple of `align` (a power of two); 0, and `full`: no room."""
    start = (layout.next + align - 1) & -align
    if octets < 0 or octets > layout.end - start:
        layout.full = 1
        return 0
    layout.next = start + octets
    return start
