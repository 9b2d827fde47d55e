"""TIME_WAIT (RFC 9293 3.6.1): both directions are over, and the four-tuple is kept from being used again too soon.

What is left of a connection is one cache line, a Waiting; its Tcb is free at once, or CLOSED while the application has
not closed the socket, as with Linux. All stay for the same time, so the records form a ring, the oldest first; one
that goes early (a new connection takes its place, or a FIN comes again and the time begins anew) leaves a gap. When
there are too many, the oldest goes; Linux's tcp_max_tw_buckets lets the newest go.

In the index of connections a Waiting has the number tcp.limit plus its place.
"""

from __future__ import annotations

from pronghorn.compiled import copy, fill, hot, leaf, sequence
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_remove
from pronghorn.state.endpoints import ANY_NUMBER, count
from pronghorn.state.mib import TIME_WAIT_KILLED, TIME_WAIT_OVERFLOW, TIME_WAIT_RECYCLED, TIME_WAITED
from pronghorn.state.worker import NEVER, Worker
from pronghorn.tcp.life import finish_tcb
from pronghorn.tcp.lookup import tuple_hash
from pronghorn.tcp.owner import keep_owner, leave_owner
from pronghorn.tcp.tcb import (
    MILLISECOND,
    NO_TCB,
    TIME_WAIT,
    TIMESTAMPS,
    Identity,
    Tcb,
    Tcp,
    Waiting,
    moment,
    scratch_of,
)
from pronghorn.tcp.window import offered

SECOND = 1000
"""Milliseconds."""


@leaf
def waiting_at(tcp: Tcp, number: int) -> Waiting:
    """The record of a number of the index that is tcp.limit or more."""
    return tcp.waitings[number - tcp.limit]


@leaf
def _hash(worker: Worker, waiting: Waiting) -> int:
    return tuple_hash(
        waiting.remote_hi, waiting.remote_lo, waiting.local_hi, waiting.local_lo,
        waiting.remote_port, waiting.local_port, worker.secret,
    )  # fmt: skip


@leaf
def _is_gap(waiting: Waiting) -> bool:
    return waiting.remote_port == 0 and waiting.local_port == 0


@leaf
def _length(tcp: Tcp) -> int:
    """Places of the ring between the oldest and the next, gaps included."""
    return tcp.waiting_head - tcp.waiting_tail & 0xFFFF_FFFF


@hot
def time_wait(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The connection is over, but for the wait."""
    count(worker, TIME_WAITED, 1)
    place = _take_place(worker, tcp)
    if place < 0:
        finish_tcb(worker, tcp, tcb, 0)
        return
    waiting = tcp.waitings[place]
    waiting.remote_hi, waiting.remote_lo, waiting.remote_port = tcb.remote_hi, tcb.remote_lo, tcb.remote_port
    waiting.local_hi, waiting.local_lo, waiting.local_port = tcb.local_hi, tcb.local_lo, tcb.local_port
    waiting.snd_nxt, waiting.rcv_nxt = tcb.snd_nxt, tcb.rcv_nxt
    waiting.ts_recent, waiting.ts_offset = tcb.ts_recent, tcb.ts_offset
    waiting.challenged, waiting.agreed, waiting.family = tcb.challenged, tcb.agreed, tcb.family
    waiting.given = 0
    waiting.rcv_scale, waiting.window = tcb.rcv_scale, min(offered(tcb) >> tcb.rcv_scale, 0xFFFF)
    strayed = leave_owner(worker, Identity(tcb.address))
    finish_tcb(worker, tcp, tcb, 0)  # leaves the index to its successor
    _begin(worker, tcp, place)
    keep_owner(worker, Identity(waiting.address), strayed)


@hot
def _take_place(worker: Worker, tcp: Tcp) -> int:
    """The ring's next place, for which the oldest makes room if need be; -1: nobody waits here."""
    if tcp.waiting_limit == 0:
        return -1
    while tcp.waiting_count >= tcp.waiting_limit or _length(tcp) > tcp.waiting_mask:
        count(worker, TIME_WAIT_OVERFLOW, 1)
        waiting_end(worker, tcp, tcp.limit + (tcp.waiting_tail & tcp.waiting_mask))
    return tcp.waiting_head & tcp.waiting_mask


@hot
def _begin(worker: Worker, tcp: Tcp, place: int) -> None:
    """The record at the ring's head is complete: the wait begins."""
    waiting = tcp.waitings[place]
    waiting.until = moment(worker) + tcp.time_wait_ns // MILLISECOND
    if hash_add(HashIndex(tcp.index), _hash(worker, waiting), tcp.limit + place):
        tcp.waiting_head += 1
        tcp.waiting_count += 1
    else:
        waiting.remote_port, waiting.local_port = 0, 0


@hot
def waiting_end(worker: Worker, tcp: Tcp, number: int) -> None:
    """The wait of index number `number` is over."""
    waiting = waiting_at(tcp, number)
    hash_remove(HashIndex(tcp.index), _hash(worker, waiting), number)
    leave_owner(worker, Identity(waiting.address))
    waiting.remote_port, waiting.local_port = 0, 0
    tcp.waiting_count -= 1
    while tcp.waiting_tail != tcp.waiting_head and _is_gap(tcp.waitings[tcp.waiting_tail & tcp.waiting_mask]):
        tcp.waiting_tail += 1


@hot
def waiting_again(worker: Worker, tcp: Tcp, number: int) -> None:
    """The wait begins anew (RFC 9293 3.10.7.4: restart the 2 MSL time-out)."""
    old = waiting_at(tcp, number)
    spare = tcp.waitings[tcp.waiting_mask + 1]  # there is one more record than places
    copy(spare.address, old.address, Waiting.SIZE)
    strayed = leave_owner(worker, Identity(old.address))
    waiting_end(worker, tcp, number)
    place = _take_place(worker, tcp)
    if place >= 0:
        copy(tcp.waitings[place].address, spare.address, Waiting.SIZE)
        _begin(worker, tcp, place)
        keep_owner(worker, Identity(tcp.waitings[place].address), strayed)


@hot
def time_wait_timers(worker: Worker, tcp: Tcp, most: int) -> int:
    """End up to `most` waits whose time is over. Returns how many."""
    now, ended = moment(worker), 0
    while ended < most and tcp.waiting_count != 0:
        place = tcp.waiting_tail & tcp.waiting_mask
        if sequence.after(tcp.waitings[place].until, now):
            break
        waiting_end(worker, tcp, tcp.limit + place)
        count(worker, TIME_WAIT_KILLED, 1)
        ended += 1
    return ended


@hot
def time_wait_next(worker: Worker, tcp: Tcp) -> int:
    """When (ns) the oldest wait is over; NEVER when there is none."""
    if tcp.waiting_count == 0:
        return NEVER
    oldest = tcp.waitings[tcp.waiting_tail & tcp.waiting_mask]
    return worker.now + max(sequence.difference(oldest.until, moment(worker)), 0) * MILLISECOND


@hot
def as_tcb(tcp: Tcp, waiting: Waiting) -> Tcb:
    """The connection as it was, in scratch: to answer a segment with."""
    tcb = scratch_of(tcp)
    fill(tcb.address, 0, Tcb.SIZE)
    tcb.remote_hi, tcb.remote_lo, tcb.remote_port = waiting.remote_hi, waiting.remote_lo, waiting.remote_port
    tcb.local_hi, tcb.local_lo, tcb.local_port = waiting.local_hi, waiting.local_lo, waiting.local_port
    tcb.state, tcb.family, tcb.agreed = TIME_WAIT, waiting.family, waiting.agreed
    tcb.index, tcb.socket, tcb.neighbour = NO_TCB, ANY_NUMBER, NO_TCB
    tcb.snd_una, tcb.snd_nxt, tcb.snd_end = waiting.snd_nxt, waiting.snd_nxt, waiting.snd_nxt
    tcb.rcv_nxt, tcb.rcv_read, tcb.rcv_acked = waiting.rcv_nxt, waiting.rcv_nxt, waiting.rcv_nxt
    tcb.rcv_scale, tcb.receive_limit = waiting.rcv_scale, waiting.window << waiting.rcv_scale
    tcb.rcv_right = sequence.add(waiting.rcv_nxt, tcb.receive_limit)
    tcb.ts_recent, tcb.ts_offset, tcb.challenged = waiting.ts_recent, waiting.ts_offset, waiting.challenged
    return tcb


@hot
def reuse(worker: Worker, tcp: Tcp, number: int) -> bool:
    """Whether an active open may take over the four-tuple (Linux's tcp_tw_reuse): timestamps tell the two apart after a
    second."""
    waiting = waiting_at(tcp, number)
    if tcp.time_wait_reuse == 0 or waiting.agreed & TIMESTAMPS == 0:
        return False
    begun = waiting.until - tcp.time_wait_ns // MILLISECOND
    if sequence.difference(moment(worker), begun & 0xFFFF_FFFF) < SECOND:
        return False
    count(worker, TIME_WAIT_RECYCLED, 1)
    return True
