"""Who may: the black list, services' lists and rates of sources, and packets to services' addresses at other ports.

    schedule        asks `admit` when a connection opens, for services with a list or a limit: one bit of Service.asks
    balancer_input  asks `guard` for every packet while there is a black list, or a limit of packets: Balancer.guards
    schedule        asks `defend` about packets for no service, when they are to end here: Balancer.guards

As in DPVS lists are asked when a connection opens: those that are open when an entry is added go on. The black list
is asked for every TCP and UDP packet that comes here, before anything else is, whatever it is for.

Order: deny, allow, packets, connections. Each has its verdict (state/verdicts.py), so that drops say why, and the
entry that decided has counted the packet.
"""

from __future__ import annotations

from pronghorn.balancer.sets import AccessSet, is_in, probe
from pronghorn.balancer.source_rates import Source, Sources, find_source, take_token
from pronghorn.balancer.tables import REPLY, Access, Balancer, Service, server_of
from pronghorn.compiled import cold, hot, leaf
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import (
    ACL_BLACKLISTED,
    ACL_DENIED,
    ACL_NOT_ALLOWED,
    CONTINUE,
    DEFENCE_TCP_DROP,
    DEFENCE_UDP_DROP,
    RATE_LIMITED_SOURCE,
)
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP, PROTOCOL_UDP

# Balancer.guards
BLACK_LIST = 1  # there is a black list
PACKET_RATES = 2  # some service limits packets of a source
DEFEND_TCP = 4  # TCP packets to a service's address at another port end here
DEFEND_UDP = 8

EVERY_PACKET = BLACK_LIST | PACKET_RATES
"""What `guard` is for."""

_CONNS, _PACKETS = Source.offset("conns"), Source.offset("packets")


@hot
def guard(worker: Worker, balancer: Balancer, packet: Packet, flow: int) -> int:
    """What is asked of every packet; `flow` is its, or -1. CONTINUE, or why it is dropped."""
    if balancer.guards & BLACK_LIST != 0:
        for place in range(balancer.black_count):
            if is_in(worker, AccessSet(balancer.black[place]), packet):
                return ACL_BLACKLISTED
    if balancer.guards & PACKET_RATES != 0 and flow >= 0 and flow & 1 != REPLY:
        number = balancer.servers[server_of(balancer.conns[flow >> 1])].service
        access = balancer.access[number]
        if access.packet_interval != 0:
            source = source_of(worker, balancer, balancer.services[number], packet)
            if not take_token(source.address + _PACKETS, worker.now, access.packet_interval, access.packet_slack):
                return RATE_LIMITED_SOURCE
    return CONTINUE


@leaf
def on_lists(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> int:
    """What the service's lists say of who sent the packet. CONTINUE, or why it is dropped."""
    access = balancer.access[service.index]
    if access.deny != 0 and is_in(worker, AccessSet(access.deny), packet):
        return ACL_DENIED
    if access.allow != 0 and not is_in(worker, AccessSet(access.allow), packet):
        return ACL_NOT_ALLOWED
    return CONTINUE


@hot
def admit(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> int:
    """Whether the packet may open a connection to the service. CONTINUE, or why it is dropped."""
    access = balancer.access[service.index]
    verdict = on_lists(worker, balancer, service, packet)
    if verdict != CONTINUE:
        return verdict
    if access.packet_interval | access.conn_interval != 0 and not within_rates(
        worker, access, source_of(worker, balancer, service, packet)
    ):
        return RATE_LIMITED_SOURCE
    return CONTINUE


@hot
def within_rates(worker: Worker, access: Access, source: Source) -> bool:
    """Count a connection and its first packet; False when one of them is too much."""
    now = worker.now
    if access.packet_interval != 0 and not take_token(
        source.address + _PACKETS, now, access.packet_interval, access.packet_slack
    ):
        return False
    return access.conn_interval == 0 or take_token(
        source.address + _CONNS, now, access.conn_interval, access.conn_slack
    )


@leaf
def source_of(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> Source:
    """The record of who sent the packet."""
    hi = IPv4(packet.network).src if packet.family == 4 else IPv6(packet.network).src_hi
    return find_source(Sources(balancer.sources), hi, packet.family, service.ports, service.lo, worker.now)


@cold
def defend(balancer: Balancer, packet: Packet) -> int:
    """A packet for no service: the verdict of those to an address that has services, if they are to end here."""
    tcp = packet.protocol == PROTOCOL_TCP
    if not tcp and packet.protocol != PROTOCOL_UDP:
        return CONTINUE
    if balancer.guards & (DEFEND_TCP if tcp else DEFEND_UDP) == 0 or balancer.own == 0:
        return CONTINUE
    own = AccessSet(balancer.own)
    if packet.family == 4:
        found = probe(own, 0, IPv4(packet.network).dst, 4 << 32 | 32)
    else:
        ip = IPv6(packet.network)
        found = probe(own, ip.dst_hi, ip.dst_lo, 6 << 32 | 128)
    if found < 0:
        return CONTINUE
    return DEFENCE_TCP_DROP if tcp else DEFENCE_UDP_DROP
