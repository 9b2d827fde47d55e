"""Groups of several workers are one host's: worker 0 reports them, the others tell it what they want (RFC 3376 3.2).

What another worker wants of a group is to worker 0 like one more membership, with that worker's filter. It comes as a
packet from worker to worker, the whole filter each time, as often as a change would be reported: one that is lost is
made good by the next. Worker 0 alone answers queries.

Left out: a filter of more than SOURCES sources is cut.
"""

from __future__ import annotations

from pronghorn.compiled import View, array_at, hot, leaf, u8, u16, u32, u64
from pronghorn.net.groups import (
    NOTHING,
    SHARES,
    Groups,
    GroupShare,
    filter_mode,
    group_join,
    group_leave,
    group_settle,
    group_source_add,
    group_source_remove,
    groups_of,
    is_named,
)
from pronghorn.net.state import net_of
from pronghorn.state.dispatch import dispatch
from pronghorn.state.packet import GROUP_STATE, Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.verdicts import CONSUMED
from pronghorn.state.worker import Worker

SOURCES = 32
"""Of one worker's filter of one group."""


class Source(View, align=8, size=16):
    """An address."""

    hi: u64
    lo: u64


class GroupState(View, align=8, size=32):
    """What a worker wants of a group; its sources follow."""

    hi: u64
    lo: u64
    interface: u32
    worker: u16
    mode: u8
    count: u8  # sources
    wanted: u8
    unused: u8
    unused16: u16
    unused32: u32


@leaf
def is_keeper(worker: Worker) -> bool:
    """Whether this worker reports groups, for all."""
    return worker.index == 0


@hot
def tell_keeper(worker: Worker, groups: Groups, number: int) -> None:
    """Let worker 0 know what this worker wants of the group now."""
    packet = originate(worker)
    if packet.address == 0:
        return
    group, state = groups.groups[number], GroupState(packet.data)
    state.hi, state.lo, state.interface, state.worker = group.hi, group.lo, group.interface, worker.index
    state.mode, state.wanted, state.count = filter_mode(group), 1 if group.members != 0 else 0, 0
    place, count = group.sources, 0
    sources = array_at(Source, packet.data + GroupState.SIZE)
    while place != NOTHING and count < SOURCES:
        source = groups.sources[place]
        if is_named(group, source):
            sources[count].hi, sources[count].lo = source.hi, source.lo
            count += 1
        place = source.next
    state.count = count
    packet.length = GroupState.SIZE + Source.SIZE * count
    packet.flags |= GROUP_STATE
    finish(worker, packet, dispatch(worker, packet, 0))


@hot
def group_state_input(worker: Worker, packet: Packet) -> None:
    """What another worker wants of a group: in place of what it wanted before. Ends the packet."""
    state, groups = GroupState(packet.data), groups_of(net_of(worker))
    place = _share_find(groups, state)
    number = -1
    if place >= 0:
        number = groups.shares[place].group
        _withdraw(worker, groups, groups.shares[place])
    if state.wanted != 0:
        joined = group_join(worker, state.interface, state.hi, state.lo, state.mode)
        place = _share_new(groups) if place < 0 and joined >= 0 else place
        if joined >= 0 and place < 0:
            group_leave(worker, joined, state.mode)
            group_settle(worker, joined)
        elif joined >= 0:
            share = groups.shares[place]
            share.used, share.worker, share.mode, share.group, share.count = 1, state.worker, state.mode, joined, 0
            _add_sources(worker, share, packet)
            number = joined
    if number >= 0:
        group_settle(worker, number)
    finish(worker, packet, CONSUMED)


@hot
def _share_find(groups: Groups, state: GroupState) -> int:
    """Number of the worker's share in the group, or -1."""
    for place in range(groups.share_fresh):
        share = groups.shares[place]
        if share.used != 0 and share.worker == state.worker:
            group = groups.groups[share.group]
            if group.lo == state.lo and group.hi == state.hi and group.interface == state.interface:
                return place
    return -1


@hot
def _share_new(groups: Groups) -> int:
    for place in range(groups.share_fresh):
        if groups.shares[place].used == 0:
            return place
    if groups.share_fresh == SHARES:
        return -1
    groups.share_fresh += 1
    return groups.share_fresh - 1


@hot
def _withdraw(worker: Worker, groups: Groups, share: GroupShare) -> None:
    """The membership that stands for the worker is gone; the group is settled by the caller."""
    for place in range(share.count):
        group_source_remove(worker, share.group, share.mode, share.his[place], share.los[place])
    group_leave(worker, share.group, share.mode)
    share.used, share.count = 0, 0


@hot
def _add_sources(worker: Worker, share: GroupShare, packet: Packet) -> None:
    """The sources of its filter; those that find no room are left out."""
    sources = array_at(Source, packet.data + GroupState.SIZE)
    for place in range(min(GroupState(packet.data).count, SOURCES)):
        source = sources[place]
        if group_source_add(worker, share.group, share.mode, source.hi, source.lo):
            share.his[share.count], share.los[share.count] = source.hi, source.lo
            share.count += 1
