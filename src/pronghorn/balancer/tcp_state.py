"""A TCP connection seen from between its ends: which segments move it on (RFC 9293 3.3.2, as a bystander sees it).

    SYN_SENT -- reply SYN --> SYN_RECEIVED -- request ACK --> ESTABLISHED
    ESTABLISHED -- request FIN --> FIN_WAIT, -- reply FIN --> CLOSE_WAIT
    FIN_WAIT, CLOSE_WAIT -- the other side's FIN --> LAST_ACK -- ACK of that --> TIME_WAIT
    any but TIME_WAIT -- RST --> CLOSED

A connection whose server answers the client itself (direct routing) is seen from one side: it begins as SYN_RECEIVED,
and nothing follows its client's FIN but silence; a SYN then begins a new one. So does IPVS.

The states decide nothing but how long a silent connection is kept, and when a SYN may begin a new one in its place
(TIME_WAIT, CLOSED). Sequence numbers are not followed: the ends do that, and a forged segment that they ignore must
not stop traffic here either, so segments of a CLOSED connection still pass; it only ends sooner when nothing comes.
"""

from __future__ import annotations

from pronghorn.balancer.tables import (
    CLOSE_WAIT,
    CLOSED,
    CLOSER,
    ESTABLISHED,
    FIN_WAIT,
    LAST_ACK,
    REPLY,
    REQUEST,
    STEADY,
    SYN_RECEIVED,
    SYN_SENT,
    TICK,
    TIME_WAIT,
    UDP_OPEN,
    Balancer,
    server_of,
    timeout_of,
)
from pronghorn.compiled import hot, leaf
from pronghorn.memory.wheel import Wheel, timer_move
from pronghorn.state.worker import Worker
from pronghorn.wire.tcp import ACK, FIN, RST, SYN


@hot
def next_state(state: int, closer: int, direction: int, flags: int) -> int:
    """The state after a segment with these flags in this direction (0 request, REPLY)."""
    if flags & RST != 0:
        return state if state == TIME_WAIT else CLOSED
    if state == SYN_SENT:
        return SYN_RECEIVED if direction == REPLY and flags & SYN != 0 else SYN_SENT
    if state == SYN_RECEIVED:
        if direction == REPLY or flags & SYN != 0 or flags & (ACK | FIN) == 0:
            return SYN_RECEIVED
        return FIN_WAIT if flags & FIN != 0 else ESTABLISHED
    if flags & SYN != 0:
        return state
    if flags & FIN != 0:
        if state == ESTABLISHED:
            return CLOSE_WAIT if direction == REPLY else FIN_WAIT
        if state == FIN_WAIT and direction == REPLY:
            return LAST_ACK
        if state == CLOSE_WAIT and direction != REPLY:
            return LAST_ACK
    elif state == LAST_ACK and direction != closer and flags & ACK != 0:
        return TIME_WAIT
    return state


@hot
def follow(worker: Worker, balancer: Balancer, flow_index: int, flags: int) -> bool:
    """Note a segment that may move its connection on. False: it is a SYN that begins a new one in its place."""
    number, direction = flow_index >> 1, flow_index & 1
    conn, state = balancer.conns[number], balancer.records[number].state
    if flags & (SYN | ACK) == SYN and direction != REPLY:
        over = state == TIME_WAIT or state == CLOSED or (state == FIN_WAIT and conn.keys[REPLY] == 0)
        if over:
            return False
    new = next_state(state, REPLY if conn.flags & CLOSER != 0 else REQUEST, direction, flags)
    if new != state:
        if new == CLOSED and state == SYN_SENT and direction == REPLY:
            balancer.servers[server_of(conn)].refused += 1
        if new == LAST_ACK:
            conn.flags = conn.flags | CLOSER if direction == REPLY else conn.flags & ~CLOSER
        enter(worker, balancer, number, new)
    return True


@hot
def enter(worker: Worker, balancer: Balancer, number: int, state: int) -> None:
    """Put the connection into a state: its timer, its server's count of open connections, STEADY."""
    conn, record = balancer.conns[number], balancer.records[number]
    if is_half_open(state) != is_half_open(record.state):
        service = balancer.services[balancer.servers[server_of(conn)].service]
        service.half_open += 1 if is_half_open(state) else -1
    if is_open(state):
        if not is_open(record.state):
            balancer.servers[server_of(conn)].active += 1
        conn.flags |= STEADY
    elif is_open(record.state):
        balancer.servers[server_of(conn)].active -= 1
        conn.flags &= ~STEADY
    record.state = state
    expires = (worker.now >> TICK) + timeout_of(balancer, conn, state)
    if record.timer.previous == 0 or expires < record.timer.expires:  # a later one waits until the timer expires
        timer_move(Wheel(balancer.wheel), number, expires)


@leaf
def is_open(state: int) -> bool:
    """Whether data flows both ways."""
    return state == ESTABLISHED or state == UDP_OPEN


@leaf
def is_half_open(state: int) -> bool:
    """Whether it has not been open yet."""
    return state == SYN_SENT or state == SYN_RECEIVED
