"""Groups that somebody here wants to hear, by interface: IGMPv3 and MLDv2 as a host has them (RFC 3376, RFC 3810).

A socket's membership of a group has a filter: it takes some sources alone (INCLUDE) or all but some (EXCLUDE). The
interface's filter is made of all of them (RFC 3376 3.2): EXCLUDE, of what all that exclude exclude and nobody includes,
if anybody excludes; else INCLUDE of whatever somebody includes. Counts per group and per source say so. Whoever changes
memberships calls `group_settle` then, which compares the filter with what was reported last, and lets group_reports.py
report the difference.

Tables have fixed sizes. IPv4 groups stand in the IPv4-mapped block. Each worker keeps its own; worker 0 reports what
all of them want (group_merge.py).

Left out: groups of scope 0 and 1, all hosts and all nodes, which are never reported.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, fill, fixed, hot, leaf, u8, u16, u32, u64
from pronghorn.compiled.hashing import mix4
from pronghorn.net.state import Net, net_of
from pronghorn.state.worker import Worker, random_number, wake_at

GROUPS = 256
"""Groups of all interfaces together."""
SOURCES = 1024
"""Sources of all groups' filters together."""
INTERFACES = 64
SHARES = 512
"""Groups of other workers, each counted for itself."""

ROBUSTNESS = 2
"""How often a change is reported (RFC 3376 8.1)."""
UNSOLICITED = 1_000_000_000
"""ns within which it is reported again (RFC 3376 8.11)."""

# filter modes
INCLUDE, EXCLUDE = 0, 1

NOTHING = 0xFFFFFFFF
"""No group, no source."""


class Group(View, align=64, size=64):
    """A group on an interface. Free when `used` is 0."""

    hi: u64
    lo: u64
    answer_at: u64  # ns: when a query about it is answered; 0: there is none
    change_at: u64  # ns: when its changes are reported; 0: there are none
    interface: u32
    next: u32  # of the same hash, or among the free
    sources: u32  # first GroupSource, or NOTHING
    members: u32  # memberships
    excludes: u32  # those with filter mode EXCLUDE
    used: u8
    mode: u8  # filter mode as of the last settling
    mode_changes: u8  # times that a change of mode is still to be reported
    unused: u8


class GroupSource(View, align=8, size=32):
    """A source that some membership's filter names."""

    hi: u64
    lo: u64
    next: u32  # of the same group, or among the free
    includes: u16  # memberships that include it
    excludes: u16
    changes: u8  # times that its change is still to be reported
    listed: u8  # whether the interface's filter named it as of the last settling
    unused16: u16


class GroupShare(View, align=64, size=576):
    """What another worker wants of a group (group_merge.py): a membership, to worker 0."""

    group: u32
    worker: u16
    used: u8
    mode: u8
    count: u32  # sources
    unused: u32
    his: Array[u64] = fixed(32, align=64)
    los: Array[u64] = fixed(32)


class Groups(View, align=64):
    """The table's root, at Net.groups."""

    next: u64  # ns: when something is due; 0: nothing
    count: u32
    group_free: u32
    group_fresh: u32
    source_free: u32
    source_fresh: u32
    reports: u32  # reports sent
    share_fresh: u32  # shares below were used
    nodes: u32  # 1: solicited-node groups are reported (group_nodes.py)
    heads: Array[u32] = fixed(GROUPS, align=64)  # first group plus 1, by hash
    general4: Array[u64] = fixed(INTERFACES, align=64)  # ns: when a query about all groups is answered; 0: none
    general6: Array[u64] = fixed(INTERFACES)
    older4: Array[u64] = fixed(INTERFACES)  # ns until which an IGMPv2 or v1 querier is believed to be there
    older6: Array[u64] = fixed(INTERFACES)
    version4: Array[u8] = fixed(INTERFACES)  # that querier's version
    groups: Array[Group] = fixed(GROUPS, align=64)
    sources: Array[GroupSource] = fixed(SOURCES, align=64)
    shares: Array[GroupShare] = fixed(SHARES, align=64)


_TABLES = Groups.offset("groups")


@hot
def groups_open(groups: Groups) -> None:
    """An empty table, whose memory may hold anything."""
    fill(groups.address, 0, _TABLES)
    groups.group_free, groups.source_free = NOTHING, NOTHING


@leaf
def groups_of(net: Net) -> Groups:
    """The worker's groups."""
    return Groups(net.groups)


@leaf
def _head(worker: Worker, interface: int, hi: int, lo: int) -> int:
    return mix4(hi, lo, interface, 0, worker.secret) & (GROUPS - 1)


@hot
def group_find(worker: Worker, interface: int, hi: int, lo: int) -> int:
    """Number of the group on the interface, or -1. One that nobody wants any more may still be reported."""
    groups = groups_of(net_of(worker))
    if groups.count == 0:
        return -1
    number = groups.heads[_head(worker, interface, hi, lo)] - 1
    while number >= 0 and number != NOTHING:
        group = groups.groups[number]
        if group.lo == lo and group.hi == hi and group.interface == interface:
            return number
        number = group.next
    return -1


@leaf
def is_wanted(worker: Worker, interface: int, hi: int, lo: int) -> bool:
    """Whether somebody here is a member of the group on the interface."""
    number = group_find(worker, interface, hi, lo)
    return number >= 0 and groups_of(net_of(worker)).groups[number].members != 0


# --- memberships --------------------------------------------------------------------------------------------------


@hot
def group_join(worker: Worker, interface: int, hi: int, lo: int, mode: int) -> int:
    """Count one more membership with this filter mode, no sources yet: the group's number; -1: no room."""
    groups = groups_of(net_of(worker))
    number = group_find(worker, interface, hi, lo)
    if number < 0:
        number = _add(worker, groups, interface, hi, lo)
        if number < 0:
            return -1
    groups.groups[number].members += 1
    groups.groups[number].excludes += mode
    return number


@hot
def _add(worker: Worker, groups: Groups, interface: int, hi: int, lo: int) -> int:
    number = groups.group_free
    if number != NOTHING:
        groups.group_free = groups.groups[number].next
    else:
        number = groups.group_fresh
        if number == GROUPS:
            return -1
        groups.group_fresh = number + 1
    group, head = groups.groups[number], _head(worker, interface, hi, lo)
    fill(group.address, 0, Group.SIZE)
    group.hi, group.lo, group.interface, group.used, group.sources = hi, lo, interface, 1, NOTHING
    group.next = groups.heads[head] - 1 if groups.heads[head] != 0 else NOTHING
    groups.heads[head] = number + 1
    groups.count += 1
    return number


@hot
def group_leave(worker: Worker, number: int, mode: int) -> None:
    """Count one membership less; its sources were taken out before."""
    group = groups_of(net_of(worker)).groups[number]
    group.members -= 1
    group.excludes -= mode


@hot
def group_source_add(worker: Worker, number: int, mode: int, hi: int, lo: int) -> bool:
    """A membership's filter names one more source. False: no room."""
    groups = groups_of(net_of(worker))
    place = _source_find(groups, number, hi, lo)
    if place < 0:
        place = groups.source_free
        if place != NOTHING:
            groups.source_free = groups.sources[place].next
        else:
            place = groups.source_fresh
            if place == SOURCES:
                return False
            groups.source_fresh = place + 1
        fresh = groups.sources[place]
        fill(fresh.address, 0, GroupSource.SIZE)
        fresh.hi, fresh.lo, fresh.next = hi, lo, groups.groups[number].sources
        groups.groups[number].sources = place
    source = groups.sources[place]
    source.includes += 1 - mode
    source.excludes += mode
    return True


@hot
def group_source_remove(worker: Worker, number: int, mode: int, hi: int, lo: int) -> None:
    """It names the source no more."""
    groups = groups_of(net_of(worker))
    place = _source_find(groups, number, hi, lo)
    if place >= 0:
        source = groups.sources[place]
        source.includes -= 1 - mode
        source.excludes -= mode


@hot
def _source_find(groups: Groups, number: int, hi: int, lo: int) -> int:
    place = groups.groups[number].sources
    while place != NOTHING:
        source = groups.sources[place]
        if source.lo == lo and source.hi == hi:
            return place
        place = source.next
    return -1


# --- the interface's filter ---------------------------------------------------------------------------------------


@leaf
def filter_mode(group: Group) -> int:
    """INCLUDE or EXCLUDE."""
    return EXCLUDE if group.excludes != 0 else INCLUDE


@leaf
def is_named(group: Group, source: GroupSource) -> bool:
    """Whether the filter names the source."""
    if group.excludes != 0:
        return source.excludes == group.excludes and source.includes == 0
    return source.includes != 0


@hot
def group_settle(worker: Worker, number: int) -> None:
    """After a change of memberships: what has changed is to be reported, at once and once more (RFC 3376 5.1)."""
    groups = groups_of(net_of(worker))
    group = groups.groups[number]
    mode, changed = filter_mode(group), False
    turned = mode != group.mode
    place = group.sources
    while place != NOTHING:
        source = groups.sources[place]
        listed = 1 if is_named(group, source) else 0
        if turned:
            source.changes = 0
        elif listed != source.listed:
            source.changes, changed = ROBUSTNESS, True
        source.listed = listed
        place = source.next
    if turned:
        group.mode, group.mode_changes, changed = mode, ROBUSTNESS, True
    if changed and is_reported(group.hi, group.lo):
        group.change_at = worker.now
        group_wake(worker, groups, worker.now)
    elif group.members == 0 and group.change_at == 0:
        group_free(worker, groups, number)


@leaf
def is_reported(hi: int, lo: int) -> bool:
    """Whether routers are told of the group at all (RFC 3376 5, RFC 3810 6)."""
    if hi == 0:
        return lo & 0xFFFF_FFFF != 0xE000_0001
    return hi >> 48 & 0xF > 1 and not (lo == 1 and hi & 0xFFFF_FFFF_FFFF == 0 and hi >> 48 & 0xF == 2)


@leaf
def group_wake(worker: Worker, groups: Groups, when: int) -> None:
    """Something is due at `when`."""
    if groups.next == 0 or when < groups.next:
        groups.next = when
        wake_at(worker, when)


@leaf
def group_delay(worker: Worker, most: int) -> int:
    """A random time of `worker.now` to `most` ns later."""
    return worker.now + 1 + (most * (random_number(worker) & 0xFFFF) >> 16)


@hot
def group_free(worker: Worker, groups: Groups, number: int) -> None:
    """Nobody wants the group, and everybody has heard of it."""
    group = groups.groups[number]
    head = _head(worker, group.interface, group.hi, group.lo)
    before = groups.heads[head] - 1
    if before == number:
        groups.heads[head] = group.next + 1 if group.next != NOTHING else 0
    else:
        while groups.groups[before].next != number:
            before = groups.groups[before].next
        groups.groups[before].next = group.next
    place = group.sources
    while place != NOTHING:
        following = groups.sources[place].next
        groups.sources[place].next = groups.source_free
        groups.source_free = place
        place = following
    group.used = 0
    group.next = groups.group_free
    groups.group_free = number
    groups.count -= 1


@hot
def group_sweep(groups: Groups, number: int) -> None:
    """Give back the records of sources that no filter names and of which everybody has heard."""
    group = groups.groups[number]
    before, place = NOTHING, group.sources
    while place != NOTHING:
        source = groups.sources[place]
        following = source.next
        if source.includes == 0 and source.excludes == 0 and source.changes == 0:
            if before == NOTHING:
                group.sources = following
            else:
                groups.sources[before].next = following
            source.next = groups.source_free
            groups.source_free = place
        else:
            before = place
        place = following
