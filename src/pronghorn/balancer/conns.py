"""Opening and ending connections: two flows, the record, the timer and everyone's counts together.

A new connection's number comes from the free list, else from beyond those ever used, so that memory is touched as the
table fills and a table that was once full is reused from its warm ends: the start for IPv4, the end for IPv6.

A full table gives up connections that are not open for new ones, as IPVS's drop_entry defence does: a flood of SYNs
meets a table of its own half-open connections, a few looks find one of those, and clients that finish their handshake
are served all the while (CVE-1999-0116). Open connections and UDP are never given up. A hand goes round the table (the
clock algorithm, Corbato 1968), so the oldest go first, and what the next one needs is asked for while this one ends.
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.rewrite import set_changes
from pronghorn.balancer.local_ports import choose_local, set_destination
from pronghorn.balancer.lookup import SRC4, SRC6_HI, flow_hash, has_flow, packet_ports
from pronghorn.balancer.tables import (
    CLOSED,
    DIRECT,
    ENCAPSULATE,
    FULL_NAT,
    HAND_ON,
    NO_LOCAL,
    REPLY,
    REQUEST,
    REWRITE_SCTP,
    SYN_RECEIVED,
    SYN_SENT,
    TICK,
    TIED,
    TIME_WAIT,
    TRANSLATE,
    UDP_OPEN,
    Balancer,
    Conn,
    Server,
    Service,
    server_of,
)
from pronghorn.balancer.tcp_state import enter, is_half_open, is_open
from pronghorn.balancer.thresholds import note_opened
from pronghorn.balancer.ties import untie
from pronghorn.compiled import copy, fill, hot, leaf, load64, prefetch
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_prefetch, hash_remove
from pronghorn.memory.wheel import Wheel, timer_cancel
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import CONN_TABLE_FULL, CONTINUE, LOCAL_PORTS_EXHAUSTED
from pronghorn.state.worker import Worker
from pronghorn.wire.numbers import PROTOCOL_SCTP, PROTOCOL_UDP

_PROTOCOL = 0xFF << 32  # in Conn.keys

LOOKS = 16
"""Records that are looked at for one that can be given up."""

AHEAD = 8
"""How far the hand looks ahead, in records."""


@hot
def open_conn(
    worker: Worker, balancer: Balancer, packet: Packet, service: Service, server_index: int
) -> tuple[int, int]:
    """A connection for the packet, from its client to the server. Returns (number of the request's flow, CONTINUE), or
    (-1, why not)."""
    end = 0 if packet.family == 4 and balancer.servers[server_index].family == 4 else 1
    number = take_conn(balancer, end)
    if number < 0 and give_up_one(worker, balancer):
        number = take_conn(balancer, end)
    if number < 0:
        service.no_room += 1
        return -1, CONN_TABLE_FULL
    server = balancer.servers[server_index]
    verdict = _join(worker, balancer, packet, number, server)
    if verdict != CONTINUE:
        if verdict == LOCAL_PORTS_EXHAUSTED:
            service.no_port += 1
        else:
            service.no_room += 1
        give_conn(balancer, number)
        return -1, verdict
    tick = worker.now >> TICK
    conn, record = balancer.conns[number], balancer.records[number]
    conn.seen, record.created, record.state = tick, tick, 0
    conn.server_low, conn.server_high = server_index, server_index >> 16
    server.conns += 1
    service.conns += 1
    note_opened(server)
    server.connections += 1
    state = UDP_OPEN
    if packet.protocol != PROTOCOL_UDP:
        state = SYN_SENT if conn.keys[REPLY] != 0 else SYN_RECEIVED  # the server's answer will not be seen
    enter(worker, balancer, number, state)
    return 2 * number + REQUEST, CONTINUE


@hot
def _join(worker: Worker, balancer: Balancer, packet: Packet, number: int, server: Server) -> int:
    """Lay out the connection's flows for the server's method, and enter them into the index. CONTINUE, or why not."""
    conn, record = balancer.conns[number], balancer.records[number]
    fill(conn.address, 0, Conn.SIZE)
    index = HashIndex(balancer.index)
    set_request(balancer, number, packet)
    reply_hash = 0
    record.local = NO_LOCAL
    if server.method >= DIRECT:
        conn.flags = HAND_ON if server.method == DIRECT else ENCAPSULATE
    else:
        set_reply_source(balancer, number, server)
        if server.method == FULL_NAT:
            local, reply_hash = choose_local(worker, balancer, number)
            if local < 0:
                return LOCAL_PORTS_EXHAUSTED
            record.local = local
            if server.family != packet.family:
                conn.flags = TRANSLATE
        else:
            reply_hash = _to_client(balancer, number)
            if has_flow(balancer, 2 * number + REPLY, reply_hash):
                return LOCAL_PORTS_EXHAUSTED  # the client's port is in use towards this server
        set_changes(conn, balancer.wide[number])
        if packet.protocol == PROTOCOL_SCTP:
            conn.flags = REWRITE_SCTP
    if not hash_add(index, packet.hash, 2 * number + REQUEST):
        return CONN_TABLE_FULL
    if conn.keys[REPLY] != 0 and not hash_add(index, reply_hash, 2 * number + REPLY):
        hash_remove(index, packet.hash, 2 * number + REQUEST)
        return CONN_TABLE_FULL
    if record.local != NO_LOCAL:
        balancer.locals[record.local].conns += 1
    return CONTINUE


@leaf
def set_request(balancer: Balancer, number: int, packet: Packet) -> None:
    """What requests carry is what the packet carries."""
    conn = balancer.conns[number]
    conn.keys[REQUEST] = packet_ports(packet)
    if packet.family == 4:
        conn.addresses[REQUEST] = load64(packet.network + SRC4)
    else:
        copy(balancer.wide[number].address, packet.network + SRC6_HI, 32)


@leaf
def _port_of(server: Server, conn: Conn) -> int:
    """Where the server gets this connection; raw."""
    return server.port if server.keep_port == 0 else conn.keys[REQUEST] >> 16 & 0xFFFF


@leaf
def set_reply_source(balancer: Balancer, number: int, server: Server) -> None:
    """Replies come from the server; where to is not known yet."""
    conn = balancer.conns[number]
    conn.keys[REPLY] = conn.keys[REQUEST] & _PROTOCOL | server.family << 40 | _port_of(server, conn)
    if server.family == 4:
        conn.addresses[REPLY] = server.lo & 0xFFFFFFFF
    else:
        words = balancer.wide[number].words
        words[4] = server.hi
        words[5] = server.lo


@hot
def _to_client(balancer: Balancer, number: int) -> int:
    """Replies go to the client's own address and port. Returns their hash."""
    conn, flow = balancer.conns[number], 2 * number + REPLY
    conn.keys[REPLY] |= (conn.keys[REQUEST] & 0xFFFF) << 16
    words = balancer.wide[number].words
    if conn.keys[REQUEST] >> 40 == 4:
        set_destination(balancer, flow, 0, conn.addresses[REQUEST] & 0xFFFFFFFF)
    else:
        set_destination(balancer, flow, words[0], words[1])
    return flow_hash(balancer, flow, HashIndex(balancer.index).secret)


@hot
def end_conn(balancer: Balancer, number: int) -> None:
    """Forget the connection."""
    conn, record = balancer.conns[number], balancer.records[number]
    index = HashIndex(balancer.index)
    for flow in range(2 * number, 2 * number + 2):
        if conn.keys[flow & 1] != 0:
            hash_remove(index, flow_hash(balancer, flow, index.secret), flow)
    timer_cancel(Wheel(balancer.wheel), number)
    if conn.flags & TIED != 0:
        untie(balancer, number)
    server = balancer.servers[server_of(conn)]
    server.conns -= 1
    balancer.services[server.service].conns -= 1
    if is_open(record.state):
        server.active -= 1
    elif is_half_open(record.state):
        balancer.services[server.service].half_open -= 1
    if record.local != NO_LOCAL:
        balancer.locals[record.local].conns -= 1
    give_conn(balancer, number)


@hot
def give_up_one(worker: Worker, balancer: Balancer) -> bool:
    """End the next connection that is half open, reset or closed; whether one was found."""
    for _ in range(LOOKS):
        number = balancer.hand
        balancer.hand = number + 1 if number + 1 < balancer.conn_limit else 0
        _look_ahead(balancer, number)
        state = balancer.records[number].state
        if state == SYN_SENT or state == SYN_RECEIVED or state == TIME_WAIT or state == CLOSED:
            end_conn(balancer, number)
            balancer.given_up += 1
            return True
    return False


@hot
def _look_ahead(balancer: Balancer, number: int) -> None:
    """Ask for what it takes to end the connections that come after this one."""
    far = (number + AHEAD) % balancer.conn_limit
    prefetch(balancer.conns[far].address)
    prefetch(balancer.records[far].address)
    near, index = (number + AHEAD // 2) % balancer.conn_limit, HashIndex(balancer.index)
    for flow in range(2 * near, 2 * near + 2):
        if balancer.conns[near].keys[flow & 1] != 0:
            hash_prefetch(index, flow_hash(balancer, flow, index.secret))


@hot
def take_conn(balancer: Balancer, end: int) -> int:
    """A free record, or -1; from this end of the table (0: the start, 1: the end) if there is one."""
    if balancer.free[end] == 0 and balancer.fresh[0] + balancer.fresh[1] < balancer.conn_limit:
        fresh = balancer.fresh[end]
        balancer.fresh[end] = fresh + 1
        number = fresh if end == 0 else balancer.conn_limit - 1 - fresh
        balancer.records[number].timer.previous = 0  # an earlier process may have used the record
    else:
        if balancer.free[end] == 0:
            end ^= 1
        number = balancer.free[end] - 1
        if number < 0:
            return -1
        balancer.free[end] = balancer.records[number].next
    balancer.count += 1
    return number


@hot
def give_conn(balancer: Balancer, number: int) -> None:
    """Back to the free ones. A flow without a key matches no packet."""
    conn, record = balancer.conns[number], balancer.records[number]
    conn.keys[REQUEST] = 0
    conn.keys[REPLY] = 0
    record.state = 0
    end = 0 if number < balancer.fresh[0] else 1
    record.next = balancer.free[end]
    balancer.free[end] = number + 1
    balancer.count -= 1
