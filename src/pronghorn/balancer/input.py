"""A packet that may be balanced. The order of the questions is that of IPVS: a known flow? else a service? then
schedule.

    flow_prepare(worker, packet)               see lookup.py
    flow_prefetch(worker, packet)
    verdict = balancer_input(worker, packet)

The packet is a whole TCP or UDP packet over IPv4 or IPv6 whose headers were checked. CONTINUE means that it is none
of the balancer's business and goes on to local delivery. TTL_EXPIRED leaves the packet as it came: the caller
answers by ICMP.
"""

from __future__ import annotations

from pronghorn.balancer.access import EVERY_PACKET, admit, defend, guard, on_lists
from pronghorn.balancer.clients import add_client, client_hash
from pronghorn.balancer.conns import end_conn, open_conn
from pronghorn.balancer.limits import meter, within_limits
from pronghorn.balancer.lookup import find_flow
from pronghorn.balancer.output import forward
from pronghorn.balancer.persistence import choose_persistent
from pronghorn.balancer.proxy_open import begin, proxied_input
from pronghorn.balancer.schedulers import choose
from pronghorn.balancer.services import find_service
from pronghorn.balancer.syn_proxy import challenge, check_cookie, is_asked
from pronghorn.balancer.tables import (
    ASKS_ACCESS,
    ASKS_COOKIE,
    ASKS_LIMITS,
    ASKS_ONE_PACKET,
    ASKS_PERSISTENCE,
    ASKS_TOA,
    NO_LOCAL,
    NOBODY,
    PROXIED,
    REPLY,
    REWRITE,
    SERVER_REMOVED,
    STEADY,
    TELL,
    WAYS,
    Balancer,
    Service,
    server_of,
)
from pronghorn.balancer.tcp_state import follow
from pronghorn.balancer.ties import tie
from pronghorn.compiled import cold, hot, leaf
from pronghorn.net.errors import report_expired, report_port_unreachable
from pronghorn.net.reset import send_reset
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import CONTINUE, NO_CONN, SERVICE_NO_SERVER, SERVICE_REMOVED, TTL_EXPIRED
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.tcp import ACK, FIN, RST, SYN, TCP

GOES_ON = -1
"""No verdict: the packet goes on with its connection."""


@hot
def balancer_input(worker: Worker, packet: Packet) -> int:
    """Forward the packet if it is balanced. Returns its verdict, CONTINUE when it is not."""
    balancer = Balancer(worker.balancer)
    found = find_flow(balancer, packet)
    if balancer.guards & EVERY_PACKET != 0:
        verdict = guard(worker, balancer, packet, found)
        if verdict != CONTINUE:
            return verdict
    if found < 0:
        return schedule(worker, balancer, packet)
    if hops_left(packet) <= 1:
        return expired(worker, packet)
    conn = balancer.conns[found >> 1]
    if balancer.servers[server_of(conn)].watched != 0:
        verdict = watch(worker, balancer, packet, found)
        if verdict != CONTINUE:
            return verdict
    if packet.protocol == PROTOCOL_TCP:
        flags = TCP(packet.transport).flags
        if flags & (SYN | FIN | RST) != 0 or conn.flags & STEADY == 0:
            verdict = move_on(worker, balancer, packet, found)
            if verdict != GOES_ON:
                return verdict
    return forward(worker, balancer, packet, found)


@hot
def move_on(worker: Worker, balancer: Balancer, packet: Packet, flow: int) -> int:
    """A segment that may change its connection. GOES_ON, or its verdict."""
    if balancer.conns[flow >> 1].flags & WAYS == PROXIED:
        verdict = proxied_input(worker, balancer, packet, flow)
        if verdict != CONTINUE:
            return verdict
    if follow(worker, balancer, flow, TCP(packet.transport).flags):
        return GOES_ON
    end_conn(balancer, flow >> 1)
    return schedule(worker, balancer, packet)


@cold
def watch(worker: Worker, balancer: Balancer, packet: Packet, flow: int) -> int:
    """A packet to or from a server that is watched. CONTINUE, or why it is dropped."""
    server = balancer.servers[server_of(balancer.conns[flow >> 1])]
    if server.state == SERVER_REMOVED:
        end_conn(balancer, flow >> 1)
        return SERVICE_REMOVED
    return meter(worker, balancer.limits[server.service], packet, flow & 1)


@hot
def schedule(worker: Worker, balancer: Balancer, packet: Packet) -> int:
    """A packet of no connection: open one if it is for a service."""
    found = find_service(balancer, packet)
    if found < 0:
        return CONTINUE if balancer.guards == 0 else defend(balancer, packet)
    service = balancer.services[found]
    if service.asks & ASKS_COOKIE != 0:
        return schedule_proxied(worker, balancer, service, packet)
    if packet.protocol == PROTOCOL_TCP and TCP(packet.transport).flags & (SYN | ACK | RST | FIN) != SYN:
        service.no_conn += 1
        return NO_CONN
    if hops_left(packet) <= 1:
        return expired(worker, packet)
    flow, verdict = open_for(worker, balancer, service, packet)
    if verdict != CONTINUE:
        return verdict
    verdict = forward(worker, balancer, packet, flow)
    if service.asks & ASKS_ONE_PACKET != 0 and balancer.conns[flow >> 1].keys[REPLY] == 0:
        end_conn(balancer, flow >> 1)
    return verdict


@hot
def schedule_proxied(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> int:
    """The same for a service whose clients may be asked for a cookie."""
    if hops_left(packet) <= 1:
        return expired(worker, packet)
    first = TCP(packet.transport).flags & (SYN | ACK | RST | FIN) == SYN
    if first and is_asked(balancer, service):
        if service.asks & ASKS_ACCESS != 0:
            verdict = on_lists(worker, balancer, service, packet)
            if verdict != CONTINUE:
                return verdict
        return challenge(worker, balancer, service, packet)
    if not first:
        verdict = check_cookie(worker, balancer, service, packet)
        if verdict != CONTINUE:
            return verdict
    flow, verdict = open_for(worker, balancer, service, packet)
    if verdict == CONTINUE:
        return forward(worker, balancer, packet, flow) if first else begin(worker, balancer, service, packet, flow)
    if not first:
        send_reset(worker, packet)  # the client believes that it is connected
    return verdict


@hot
def open_for(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> tuple[int, int]:
    """A connection for the packet, if it may have one. Returns (number of the request's flow, CONTINUE), or (-1, why
    not)."""
    if service.asks & ASKS_ACCESS != 0:
        verdict = admit(worker, balancer, service, packet)
        if verdict != CONTINUE:
            return -1, verdict
    if service.asks & ASKS_LIMITS != 0:
        verdict = within_limits(worker, balancer, service, packet)
        if verdict != CONTINUE:
            return -1, verdict
    template = -1
    if service.asks & ASKS_PERSISTENCE != 0:
        server, template = choose_persistent(worker, balancer, service, packet)
    else:
        server = choose(worker, balancer, service, packet)
    if server == NOBODY:
        service.no_server += 1
        if service.reject != 0:
            refuse(worker, packet)
        return -1, SERVICE_NO_SERVER
    flow, verdict = open_conn(worker, balancer, packet, service, server)
    if verdict != CONTINUE:
        return -1, verdict
    if service.asks & (ASKS_PERSISTENCE | ASKS_LIMITS | ASKS_TOA) != 0:
        bind(balancer, packet, service, flow >> 1, template)
    return flow, CONTINUE


@hot
def bind(balancer: Balancer, packet: Packet, service: Service, number: int, template: int) -> None:
    """Let the new connection count for its client, where that is asked."""
    limits, client = balancer.limits[service.index], -1
    if limits.per_client != 0:
        client = add_client(balancer, client_hash(balancer, service, limits, packet))
        if client < 0:
            limits.uncounted += 1
    if template >= 0 or client >= 0:
        tie(balancer, number, template, client)
    conn = balancer.conns[number]
    if service.asks & ASKS_TOA != 0 and conn.flags & WAYS == REWRITE and balancer.records[number].local != NO_LOCAL:
        conn.flags |= TELL


@hot
def refuse(worker: Worker, packet: Packet) -> None:
    """Tell who sent it that nobody takes it."""
    if packet.protocol == PROTOCOL_TCP:
        send_reset(worker, packet)
    else:
        report_port_unreachable(worker, packet)


@leaf
def hops_left(packet: Packet) -> int:
    """TTL or hop limit."""
    return IPv4(packet.network).ttl if packet.family == 4 else IPv6(packet.network).hop_limit


@hot
def expired(worker: Worker, packet: Packet) -> int:
    """The packet has no hop left."""
    report_expired(worker, packet)
    return TTL_EXPIRED
