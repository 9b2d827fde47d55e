"""Ancillary data of recvmsg and sendmsg in Linux's layout: struct cmsghdr of 64-bit machines (cmsg(3)).

    at = ancillary_put(control, level, type, octets)     # where so many octets of data go; 0: there is no room
    control.left                                          # octets that are left; `truncated`: something had no room

A message that does not fit is not written, where Linux writes the part that does; both say MSG_CTRUNC.
"""

from __future__ import annotations

from pronghorn.compiled import View, hot, load32, load64, store32, store64, u32, u64

HEADER = 16  # size_t cmsg_len, int cmsg_level, int cmsg_type


class Control(View, align=8, size=24):
    """Where the next message goes."""

    at: u64
    left: u64  # octets
    truncated: u32
    unused: u32


@hot
def ancillary_put(control: Control, level: int, kind: int, octets: int) -> int:
    """Begin a message of so many octets of data: their address, or 0."""
    if control.at == 0 or control.left < HEADER + octets:
        control.truncated = 1
        return 0
    at = control.at
    store64(at, HEADER + octets)
    store32(at + 8, level)
    store32(at + 12, kind)
    space = min(HEADER + (octets + 7 & ~7), control.left)
    control.at += space
    control.left -= space
    return at + HEADER


@hot
def ancillary_int(control: Control, level: int, kind: int, value: int) -> None:
    """A message that is a C int."""
    at = ancillary_put(control, level, kind, 4)
    if at != 0:
        store32(at, value)


@hot
def ancillary_next(at: int, left: int) -> tuple[int, int, int, int]:
    """The message at `at`, of `left` octets of ancillary data: (octets of data, level, type, octets to the next one).

    -1 octets: there is none any more; -2: its length cannot be.
    """
    if left < HEADER:
        return -1, 0, 0, 0
    length = load64(at)
    if length < HEADER or length > left:
        return -2, 0, 0, 0
    return length - HEADER, load32(at + 8), load32(at + 12), min(length + 7 & ~7, left)
