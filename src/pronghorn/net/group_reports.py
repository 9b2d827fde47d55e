"""Telling routers which groups are wanted here: changes, and answers to queries (RFC 3376 5, RFC 3810 6).

A change is reported at once and once more within a second, with what the filter is then. Queries are answered after a
random time. To routers of older versions (RFC 3376 7.2, RFC 3810 8.2) each group is reported by itself, and left.

Left out: a list of sources that is too long for a packet is cut (RFC 3376 4.2.16 allows it for EXCLUDE alone); a report
of version 1 or 2 that another host has sent does not spare ours.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, store_be32, store_be64
from pronghorn.net.addresses import source4
from pronghorn.net.group_merge import is_keeper, tell_keeper
from pronghorn.net.groups import (
    EXCLUDE,
    GROUPS,
    INTERFACES,
    NOTHING,
    UNSOLICITED,
    Group,
    Groups,
    GroupSource,
    group_delay,
    group_free,
    group_sweep,
    groups_of,
    is_reported,
)
from pronghorn.net.state import LINK_LOCAL_HI, PRESENT, net_of
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.transmit import transmit
from pronghorn.state.worker import Worker
from pronghorn.wire import ethernet, icmpv6, igmp, ipv4, ipv6, mld
from pronghorn.wire.igmp import ALLOW, BLOCK, IS_EXCLUDE, IS_INCLUDE, TO_EXCLUDE, TO_INCLUDE
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import ALL_NODES_HI, ALL_ROUTERS_LO, IPv6
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_HOP_BY_HOP, PROTOCOL_ICMPV6, PROTOCOL_IGMP

HEADER4 = ipv4.HEADER + 4
HEADER6 = ipv6.HEADER + mld.ALERT_OCTETS
ROOM = 1200
"""Octets of IP that a report has at most, its last record aside: it fits the smallest MTU of IPv6 with that."""
MOST = 1280
TOS = 0xC0  # internetwork control (RFC 3376 4)


@leaf
def groups_timers(worker: Worker) -> None:
    """Once per turn: report what is due."""
    due = groups_of(net_of(worker)).next
    if due != 0 and worker.now >= due:
        _report_due(worker)


@hot
def _report_due(worker: Worker) -> None:
    """Everything whose time has come; then when the next is."""
    groups = groups_of(net_of(worker))
    now, soonest = worker.now, 0
    for interface in range(INTERFACES):
        if groups.general4[interface] != 0 and groups.general4[interface] <= now:
            groups.general4[interface] = 0
            answer_all(worker, groups, interface, 4)
        if groups.general6[interface] != 0 and groups.general6[interface] <= now:
            groups.general6[interface] = 0
            answer_all(worker, groups, interface, 6)
        soonest = _sooner(_sooner(soonest, groups.general4[interface]), groups.general6[interface])
    for number in range(groups.group_fresh):
        group = groups.groups[number]
        if group.used != 0:
            if group.answer_at != 0 and group.answer_at <= now:
                group.answer_at = 0
                answer(worker, groups, number)
            if group.change_at != 0 and group.change_at <= now:
                report_change(worker, groups, number)
            if group.used != 0:
                soonest = _sooner(_sooner(soonest, group.answer_at), group.change_at)
    groups.next = soonest


@leaf
def _sooner(a: int, b: int) -> int:
    """The earlier of two times, of which 0 is none."""
    return a if b == 0 or (a != 0 and a < b) else b


@leaf
def family_of(group: Group) -> int:
    """4 or 6."""
    return 4 if group.hi == 0 else 6


@leaf
def older_version(worker: Worker, groups: Groups, interface: int, family: int) -> int:
    """Version of the older querier that the interface has: IGMP 1 or 2, MLD 1; 0: none."""
    if interface >= INTERFACES:
        return 0
    if family == 4:
        return groups.version4[interface] if groups.older4[interface] > worker.now else 0
    return 1 if groups.older6[interface] > worker.now else 0


# --- what is said -------------------------------------------------------------------------------------------------


@hot
def report_change(worker: Worker, groups: Groups, number: int) -> None:
    """Report the group's changes, and set the time of the next report of them. A group that is over is forgotten."""
    group = groups.groups[number]
    older = older_version(worker, groups, group.interface, family_of(group))
    if not is_keeper(worker):
        tell_keeper(worker, groups, number)
    elif older != 0:
        _say(worker, group, older, 1 if group.members != 0 else 0)
    else:
        packet = _begin(worker, group.interface, family_of(group))
        if packet.address != 0:
            if group.mode_changes != 0:
                kind = TO_EXCLUDE if group.mode == EXCLUDE else TO_INCLUDE
                records = _record(groups, packet, group, kind)
            else:
                records = _record(groups, packet, group, ALLOW) + _record(groups, packet, group, BLOCK)
            _send(worker, packet, group.interface, records)
    left = group.mode_changes - 1 if group.mode_changes != 0 else _count_down(groups, group)
    group.mode_changes = group.mode_changes - 1 if group.mode_changes != 0 else 0
    pending = left + (_pending(groups, group) if left == 0 else 0)
    group.change_at = group_delay(worker, UNSOLICITED) if pending != 0 else 0
    group_sweep(groups, number)
    if pending == 0 and group.members == 0:
        group_free(worker, groups, number)


@hot
def _count_down(groups: Groups, group: Group) -> int:
    """Every source's change was reported once; returns whether one is to be reported again."""
    left, place = 0, group.sources
    while place != NOTHING:
        source = groups.sources[place]
        if source.changes != 0:
            source.changes -= 1
            left |= source.changes
        place = source.next
    return left


@hot
def _pending(groups: Groups, group: Group) -> int:
    """Whether a source's change is still to be reported."""
    place = group.sources
    while place != NOTHING:
        if groups.sources[place].changes != 0:
            return 1
        place = groups.sources[place].next
    return 0


@hot
def answer(worker: Worker, groups: Groups, number: int) -> None:
    """Report the group's filter as it is."""
    group = groups.groups[number]
    if group.members == 0 or not is_reported(group.hi, group.lo):
        return
    older = older_version(worker, groups, group.interface, family_of(group))
    if older != 0:
        _say(worker, group, older, 1)
        return
    packet = _begin(worker, group.interface, family_of(group))
    if packet.address != 0:
        _send(worker, packet, group.interface, _state(groups, packet, group))


@hot
def answer_all(worker: Worker, groups: Groups, interface: int, family: int) -> None:
    """Report all groups of the family on the interface, in as few packets as may be."""
    if older_version(worker, groups, interface, family) != 0:
        for number in range(groups.group_fresh):
            group = groups.groups[number]
            if group.used != 0 and group.interface == interface and family_of(group) == family:
                answer(worker, groups, number)
        return
    packet, records = Packet(0), 0
    for number in range(min(groups.group_fresh, GROUPS)):
        group = groups.groups[number]
        ours = group.used != 0 and group.interface == interface and family_of(group) == family
        if ours and group.members != 0 and is_reported(group.hi, group.lo):
            if packet.address == 0:
                packet = _begin(worker, interface, family)
                if packet.address == 0:
                    return
            records += _state(groups, packet, group)
            if packet.length > ROOM // 2:
                _send(worker, packet, interface, records)
                packet, records = Packet(0), 0
    if packet.address != 0:
        _send(worker, packet, interface, records)


@leaf
def _state(groups: Groups, packet: Packet, group: Group) -> int:
    return _record(groups, packet, group, IS_EXCLUDE if group.mode == EXCLUDE else IS_INCLUDE)


# --- how it is written --------------------------------------------------------------------------------------------


@hot
def _begin(worker: Worker, interface: int, family: int) -> Packet:
    """A packet that records are put into, behind its headers; address 0: none is left, or no interface."""
    net = net_of(worker)
    if interface >= net.interface_count or net.interfaces[interface].flags & PRESENT == 0:
        return Packet(0)
    packet = originate(worker)
    if packet.address != 0:
        packet.family = family
        packet.network = packet.data + ethernet.HEADER
        packet.transport = packet.network + (HEADER4 if family == 4 else HEADER6)
        packet.length = packet.transport + igmp.HEADER - packet.data
    return packet


@hot
def _record(groups: Groups, packet: Packet, group: Group, kind: int) -> int:
    """Add a group record. Returns 1; 0 and none for a change that there is not."""
    four = group.hi == 0
    at = packet.data + packet.length
    to = at + (igmp.RECORD if four else mld.RECORD)
    room = packet.network + MOST - to
    count, place = 0, group.sources
    while place != NOTHING:
        source = groups.sources[place]
        if _belongs(group, source, kind) and room >= mld.SOURCE:
            if four:
                store_be32(to, source.lo & 0xFFFF_FFFF)
            else:
                store_be64(to, source.hi)
                store_be64(to + 8, source.lo)
            to += igmp.SOURCE if four else mld.SOURCE
            room -= igmp.SOURCE if four else mld.SOURCE
            count += 1
        place = source.next
    if count == 0 and (kind == ALLOW or kind == BLOCK):
        return 0
    if four:
        igmp.emit_record(at, kind, count, group.lo & 0xFFFF_FFFF)
    else:
        mld.emit_record(at, kind, count, group.hi, group.lo)
    packet.length = to - packet.data
    return 1


@leaf
def _belongs(group: Group, source: GroupSource, kind: int) -> bool:
    """Whether a record of this kind names the source (RFC 3376 5.1)."""
    if kind != ALLOW and kind != BLOCK:
        return source.listed != 0
    allowed = (source.listed != 0) == (group.mode != EXCLUDE)
    return source.changes != 0 and allowed == (kind == ALLOW)


@hot
def _send(worker: Worker, packet: Packet, interface: int, records: int) -> None:
    """Complete the report of so many records and send it."""
    octets = packet.data + packet.length - packet.transport
    if packet.family == 4:
        igmp.emit_report(packet.transport, records, octets)
        _output4(worker, packet, interface, igmp.REPORTS)
    else:
        _output6(worker, packet, interface, mld.REPORT2, records, ALL_NODES_HI, mld.REPORTS_LO)


@hot
def _say(worker: Worker, group: Group, version: int, wanted: int) -> None:
    """Report or leave the group as older versions do; IGMPv1 knows no leaving."""
    if wanted == 0 and version == 1 and group.hi == 0:
        return
    packet = _begin(worker, group.interface, family_of(group))
    if packet.address == 0:
        return
    if packet.family == 4:
        address = group.lo & 0xFFFF_FFFF
        kind = igmp.LEAVE if wanted == 0 else igmp.REPORT2 if version == 2 else igmp.REPORT1
        igmp.emit_short(packet.transport, kind, address)
        _output4(worker, packet, group.interface, address if wanted != 0 else igmp.ALL_ROUTERS)
        return
    store_be64(packet.transport + 8, group.hi)
    store_be64(packet.transport + 16, group.lo)
    packet.length = packet.transport + mld.HEADER - packet.data
    if wanted != 0:
        _output6(worker, packet, group.interface, mld.REPORT1, 0, group.hi, group.lo)
    else:
        _output6(worker, packet, group.interface, mld.DONE, 0, ALL_NODES_HI, ALL_ROUTERS_LO)


@hot
def _output4(worker: Worker, packet: Packet, interface: int, dst: int) -> None:
    """Headers and out: TTL 1, router alert."""
    own = net_of(worker).interfaces[interface]
    octets = packet.data + packet.length - packet.network
    src = source4(worker, interface, dst)
    ipv4.emit(packet.network, TOS, octets, 0, ipv4.DO_NOT_FRAGMENT, 1, PROTOCOL_IGMP, src, dst)
    IPv4(packet.network).version_ihl = ipv4.PLAIN + 1
    store_be32(packet.network + ipv4.HEADER, igmp.ROUTER_ALERT)
    ipv4.fill_checksum(IPv4(packet.network))
    ethernet.emit(packet.data, ipv4.group_mac(dst), own.mac, ETHERTYPE_IPV4)
    _transmit(worker, packet, own.port)


@hot
def _output6(worker: Worker, packet: Packet, interface: int, kind: int, rest: int, hi: int, lo: int) -> None:
    """The same over IPv6, from our link-local address."""
    own = net_of(worker).interfaces[interface]
    octets = packet.data + packet.length - packet.transport
    ip = IPv6(packet.network)
    ipv6.emit(
        packet.network, 0, octets + mld.ALERT_OCTETS, PROTOCOL_HOP_BY_HOP, 1, LINK_LOCAL_HI, own.link_local, hi, lo
    )
    mld.emit_alert(packet.network + ipv6.HEADER, PROTOCOL_ICMPV6)
    icmpv6.emit(ip, packet.transport, kind, 0, rest, octets)
    ethernet.emit(packet.data, ipv6.group_mac(lo), own.mac, ETHERTYPE_IPV6)
    _transmit(worker, packet, own.port)


@leaf
def _transmit(worker: Worker, packet: Packet, port: int) -> None:
    packet.out_port = port
    groups_of(net_of(worker)).reports += 1
    finish(worker, packet, transmit(worker, packet, port))
