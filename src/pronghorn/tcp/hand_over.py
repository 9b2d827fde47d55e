"""A connection moves to another engine that has the same address: all that one knows of it, as octets for the other.

    octets = tcp_give_octets(worker, number)             # room that it takes
    tcp_give(worker, number, target, room)               # here it is over, but for a TIME-WAIT
    tcp_take(worker, source, octets)                     # there it goes on

A Parcel is followed by what waits to be sent or acknowledged, what waits to be read, and the ranges that came out of
order with their octets. What is in flight counts as sent just now: it is sent again when nobody acknowledges it. The
windows, round trips and congestion control go on as they were; a recovery under way begins anew if it has to.

Who gives keeps the four-tuple in TIME-WAIT (RFC 9293 3.6.1): a segment that still comes there is kept to be handed on
(strays.py). Without room it is answered by an old acknowledgement and not by a reset, so that the peer sends it again,
to the new owner by then.

Both processes are one program's and trust each other as a parent and a child do; lengths are checked all the same.

Left out: connections whose handshake is not over (-EAGAIN); a binding beside the connection stays behind.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import Array, View, array_at, copy, field, fill, hot, leaf, sequence, u32, u64
from pronghorn.memory.buddy import Buddy, buddy_address
from pronghorn.memory.ranges import Range, Ranges, ranges_add, ranges_end, ranges_free
from pronghorn.memory.stream import Stream, stream_free, stream_get, stream_put, stream_reserve, stream_size
from pronghorn.memory.wheel import Timer
from pronghorn.state.endpoints import (
    ANY_NUMBER,
    EAGAIN,
    EINVAL,
    ENDED,
    ENOMEM,
    FAILED,
    HUNG_UP,
    KEEP_ALIVE,
    READABLE,
    STREAM,
    TOLD,
    WRITABLE,
    Address,
    endpoints_of,
    socket_event,
    socket_open,
    socket_release,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.bind import unbind
from pronghorn.tcp.calls import write_local, write_remote
from pronghorn.tcp.life import orphan, set_state, tcb_free, tcb_new
from pronghorn.tcp.lookup import enter, find_twin
from pronghorn.tcp.output import limit_of
from pronghorn.tcp.owner import enter_bound
from pronghorn.tcp.pending import look_at
from pronghorn.tcp.rare import rare_take
from pronghorn.tcp.records import Rare
from pronghorn.tcp.recovery import segment_sent
from pronghorn.tcp.retransmit_timer import set_rto
from pronghorn.tcp.sample import HANDSHAKE_LOST, UNDO_ARMED, UNDO_SENT, WINDOW_LIMITED
from pronghorn.tcp.segments import EVER, flight_of, record
from pronghorn.tcp.tcb import (
    CLOSED,
    FIN_RECEIVED,
    MILLISECOND,
    NEVER,
    NO_TCB,
    OPEN,
    PENDING,
    READ_CLOSED,
    SYN_RECEIVED,
    SYN_SENT,
    Tcb,
    Tcp,
    Tuning,
    tcp_of,
)
from pronghorn.tcp.time_wait import time_wait, waiting_end
from pronghorn.tcp.timers import start_keep_alive
from pronghorn.tcp.transfer import readable, record_of
from pronghorn.tcp.tuning import tuning_own

ENOTCONN, EPROTO, EEXIST = errno.ENOTCONN, errno.EPROTO, errno.EEXIST
MASK = 0xFFFF_FFFF
MAGIC = 0x314C4352_41504E52  # "RNPARCL1" as octets
LARGEST_RECORD = 65_535
LONGEST = 1 << 24
"""Octets of a queue that a Parcel may carry; a ring holds half of that."""


class Parcel(View, align=64):
    """A connection on its way."""

    magic: u64
    octets: u32  # of all: this, and what follows
    send: u32  # octets from snd_una on
    receive: u32  # octets from rcv_read on, gaps included
    ranges: u32  # that came out of order
    now: u64  # ns: the giver's clock
    own: Address
    far: Address
    family: u32  # of the socket
    options: u32  # of the socket
    flags: u32  # of the socket
    error: u32  # pending errno
    tuned: u32  # 1: `tuning` counts
    rared: u32  # 1: `rare` counts
    tcb: Tcb = field(align=64)
    tuning: Tuning
    rare: Rare


@leaf
def _to_send(tcb: Tcb) -> int:
    """Octets that were written and not acknowledged."""
    return max(sequence.difference(tcb.snd_end, tcb.snd_una), 0)


@hot
def _to_read(worker: Worker, tcb: Tcb) -> int:
    """Octets from rcv_read on that the ring holds, those beyond gaps included."""
    octets = readable(tcb)
    if tcb.beyond.count != 0:
        end = ranges_end(Buddy(endpoints_of(worker).buddy), tcb.beyond, tcb.rcv_nxt)
        octets = sequence.difference(end, tcb.rcv_read)
    return min(max(octets, 0), stream_size(tcb.receive))


@hot
def tcp_give_octets(worker: Worker, number: int) -> int:
    """Octets of the connection's Parcel, or -ENOTCONN, -EAGAIN: its handshake is not over."""
    tcb = record_of(worker, number)
    if tcb.address == 0:
        return -ENOTCONN
    if tcb.state == SYN_SENT or tcb.state == SYN_RECEIVED:
        return -EAGAIN
    return Parcel.SIZE + _to_send(tcb) + _to_read(worker, tcb) + tcb.beyond.count * Range.SIZE


@hot
def tcp_give(worker: Worker, number: int, target: int, room: int) -> int:
    """Write the connection to `target`, which has room for so many octets, and let go of it: how many were written.

    The socket is closed and nothing is said to the peer. On an error nothing has changed.
    """
    octets = tcp_give_octets(worker, number)
    if octets < 0:
        return octets
    if octets > room:
        return -EINVAL
    endpoints, tcp, tcb = endpoints_of(worker), tcp_of(worker), record_of(worker, number)
    socket, parcel, buddy = endpoints.sockets[number], Parcel(target), Buddy(endpoints.buddy)
    fill(target, 0, Parcel.SIZE)
    parcel.magic, parcel.octets, parcel.now = MAGIC, octets, worker.now
    parcel.send, parcel.receive, parcel.ranges = _to_send(tcb), _to_read(worker, tcb), tcb.beyond.count
    parcel.family, parcel.options, parcel.flags, parcel.error = (
        socket.family,
        socket.options,
        socket.flags,
        socket.error,
    )
    write_local(tcb, parcel.own)
    write_remote(tcb, parcel.far)
    copy(parcel.tcb.address, tcb.address, Tcb.SIZE)
    parcel.tuned, parcel.rared = 1 if tcb.tuning != 0 else 0, 1 if tcb.rare != 0 else 0
    copy(parcel.tuning.address, tcp.tunings[tcb.tuning].address, Tuning.SIZE)
    copy(parcel.rare.address, tcp.rares[tcb.rare].address, Rare.SIZE)
    at = target + Parcel.SIZE
    stream_get(buddy, tcb.send, tcb.snd_una, at, parcel.send)
    at += parcel.send
    stream_get(buddy, tcb.receive, tcb.rcv_read, at, parcel.receive)
    at += parcel.receive
    if parcel.ranges != 0:
        copy(at, buddy_address(buddy, tcb.beyond.block), parcel.ranges * Range.SIZE)
    _let_go(worker, tcp, tcb, number)
    return octets


@hot
def _let_go(worker: Worker, tcp: Tcp, tcb: Tcb, number: int) -> None:
    """The socket is no more, the connection waits in TIME-WAIT."""
    if endpoints_of(worker).sockets[number].bound != 0:
        unbind(worker, number)
    orphan(endpoints_of(worker), tcb)
    if tcb.state == CLOSED:
        tcb_free(worker, tcp, tcb)
        return
    place = tcp.waiting_head
    time_wait(worker, tcp, tcb)
    if tcp.waiting_head != place:
        tcp.waitings[place & tcp.waiting_mask].given = 1


# --- the other side -----------------------------------------------------------------------------------------------


@leaf
def _is_sound(parcel: Parcel, octets: int) -> bool:
    """Whether the lengths agree, and what they count belongs to a connection."""
    if octets < Parcel.SIZE or parcel.magic != MAGIC or parcel.octets > octets:
        return False
    if parcel.send > LONGEST or parcel.receive > LONGEST or parcel.ranges > 1024:
        return False
    tcb = parcel.tcb
    if parcel.send != _to_send(tcb) or tcb.mss == 0 or tcb.state == SYN_SENT or tcb.state == SYN_RECEIVED:
        return False
    if limit_of(tcb) - tcb.snd_una & MASK < tcb.snd_nxt - tcb.snd_una & MASK:
        return False
    return Parcel.SIZE + parcel.send + parcel.receive + parcel.ranges * Range.SIZE == parcel.octets


@hot
def tcp_take(worker: Worker, source: int, octets: int) -> int:
    """Go on with the connection of the Parcel at `source`: its socket's number.

    -EPROTO: it is no Parcel; -EEXIST: the four-tuple is in use here; -ENOMEM.
    """
    endpoints, tcp, parcel = endpoints_of(worker), tcp_of(worker), Parcel(source)
    if not _is_sound(parcel, octets):
        return -EPROTO
    twin = find_twin(worker, tcp, parcel.tcb)
    if twin >= tcp.limit:
        waiting_end(worker, tcp, twin)
    elif twin >= 0 and parcel.tcb.state != CLOSED:
        return -EEXIST
    number = socket_open(endpoints, STREAM, parcel.family)
    if number < 0:
        return number
    tcb = tcb_new(tcp)
    if tcb.address == 0:
        socket_release(endpoints, number)
        return -ENOMEM
    _fill(worker, tcb, parcel)
    if not _unpack(worker, tcp, tcb, parcel) or not _begin(worker, tcp, tcb):
        tcb_free(worker, tcp, tcb)
        socket_release(endpoints, number)
        return -ENOMEM
    socket = endpoints.sockets[number]
    socket.record, tcb.socket = tcb.index, number
    socket.options, socket.flags, socket.error = parcel.options, TOLD, parcel.error
    if parcel.tuned != 0:
        _tune(worker, number, parcel.tuning)
    _tell(worker, tcp, tcb, number)
    return number


@hot
def _fill(worker: Worker, tcb: Tcb, parcel: Parcel) -> None:
    """The record, but for what belongs to its new engine. CLOSED until it is entered there."""
    index = tcb.index
    copy(tcb.address, parcel.tcb.address, Tcb.SIZE)
    tcb.index, tcb.socket, tcb.state = index, ANY_NUMBER, CLOSED
    tcb.neighbour, tcb.generation, tcb.next, tcb.accept_next = NO_TCB, 0, NO_TCB, NO_TCB
    tcb.rare, tcb.tuning = 0, 0
    tcb.flags &= ~PENDING
    fill(tcb.send.address, 0, Stream.SIZE)
    fill(tcb.receive.address, 0, Stream.SIZE)
    fill(tcb.beyond.address, 0, Ranges.SIZE)
    fill(tcb.timer.address, 0, Timer.SIZE)
    tcb.segments.block, tcb.segments.order = 0, 0
    tcb.segments.flight_max, tcb.segments.flight_end = 0, tcb.snd_una
    tcb.sacked, tcb.lost, tcb.resent, tcb.duplicates = 0, 0, 0, 0
    tcb.recovery, tcb.recovery_point = OPEN, tcb.snd_una
    tcb.marks &= ~(UNDO_ARMED | UNDO_SENT | HANDSHAKE_LOST | WINDOW_LIMITED)
    tcb.retransmit_at, tcb.ack_at, tcb.alarm_at, tcb.paced_at = NEVER, NEVER, NEVER, NEVER
    ahead = (parcel.now - worker.now) // MILLISECOND
    tcb.ts_offset = tcb.ts_offset + ahead & MASK  # our timestamps go on, whatever this clock shows
    tcb.heard = tcb.heard - ahead & MASK


@hot
def _unpack(worker: Worker, tcp: Tcp, tcb: Tcb, parcel: Parcel) -> bool:
    """The queues. False: there is no memory."""
    buddy = Buddy(endpoints_of(worker).buddy)
    at = parcel.address + Parcel.SIZE
    if parcel.send != 0 and not stream_reserve(buddy, tcb.send, tcb.snd_una, 0, parcel.send):
        return False
    stream_put(buddy, tcb.send, tcb.snd_una, at, parcel.send)
    at += parcel.send
    if parcel.receive != 0 and not stream_reserve(buddy, tcb.receive, tcb.rcv_read, 0, parcel.receive):
        stream_free(buddy, tcb.send)
        return False
    stream_put(buddy, tcb.receive, tcb.rcv_read, at, parcel.receive)
    at += parcel.receive
    ranges: Array[Range] = array_at(Range, at)
    for place in range(parcel.ranges):
        if ranges_add(buddy, tcb.beyond, ranges[place].left, ranges[place].right, 1024) == 0:
            ranges_free(buddy, tcb.beyond)
            stream_free(buddy, tcb.send)
            return False
    if parcel.rared != 0:
        rare = rare_take(tcp, tcb)
        if rare.address != 0:
            copy(rare.address, parcel.rare.address, Rare.SIZE)
            rare.next, rare.listener, rare.probe_octets = 0, 0, 0
    tcb.state = parcel.tcb.state
    return True


@hot
def _begin(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Into the index, and what is in flight onto the scoreboard. False: no memory; then it is CLOSED."""
    state = tcb.state
    if state == CLOSED:
        return True
    tcb.state = CLOSED
    if not enter(worker, tcp, tcb):
        return False
    set_state(worker, tcb, state)
    enter_bound(worker, tcb)
    flying, largest = tcb.snd_nxt - tcb.snd_una & MASK, max(LARGEST_RECORD - LARGEST_RECORD % tcb.mss, 1)
    tcb.snd_nxt = tcb.snd_una
    while flying > 0:
        octets = min(flying, largest)
        if not segment_sent(worker, tcp, tcb, octets):
            return False  # tcb_free leaves the index
        flight = flight_of(worker, tcb)
        record(flight, flight.count - 1).flags |= EVER  # when it was sent, nobody knows here: no round trip
        flying -= octets
    if tcb.snd_nxt != tcb.snd_una:
        set_rto(worker, tcp, tcb)
    look_at(tcp, tcb)
    return True


@hot
def _tune(worker: Worker, number: int, tuning: Tuning) -> None:
    """The socket's options that few change; without room for them the defaults hold."""
    own = tuning_own(worker, number)
    if own.address != 0:
        users, following = own.users, own.next
        copy(own.address, tuning.address, Tuning.SIZE)
        own.users, own.next = users, following


@hot
def _tell(worker: Worker, tcp: Tcp, tcb: Tcb, number: int) -> None:
    """What the socket is ready for, as after an accept, and the timers that its options ask for."""
    endpoints = endpoints_of(worker)
    events = WRITABLE
    if readable(tcb) > 0 or tcb.flags & (FIN_RECEIVED | READ_CLOSED) != 0:
        events |= READABLE
    if tcb.flags & (FIN_RECEIVED | READ_CLOSED) != 0:
        events |= ENDED
    if tcb.state == CLOSED:
        events |= READABLE | ENDED | HUNG_UP
    if endpoints.sockets[number].error != 0:
        events |= FAILED
    socket_event(endpoints, number, events)
    if tcb.state != CLOSED and endpoints.sockets[number].options & KEEP_ALIVE != 0:
        start_keep_alive(worker, tcp, tcb)
