"""Under memory pressure (pressure.py), and once more when it is over: look at every connection, some every 4 ms.

Rings that are mostly empty give memory back (stream_shrink); windows that were shut for want of memory open, and are
told without waiting for a probe; applications whose octets were refused hear that there is room; data for whose record
there was no memory is sent. Nothing else would wake a connection that has nothing in flight.

Above memory_high, as Linux: what arrived out of order is dropped (tcp_prune_ofo_queue; RFC 2018 8 permits it), and
connections that no application holds are aborted, when they keep more than the least (tcp_check_oom).
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.ranges import ranges_end, ranges_free
from pronghorn.memory.stream import stream_shrink, stream_size
from pronghorn.state.endpoints import ANY_NUMBER, WRITABLE, count, endpoints_of, socket_event
from pronghorn.state.mib import ABORT_ON_MEMORY, OFO_PRUNED
from pronghorn.state.worker import Worker
from pronghorn.tcp.closing import abort
from pronghorn.tcp.output import limit_of
from pronghorn.tcp.pending import look_at
from pronghorn.tcp.pressure import LEAST_SEND, SWEEP_EVERY, has_reserve, send_most, share
from pronghorn.tcp.receive import window_opened
from pronghorn.tcp.tcb import (
    CLOSED,
    ESTABLISHED,
    FIN_BEYOND,
    FIN_RECEIVED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    FREE,
    NEVER,
    PASSIVE,
    SYN_RECEIVED,
    SYN_SENT,
    WANTS_SPACE,
    Tcb,
    Tcp,
)
from pronghorn.tcp.transfer import queue_limit
from pronghorn.tcp.window import offered

BATCH = 256
"""Records that are looked at each time."""
MASK = 0xFFFF_FFFF


@hot
def relieve(worker: Worker, tcp: Tcp) -> None:
    """Once per turn while tcp.sweep_at is set: see whether pressure is over, and look at the next connections."""
    used = Buddy(endpoints_of(worker).buddy).used
    if tcp.pressed != 0:
        tcp.pressed = share(tcp, used) if used >= tcp.memory_low else 0
    if worker.now < tcp.sweep_at:
        return
    tcp.sweep_at = worker.now + SWEEP_EVERY
    looked = min(BATCH, tcp.fresh)
    for _ in range(looked):
        number = tcp.sweep if tcp.sweep < tcp.fresh else 0
        tcp.sweep = number + 1
        tcb = tcp.tcbs[number]
        if tcb.state != FREE and tcb.state != CLOSED and tcb.state != SYN_SENT and tcb.state != SYN_RECEIVED:
            _ease(worker, tcp, tcb)
    if tcp.pressed != 0:
        tcp.sweep_left = tcp.fresh
    elif looked < tcp.sweep_left:
        tcp.sweep_left -= looked
    else:
        tcp.sweep_left, tcp.sweep_at = 0, NEVER


@hot
def _ease(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """One connection, whose handshake is over."""
    buddy = Buddy(endpoints_of(worker).buddy)
    if buddy.used > tcp.memory_high:
        if tcb.socket == ANY_NUMBER and tcb.flags & PASSIVE == 0 and stream_size(tcb.send) > LEAST_SEND:
            count(worker, ABORT_ON_MEMORY, 1)
            abort(worker, tcp, tcb, 0)
            return
        if tcb.beyond.count != 0:
            count(worker, OFO_PRUNED, 1)
            ranges_free(buddy, tcb.beyond)
            tcb.flags &= ~FIN_BEYOND
    if tcp.pressed != 0:
        _shrink(buddy, tcb)
    waiting = max(sequence.difference(tcb.snd_end, tcb.snd_una), 0)
    if tcb.flags & WANTS_SPACE != 0 and _may_send(tcp, tcb, buddy, waiting):
        tcb.flags &= ~WANTS_SPACE
        if tcb.socket != ANY_NUMBER:
            socket_event(endpoints_of(worker), tcb.socket, WRITABLE)
    if tcb.segments.block == 0 and limit_of(tcb) != tcb.snd_nxt:
        look_at(tcp, tcb)
    receives = tcb.state == ESTABLISHED or tcb.state == FIN_WAIT_1 or tcb.state == FIN_WAIT_2
    if receives and offered(tcb) < tcb.rcv_mss:
        window_opened(worker, tcp, tcb)


@hot
def _shrink(buddy: Buddy, tcb: Tcb) -> None:
    """Let rings that are at most a quarter full give memory back."""
    kept = ranges_end(buddy, tcb.beyond, tcb.rcv_nxt) - tcb.rcv_read & MASK
    if tcb.flags & FIN_RECEIVED != 0 and kept != 0:
        kept -= 1
    stream_shrink(buddy, tcb.receive, tcb.rcv_read, kept)
    stream_shrink(buddy, tcb.send, tcb.snd_una, max(sequence.difference(tcb.snd_end, tcb.snd_una), 0))


@leaf
def _may_send(tcp: Tcp, tcb: Tcb, buddy: Buddy, waiting: int) -> bool:
    """Whether an application that tries again would succeed."""
    if waiting >= queue_limit(tcp, tcb):
        return False
    if waiting < stream_size(tcb.send):
        return True
    if tcp.pressed == 0:
        return has_reserve(buddy)
    return send_most(tcp, tcb, buddy, waiting) > waiting
