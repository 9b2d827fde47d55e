"""What must hold after every step of a fuzzed conversation, whatever the peer, the wire and the applications did.

`check` looks at every connection by itself: positions in order, the scoreboard's sums, memory for what is kept, a timer
for whatever waits for one. `check_lists` counts: records, lists, timers and memory, each octet of it somebody's. The
faults' numbers are the lines in FAULTS.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.memory.buddy import Buddy, buddy_address
from pronghorn.memory.hashtable import HashIndex
from pronghorn.memory.ranges import Range
from pronghorn.memory.stream import stream_size
from pronghorn.memory.wheel import Wheel
from pronghorn.state.endpoints import endpoints_of
from pronghorn.state.worker import VERDICTS, Worker
from pronghorn.tcp.life import is_half_open
from pronghorn.tcp.output import limit_of
from pronghorn.tcp.receive import GAPS
from pronghorn.tcp.segments import LOST, RESENT, SACKED, Flight, end_of, flight_of, record
from pronghorn.tcp.tcb import (
    ACK_LATER,
    CLOSED,
    FIN_QUEUED,
    FIN_RECEIVED,
    FREE,
    LISTEN,
    NO_TCB,
    PENDING,
    SACK,
    SYN_RECEIVED,
    SYN_SENT,
    Tcb,
    Tcp,
    in_flight,
    tcp_of,
)
from tests.fuzz.talk_state import FREE as NO_USER
from tests.fuzz.talk_state import USERS, Talk, fail, worker_of

MASK = 0xFFFF_FFFF
FAULTS = {
    1: "a state that is none",
    2: "snd_nxt is before snd_una, or after what there is to send",
    3: "in_flight is negative",
    4: "the records do not lie side by side from snd_una to snd_nxt",
    5: "a record is empty, or in two states",
    6: "lost, resent or sacked is not what the records say",
    7: "the send ring is too small for what waits",
    8: "rcv_read, rcv_nxt and rcv_right are out of order",
    9: "the receive ring is too small for what is kept",
    10: "the ranges beyond a gap are out of order, outside the window or too many",
    11: "the congestion window, ssthresh or the segment size is absurd",
    12: "octets are in flight and no timer runs",
    13: "octets wait to be sent, and nothing will send them",
    14: "an acknowledgement is owed and no timer runs",
    15: "a deadline is set, and the wheel does not know",
    16: "a connection that is over holds memory or a timer",
    17: "octets are in flight, and nothing is known of them",
    20: "records in use are not counted right",
    21: "the pending list is wrong",
    22: "the list of TIME_WAIT is wrong",
    23: "the free list is wrong",
    24: "the wheel counts other timers",
    25: "buffer memory is not accounted for",
    26: "the index counts other connections",
    27: "a listener counts other connections",
    28: "sockets are not accounted for",
    29: "packets are not accounted for",
    101: "what was read is not what was written",
    102: "a stream ended early",
    103: "a call did what it may not",
}


@hot
def check(talk: Talk, side: int) -> None:
    """Every connection of that side."""
    worker = worker_of(talk, side)
    tcp = tcp_of(worker)
    for number in range(tcp.fresh):
        tcb = tcp.tcbs[number]
        if tcb.state != FREE and tcb.state != LISTEN:
            talk.states |= 1 << tcb.state
            fault = _check_tcb(worker, tcp, tcb)
            if fault != 0:
                fail(talk, fault, side, number)


@hot
def _check_tcb(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    state = tcb.state
    if state < 1 or state > 11:
        return 1
    if state == CLOSED:
        if tcb.send.block | tcb.segments.block | tcb.beyond.block | tcb.timer.previous != 0:
            return 16
        return _check_received(worker, tcb)
    fault = _check_sent(worker, tcp, tcb)
    if fault == 0:
        fault = _check_received(worker, tcb)
    if fault == 0:
        fault = _check_beyond(worker, tcb)
    return fault if fault != 0 else _check_timers(worker, tcp, tcb)


@leaf
def _check_sent(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    flight = tcb.snd_nxt - tcb.snd_una & MASK
    opening = tcb.state == SYN_SENT or tcb.state == SYN_RECEIVED
    if sequence.before(tcb.snd_nxt, tcb.snd_una) or sequence.after(tcb.snd_nxt, limit_of(tcb)):
        return 2
    if in_flight(tcb) < 0:
        return 3
    if flight != 0 and tcb.segments.block == 0:
        return 17
    fault = _check_records(tcb, flight_of(worker, tcb))
    if fault != 0:
        return fault
    waiting = 0 if opening else sequence.difference(tcb.snd_end, tcb.snd_una)
    if waiting > stream_size(tcb.send):
        return 7
    if not opening and (tcb.cwnd < 1 or tcb.cwnd >= 1 << 31 or tcb.ssthresh < 1 or tcb.mss < 52):
        return 11
    return 0


@leaf
def _check_records(tcb: Tcb, flight: Flight) -> int:
    position, lost, resent, sacked = tcb.snd_una, 0, 0, 0
    if flight.address != 0:
        for number in range(flight.count):
            segment = record(flight, number)
            if segment.start != position:
                return 4
            state = segment.flags & (SACKED | LOST | RESENT)
            if segment.octets == 0 or state & (state - 1) != 0:
                return 5
            position = end_of(segment)
            lost += segment.octets if state == LOST else 0
            resent += segment.octets if state == RESENT else 0
            sacked += segment.octets if state == SACKED else 0
    if position != tcb.snd_nxt:
        return 4
    if tcb.lost != lost or tcb.resent != resent:
        return 6
    return 6 if tcb.agreed & SACK != 0 and tcb.sacked != sacked else 0


@leaf
def _check_received(worker: Worker, tcb: Tcb) -> int:
    fin = 1 if tcb.flags & FIN_RECEIVED != 0 else 0
    unread = sequence.difference(tcb.rcv_nxt, tcb.rcv_read) - fin
    if unread < 0:
        return 8
    if tcb.state != CLOSED and sequence.difference(tcb.rcv_right, tcb.rcv_nxt) < -1:
        return 8
    return 9 if unread > stream_size(tcb.receive) else 0


@leaf
def _check_beyond(worker: Worker, tcb: Tcb) -> int:
    ranges = tcb.beyond
    if (ranges.count == 0) != (ranges.block == 0) or ranges.count > GAPS:
        return 10
    position = tcb.rcv_nxt
    for number in range(ranges.count):
        entry = Range(buddy_address(Buddy(endpoints_of(worker).buddy), ranges.block) + number * Range.SIZE)
        if not sequence.after(entry.left, position) or not sequence.after(entry.right, entry.left):
            return 10
        position = entry.right
    if ranges.count != 0:
        if sequence.after(position, tcb.rcv_right):
            return 10
        if (position - tcb.rcv_read & MASK) > stream_size(tcb.receive):
            return 9
    return 0


@leaf
def _check_timers(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    if tcb.flags & PENDING != 0:
        return 0
    waits = tcb.timer.previous != 0
    if tcb.snd_nxt != tcb.snd_una and tcb.retransmit_at == 0:
        return 12
    if tcb.snd_nxt != limit_of(tcb) and tcb.snd_nxt == tcb.snd_una:
        small = tcb.flags & FIN_QUEUED == 0 and (limit_of(tcb) - tcb.snd_nxt & MASK) < tcb.mss  # corked
        if tcb.retransmit_at == 0 and not small and (tcb.pacing_rate == 0 or not waits):
            return 13
    if tcb.flags & ACK_LATER != 0 and tcb.ack_at == 0:
        return 14
    if tcb.retransmit_at | tcb.ack_at | tcb.alarm_at != 0 and not waits:
        return 15
    return 0


# --- counting -----------------------------------------------------------------------------------------------------


@hot
def check_lists(talk: Talk, side: int) -> None:
    """Everything is counted, and everything that is taken is somebody's."""
    worker = worker_of(talk, side)
    tcp, endpoints = tcp_of(worker), endpoints_of(worker)
    used, pending_free, timers, octets, indexed, waiting, pending = 0, 0, 0, 0, 0, 0, 0
    for number in range(tcp.fresh):
        tcb = tcp.tcbs[number]
        pending += 1 if tcb.flags & PENDING != 0 else 0
        if tcb.state == FREE:
            pending_free += 1 if tcb.flags & PENDING != 0 else 0
            continue
        used += 1
        timers += 1 if tcb.timer.previous != 0 else 0
        octets += stream_size(tcb.send) + stream_size(tcb.receive)
        octets += 1 << tcb.segments.order if tcb.segments.block != 0 else 0
        octets += 1 << tcb.beyond.order if tcb.beyond.block != 0 else 0
        indexed += 1 if tcb.state != CLOSED else 0
    if tcp.count != used + pending_free:
        fail(talk, 20, side, tcp.count)
    if tcp.pending_count != pending or _length(tcp, 0) != pending:
        fail(talk, 21, side, tcp.pending_count)
    for place in range(tcp.waiting_mask + 1):
        waiting += 1 if tcp.waitings[place].local_port != 0 else 0
    if tcp.waiting_count != waiting:
        fail(talk, 22, side, tcp.waiting_count)
    if _length(tcp, 2) != tcp.fresh - tcp.count:
        fail(talk, 23, side, tcp.count)
    if Wheel(tcp.wheel).count != timers:
        fail(talk, 24, side, timers)
    if Buddy(endpoints.buddy).used != octets:
        fail(talk, 25, side, octets)
    if HashIndex(tcp.index).count != indexed + waiting:
        fail(talk, 26, side, indexed)
    _check_listeners(talk, side, tcp)
    sockets = 0
    for place in range(USERS):
        sockets += 1 if talk.users[side * USERS + place].kind != NO_USER else 0
    if endpoints.socket_count != sockets:
        fail(talk, 28, side, sockets)
    if missing(worker) != 0:
        fail(talk, 29, side, 0)


@hot
def _length(tcp: Tcp, which: int) -> int:
    """Of the pending list (0), of the free list (2); -1: it does not end."""
    number, length = tcp.free, 0
    if which == 0:
        number = tcp.pending_first if tcp.pending_count != 0 else NO_TCB
    while number != NO_TCB:
        length += 1
        if length > tcp.fresh:
            return -1
        tcb = tcp.tcbs[number]
        number = tcb.next
    return length


@hot
def _check_listeners(talk: Talk, side: int, tcp: Tcp) -> None:
    """Half-open connections and accept queues."""
    for number in range(min(tcp.listener_limit, 64)):
        listener = tcp.listeners[number]
        half_open, fast = 0, 0
        for place in range(tcp.fresh):
            tcb = tcp.tcbs[place]
            if is_half_open(tcb) and tcb.accept_next == number:
                half_open += 1
            if tcb.state == SYN_RECEIVED and tcb.rare != 0 and tcp.rares[tcb.rare].listener == number + 1:
                fast += 1
        half_open += fast
        if listener.port == 0:
            if half_open != 0:
                fail(talk, 27, side, number)
            continue
        length, place = 0, listener.first
        while place != NO_TCB and length <= tcp.fresh:
            length += 1
            place = tcp.tcbs[place].accept_next
        if listener.half_open != half_open or listener.waiting != length or listener.fast_opens != fast:
            fail(talk, 27, side, number)


@hot
def missing(worker: Worker) -> int:
    """Packets that came and did not end anywhere."""
    ended = worker.held + worker.dispatched
    for index in range(worker.port_count):
        ended += worker.queues[index].waiting
    for verdict in range(VERDICTS):
        ended += worker.verdicts[verdict]
    return worker.received + worker.originated - ended
