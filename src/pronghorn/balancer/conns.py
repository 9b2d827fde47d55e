"""Opening and ending connections: two flows, the record, the timer and everyone's counts together.

A new record comes from the free list, else from beyond the highest one ever used, so that memory is touched as the
table fills and a table that was once full is reused from its warm end.

A full table gives up connections that are not open for new ones, as IPVS's drop_entry defence does: a flood of SYNs
meets a table of its own half-open connections, a few random looks find one of those, and clients that finish their
handshake are served all the while (CVE-1999-0116). Open connections and UDP are never given up.
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.full_nat import lay_out
from pronghorn.balancer.local_ports import choose_local
from pronghorn.balancer.lookup import SRC4, SRC6_HI, packet_ports
from pronghorn.balancer.tables import (
    CLOSED,
    REPLY,
    SYN_RECEIVED,
    SYN_SENT,
    TICK,
    TIME_WAIT,
    UDP_OPEN,
    Balancer,
    Conn,
    Flow,
    Server,
    Service,
)
from pronghorn.balancer.tcp_state import enter, is_open
from pronghorn.compiled import copy, fill, hot, load64
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_remove
from pronghorn.memory.wheel import Wheel, timer_cancel
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import CONN_TABLE_FULL, CONTINUE, LOCAL_PORTS_EXHAUSTED
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire.numbers import PROTOCOL_TCP

_ADDRESSES6 = Flow.offset("src_hi")

LOOKS = 16
"""Records that are looked at for one that can be given up."""


@hot
def open_conn(
    worker: Worker, balancer: Balancer, packet: Packet, service: Service, server_index: int
) -> tuple[int, int]:
    """A connection for the packet, from its client to the server. Returns (index of the request's flow, CONTINUE), or
    (-1, why not)."""
    number = take_conn(balancer)
    if number < 0 and give_up_one(worker, balancer):
        number = take_conn(balancer)
    if number < 0:
        service.no_room += 1
        return -1, CONN_TABLE_FULL
    request, reply = balancer.flows[2 * number], balancer.flows[2 * number + 1]
    server = balancer.servers[server_index]
    set_arriving(request, reply, packet, server)
    local, reply_hash = choose_local(worker, balancer, reply)
    if local < 0:
        service.no_port += 1
        give_conn(balancer, number)
        return -1, LOCAL_PORTS_EXHAUSTED
    index = HashIndex(balancer.index)
    if not hash_add(index, packet.hash, 2 * number):
        service.no_room += 1
        give_conn(balancer, number)
        return -1, CONN_TABLE_FULL
    if not hash_add(index, reply_hash, 2 * number + 1):
        hash_remove(index, packet.hash, 2 * number)
        service.no_room += 1
        give_conn(balancer, number)
        return -1, CONN_TABLE_FULL
    lay_out(request, reply)
    request.server, reply.server, reply.flags = server_index, server_index, REPLY
    tick = worker.now >> TICK
    request.seen, reply.seen = tick, tick
    conn = balancer.conns[number]
    conn.state = 0
    conn.closer, conn.family, conn.protocol = 0, packet.family, packet.protocol
    conn.server, conn.local = server_index, local
    conn.request_hash, conn.reply_hash, conn.created = packet.hash, reply_hash, tick
    balancer.locals[local].conns += 1
    server.conns += 1
    server.connections += 1
    enter(worker, balancer, number, SYN_SENT if packet.protocol == PROTOCOL_TCP else UDP_OPEN)
    return 2 * number, CONTINUE


@hot
def set_arriving(request: Flow, reply: Flow, packet: Packet, server: Server) -> None:
    """Both flows empty but for what arrives: all of the request's five-tuple, the reply's without the local end."""
    fill(request.address, 0, 2 * Flow.SIZE)
    ports = packet_ports(packet)
    request.ports = ports
    reply.ports = ports >> 32 << 32 | server.port
    if packet.family == 4:
        request.addresses = load64(packet.network + SRC4)
        reply.addresses = server.lo
    else:
        copy(request.address + _ADDRESSES6, packet.network + SRC6_HI, 32)
        reply.src_hi = server.hi
        reply.src_lo = server.lo


@hot
def end_conn(balancer: Balancer, number: int) -> None:
    """Forget the connection."""
    conn = balancer.conns[number]
    index = HashIndex(balancer.index)
    hash_remove(index, conn.request_hash, 2 * number)
    hash_remove(index, conn.reply_hash, 2 * number + 1)
    timer_cancel(Wheel(balancer.wheel), number)
    server = balancer.servers[conn.server]
    server.conns -= 1
    if is_open(conn.state):
        server.active -= 1
    balancer.locals[conn.local].conns -= 1
    give_conn(balancer, number)


@hot
def give_up_one(worker: Worker, balancer: Balancer) -> bool:
    """End a connection, chosen at random among those that are half open, reset or closed; whether one was found."""
    for _ in range(LOOKS):
        number = random_number(worker) % balancer.conn_limit
        state = balancer.conns[number].state
        if state == SYN_SENT or state == SYN_RECEIVED or state == TIME_WAIT or state == CLOSED:
            end_conn(balancer, number)
            balancer.given_up += 1
            return True
    return False


@hot
def take_conn(balancer: Balancer) -> int:
    """A free record, or -1."""
    free = balancer.free
    if free != 0:
        balancer.free = balancer.conns[free - 1].next
        balancer.count += 1
        return free - 1
    fresh = balancer.fresh
    if fresh == balancer.conn_limit:
        return -1
    balancer.fresh = fresh + 1
    balancer.count += 1
    balancer.conns[fresh].timer.previous = 0  # an earlier process may have used the record
    return fresh


@hot
def give_conn(balancer: Balancer, number: int) -> None:
    """Back to the free ones. A flow without ports matches no packet."""
    balancer.flows[2 * number].ports = 0
    balancer.flows[2 * number + 1].ports = 0
    conn: Conn = balancer.conns[number]
    conn.state = 0
    conn.next = balancer.free
    balancer.free = number + 1
    balancer.count -= 1
