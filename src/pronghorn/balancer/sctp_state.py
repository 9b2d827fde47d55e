"""An SCTP association seen from between its ends, in the states of TCP's connections (RFC 9260 section 4; as IPVS).

    SYN_SENT -- INIT ACK --> SYN_RECEIVED -- COOKIE ACK --> ESTABLISHED
    ESTABLISHED -- the client's SHUTDOWN --> FIN_WAIT, the server's --> CLOSE_WAIT
    any of these three -- SHUTDOWN ACK --> LAST_ACK -- SHUTDOWN COMPLETE --> TIME_WAIT
    any but TIME_WAIT -- ABORT --> CLOSED

INIT opens an association. One whose server answers the client itself (direct routing) begins as SYN_RECEIVED, and the
client's COOKIE ECHO opens it. An INIT within an open one (RFC 9260 5.2, a restart) changes nothing here; one in the
place of an association that is over begins a new one.

As with TCP, states decide how long silence is allowed, and nothing else: timeouts are shared, tags and sequence
numbers are the ends' matter.
"""

from __future__ import annotations

from pronghorn.balancer.conns import end_conn
from pronghorn.balancer.input import balancer_input
from pronghorn.balancer.lookup import find_flow
from pronghorn.balancer.services import find_service
from pronghorn.balancer.tables import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT,
    LAST_ACK,
    REPLY,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Balancer,
    server_of,
)
from pronghorn.balancer.tcp_state import enter
from pronghorn.compiled import hot
from pronghorn.state.packet import NO_PACKET, Packet
from pronghorn.state.verdicts import NO_CONN
from pronghorn.state.worker import Worker
from pronghorn.wire import sctp

_INIT, _INIT_ACK, _ABORT = 1 << sctp.INIT, 1 << sctp.INIT_ACK, 1 << sctp.ABORT
_COOKIE_ECHO, _COOKIE_ACK = 1 << sctp.COOKIE_ECHO, 1 << sctp.COOKIE_ACK
_SHUTDOWN, _SHUTDOWN_ACK = 1 << sctp.SHUTDOWN, 1 << sctp.SHUTDOWN_ACK
_SHUTDOWN_COMPLETE = 1 << sctp.SHUTDOWN_COMPLETE


@hot
def sctp_input(worker: Worker, packet: Packet) -> int:
    """As balancer_input, for a checked SCTP packet that is prepared."""
    balancer = Balancer(worker.balancer)
    kinds = sctp.kinds(packet.transport, packet.data + packet.length - packet.transport)
    found = find_flow(balancer, packet)
    if found >= 0 and not follow_sctp(worker, balancer, found, kinds):
        end_conn(balancer, found >> 1)
        packet.next = NO_PACKET
        found = -1
    if found < 0 and kinds & _INIT == 0:
        service = find_service(balancer, packet)
        if service >= 0:
            balancer.services[service].no_conn += 1
            return NO_CONN
    return balancer_input(worker, packet)


@hot
def next_sctp_state(state: int, direction: int, kinds: int, unseen: bool) -> int:
    """The state after a packet with these chunks in this direction; `unseen`: the server answers clients itself."""
    if state == TIME_WAIT:
        return state
    if kinds & _ABORT != 0:
        return CLOSED
    if state == SYN_SENT:
        return SYN_RECEIVED if direction == REPLY and kinds & _INIT_ACK != 0 else state
    if state == SYN_RECEIVED:
        opens = kinds & _COOKIE_ECHO if unseen else kinds & _COOKIE_ACK
        return ESTABLISHED if opens != 0 and (unseen or direction == REPLY) else state
    if state == CLOSED:
        return state
    if kinds & _SHUTDOWN_COMPLETE != 0:
        return TIME_WAIT
    if kinds & _SHUTDOWN_ACK != 0:
        return LAST_ACK
    if state == ESTABLISHED and kinds & _SHUTDOWN != 0:
        return CLOSE_WAIT if direction == REPLY else FIN_WAIT
    return state


@hot
def follow_sctp(worker: Worker, balancer: Balancer, flow: int, kinds: int) -> bool:
    """Note a packet that may move its association on. False: it is an INIT that begins a new one in its place."""
    number, direction = flow >> 1, flow & 1
    conn, state = balancer.conns[number], balancer.records[number].state
    if kinds & _INIT != 0 and direction != REPLY and (state == TIME_WAIT or state == CLOSED):
        return False
    new = next_sctp_state(state, direction, kinds, conn.keys[REPLY] == 0)
    if new != state:
        if new == CLOSED and state == SYN_SENT and direction == REPLY:
            balancer.servers[server_of(conn)].refused += 1
        enter(worker, balancer, number, new)
    return True
