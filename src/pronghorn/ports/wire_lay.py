"""Laying out a wire's memory: two ends and two directions, in one zeroed stretch. Side s sends on lane s."""

from __future__ import annotations

from pronghorn.compiled import array_at, hot, leaf
from pronghorn.ports.wire import WireEnd
from pronghorn.ports.wire_store import WireDue, WireFrame, WireLane, WireStart

HEADERS = 14 + 8
"""Octets of a frame beside its MTU: Ethernet's header and two VLAN tags."""

WHOLE = 65535 + HEADERS
"""Octets of an unsegmented frame, at most."""


@leaf
def wire_stride(mtu: int, whole: int) -> int:
    """Octets of memory for one frame; for an unsegmented one when `whole` is not 0."""
    return ((WHOLE if whole != 0 else mtu + HEADERS) + 63) & -64


@leaf
def wire_octets(mtu: int, slots: int, whole: int) -> int:
    """Octets of memory for a wire with `slots` frames in flight in each direction."""
    frame = WireDue.SIZE + WireFrame.SIZE + WireStart.SIZE + wire_stride(mtu, whole)
    return 2 * (WireEnd.SIZE + WireLane.SIZE + slots * frame)


@leaf
def wire_side(start: int, side: int) -> WireEnd:
    """An end of the wire whose memory is at `start`."""
    return WireEnd(start + side * WireEnd.SIZE)


@hot
def wire_open(start: int, mtu: int, slots: int, whole: int) -> None:
    """Make the wire in `wire_octets` zeroed octets at `start`. Generators are not seeded, and nobody consents yet."""
    lanes = start + 2 * WireEnd.SIZE
    tables = lanes + 2 * WireLane.SIZE
    records = slots * (WireDue.SIZE + WireFrame.SIZE + WireStart.SIZE)
    stores = tables + 2 * records
    for side in range(2):
        end, lane, table = wire_side(start, side), WireLane(lanes + side * WireLane.SIZE), tables + side * records
        end.outbound, end.inbound = lane.address, lanes + (1 - side) * WireLane.SIZE
        end.other, end.side = wire_side(start, 1 - side).address, side
        lane.heap = array_at(WireDue, table)
        lane.frames = array_at(WireFrame, table + slots * WireDue.SIZE)
        lane.starts = array_at(WireStart, table + slots * (WireDue.SIZE + WireFrame.SIZE))
        lane.store = stores + side * slots * wire_stride(mtu, whole)
        lane.slots, lane.stride, lane.longest = slots, wire_stride(mtu, whole), mtu + HEADERS
