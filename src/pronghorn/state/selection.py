"""Which connections and sockets somebody wants to see: what `pronghorn show tcp` asks of tables that may be long.

The reader walks a table in pieces: `next` says where to begin and, afterwards, where to go on; `done` that the end was
reached. It may do so on another thread while the worker runs: nothing is written but what the reader brought.
"""

from __future__ import annotations

from pronghorn.compiled import View, leaf, u8, u16, u32, u64

SCAN = 1 << 16
"""Records that one call looks at, at most."""


class Selection(View, align=8, size=48):
    """Set by the reader. All zero selects everything, from the beginning."""

    hi: u64  # address: in the halves of net/state.py; only what the masks cover is compared
    lo: u64
    mask_hi: u64
    mask_lo: u64
    next: u32  # record
    states: u32  # a bit for each number of a state that is wanted; 0: all
    port: u16  # local or remote; 0: any
    done: u8
    unused: u8
    unused32: u32


@leaf
def selects(selection: Selection, hi: int, lo: int, port: int, far_hi: int, far_lo: int, far_port: int) -> bool:
    """Whether a record with this local and this remote address is wanted: one of the two has to fit."""
    if selection.port != 0 and selection.port != port and selection.port != far_port:
        return False
    near = (hi ^ selection.hi) & selection.mask_hi | (lo ^ selection.lo) & selection.mask_lo
    far = (far_hi ^ selection.hi) & selection.mask_hi | (far_lo ^ selection.lo) & selection.mask_lo
    return near == 0 or far == 0


@leaf
def in_state(selection: Selection, state: int) -> bool:
    """Whether this state is wanted."""
    return selection.states == 0 or selection.states >> state & 1 != 0
