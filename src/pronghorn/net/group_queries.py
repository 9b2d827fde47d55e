"""What routers ask about groups (RFC 3376 5.2, RFC 3810 6.2): when the answer is due. Reports of others are ignored.

A query about sources of a group is answered as one about the group: with its whole filter, which says as much.
"""

from __future__ import annotations

from pronghorn.compiled import hot
from pronghorn.net.addresses import input_interface
from pronghorn.net.group_merge import is_keeper
from pronghorn.net.groups import INTERFACES, Groups, group_delay, group_find, group_wake, groups_of
from pronghorn.net.state import MAPPED, SECOND, net_of
from pronghorn.state.dispatch import dispatch
from pronghorn.state.packet import REDIRECTED, Packet
from pronghorn.state.verdicts import CONSUMED, ICMP_IGNORED
from pronghorn.state.worker import Worker
from pronghorn.wire import igmp, mld
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.reasons import GOOD

OLDER = 400 * SECOND
"""How long an older querier is believed to be there after its last query: a little more than RFC 3376 8.12."""


@hot
def igmp_input(worker: Worker, packet: Packet) -> int:
    """An IGMP message at packet.transport, up to the packet's end. Returns the verdict."""
    octets = packet.data + packet.length - packet.transport
    reason = igmp.check(packet.transport, octets)
    if reason != GOOD:
        return reason
    query, interface = igmp.Query(packet.transport), input_interface(worker, packet)
    if query.type != igmp.QUERY or interface < 0 or interface >= INTERFACES:
        return ICMP_IGNORED
    version = igmp.version(query, octets)
    if version == 0:
        return ICMP_IGNORED
    if not is_keeper(worker):
        return _pass_on(worker, packet)
    groups = groups_of(net_of(worker))
    if version < 3:
        groups.older4[interface], groups.version4[interface] = worker.now + OLDER, version
    when = group_delay(worker, igmp.response_time(query) * (SECOND // 10))
    if query.group == 0:
        groups.general4[interface] = _soonest(groups.general4[interface], when)
        group_wake(worker, groups, when)
        return CONSUMED
    return _asked(worker, groups, groups.general4[interface], interface, 0, MAPPED | query.group, when)


@hot
def mld_input(worker: Worker, packet: Packet, octets: int) -> int:
    """A multicast listener query of so many octets, its checksum verified. Returns the verdict."""
    reason = mld.check(IPv6(packet.network), packet.transport, octets)
    if reason != GOOD:
        return reason
    query, interface = mld.Query(packet.transport), input_interface(worker, packet)
    version = mld.version(octets)
    if interface < 0 or interface >= INTERFACES or version == 0:
        return ICMP_IGNORED
    if not is_keeper(worker):
        return _pass_on(worker, packet)
    groups = groups_of(net_of(worker))
    if version == 1:
        groups.older6[interface] = worker.now + OLDER
    when = group_delay(worker, mld.response_time(query, version) * (SECOND // 1000))
    if query.group_hi == 0 and query.group_lo == 0:
        groups.general6[interface] = _soonest(groups.general6[interface], when)
        group_wake(worker, groups, when)
        return CONSUMED
    return _asked(worker, groups, groups.general6[interface], interface, query.group_hi, query.group_lo, when)


@hot
def _pass_on(worker: Worker, packet: Packet) -> int:
    """Worker 0 answers for all."""
    return dispatch(worker, packet, 0) if packet.flags & REDIRECTED == 0 else ICMP_IGNORED


@hot
def _soonest(pending: int, when: int) -> int:
    return when if pending == 0 or when < pending else pending


@hot
def _asked(worker: Worker, groups: Groups, general: int, interface: int, hi: int, lo: int, when: int) -> int:
    """One group is asked for; an answer about all that comes sooner is one about it."""
    number = group_find(worker, interface, hi, lo)
    if number < 0 or groups.groups[number].members == 0:
        return ICMP_IGNORED
    if general == 0 or when < general:
        group = groups.groups[number]
        group.answer_at = _soonest(group.answer_at, when)
        group_wake(worker, groups, when)
    return CONSUMED
