"""Data from the peer into the receive ring (RFC 9293 3.10.7.4, seventh and eighth), and when it is acknowledged.

Octets beyond a gap go to their place in the ring at once; `beyond` says which they are. So nothing is copied twice, and
what a peer can make us keep is bounded by the window in octets and by GAPS in number.

Acknowledgements (RFC 5681 4.2, RFC 1122 4.2.3.2, as Linux times them): at once for what is out of order, for what fills
a gap and for the first segments of a connection (quick acks); otherwise every second full segment, or after ATO. One
that is due at once leaves when the next turn begins, so that a burst gets one, save out of order, where each segment
gets its own: a peer without SACK counts them.
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.ranges import ranges_add, ranges_advance, ranges_end, ranges_free
from pronghorn.memory.stream import stream_put, stream_size
from pronghorn.state.endpoints import ANY_NUMBER, ENDED, READABLE, count, endpoints_of, socket_event
from pronghorn.state.mib import (
    ABORT_ON_DATA,
    DELAYED_ACK_LOST,
    DSACK_OLD_SENT,
    OFO_DROP,
    OFO_MERGE,
    OFO_QUEUE,
    ZERO_WINDOW_DROP,
)
from pronghorn.state.verdicts import (
    DELIVERED,
    TCP_NO_MEMORY,
    TCP_NOT_READ,
    TCP_OLD,
    TCP_OUT_OF_WINDOW,
    TCP_TOO_MANY_GAPS,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.deadlines import arm
from pronghorn.tcp.emit import emit_duplicate_ack, emit_segment
from pronghorn.tcp.life import finish_tcb
from pronghorn.tcp.pending import look_at
from pronghorn.tcp.pressure import receive_room
from pronghorn.tcp.tcb import (
    ACK_LATER,
    ACK_NOW,
    FIN_BEYOND,
    FIN_WAIT_1,
    FIN_WAIT_2,
    MILLISECOND,
    PING_PONG,
    Tcb,
    Tcp,
)
from pronghorn.tcp.train import train_ahead, train_input
from pronghorn.tcp.urgent import hidden_octets
from pronghorn.tcp.window import could_offer, offered, unread, worth_telling
from pronghorn.wire.tcp import RST

GAPS = 1024
"""Ranges out of order that a connection may hold."""

ATO = 40 * MILLISECOND
"""How long an acknowledgement may wait for data to ride on: Linux's TCP_ATO_MIN."""

MASK = 0xFFFF_FFFF


@hot
def data_input(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, address: int, octets: int) -> int:
    """`octets` of payload at `address`, the first of which is `seq`. Returns the verdict."""
    first, old = seq, sequence.difference(tcb.rcv_nxt, seq)
    if old > 0:
        if old >= octets:
            return _duplicate(worker, tcp, tcb, seq, octets)
        seq, address, octets = tcb.rcv_nxt, address + old, octets - old
    room = sequence.difference(tcb.rcv_right, seq)
    if room <= 0:
        count(worker, ZERO_WINDOW_DROP, 1)
        ack_now(tcp, tcb)
        return TCP_OUT_OF_WINDOW
    octets = min(octets, room)
    if tcb.socket == ANY_NUMBER and (tcb.state == FIN_WAIT_1 or tcb.state == FIN_WAIT_2):
        count(worker, ABORT_ON_DATA, 1)
        emit_segment(worker, tcp, tcb, tcb.snd_una, 0, RST)
        finish_tcb(worker, tcp, tcb, 0)
        return TCP_NOT_READ
    if tcb.flags & FIN_BEYOND != 0:
        octets = min(octets, sequence.difference(_end_of_beyond(worker, tcb), seq) - 1)
        if octets <= 0:
            return TCP_OLD  # behind the peer's FIN
    ahead = train_ahead(worker, tcp, tcb, seq, address, octets) if seq == tcb.rcv_nxt else 0
    octets = _reserve(worker, tcp, tcb, seq, octets)
    if octets == 0:
        ack_now(tcp, tcb)
        return TCP_NO_MEMORY
    buddy = Buddy(endpoints_of(worker).buddy)
    if seq != tcb.rcv_nxt:
        return _beyond(worker, tcp, tcb, seq, address, octets)
    stream_put(buddy, tcb.receive, seq, address, octets)
    advance(worker, tcp, tcb, train_input(worker, tcb, ahead, seq, octets) if ahead != 0 else octets)
    if octets > tcb.rcv_mss:
        tcb.rcv_mss = min(octets, tcb.mss)
    if tcb.socket != ANY_NUMBER and is_worth_reading(worker, tcp, tcb):
        socket_event(endpoints_of(worker), tcb.socket, READABLE)
    if first != seq:  # RFC 2883 4.2: a part of it had arrived before
        emit_duplicate_ack(worker, tcp, tcb, first, seq)
    return DELIVERED


@leaf
def is_worth_reading(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Whether what waits is as much as SO_RCVLOWAT asks for, or all that will come before something is read."""
    if tcb.tuning | tcb.rare == 0:
        return unread(tcb) > 0
    hidden = hidden_octets(worker, tcp, tcb) if tcb.rare != 0 else 0
    return unread(tcb) >= tcp.tunings[tcb.tuning].receive_low + hidden or could_offer(tcp, tcb) == 0


@leaf
def advance(worker: Worker, tcp: Tcp, tcb: Tcb, octets: int) -> None:
    """The next octets are there; with them perhaps some that were beyond a gap. Schedules the acknowledgement."""
    right = sequence.add(tcb.rcv_nxt, octets)
    tcb.octets_in += octets
    if tcb.beyond.count != 0:
        _fill(worker, tcp, tcb, right)
    else:
        tcb.rcv_nxt = right
        acknowledge_later(worker, tcp, tcb)


@cold
def _fill(worker: Worker, tcp: Tcp, tcb: Tcb, right: int) -> None:
    """A gap was filled, wholly or in part: say so at once (RFC 5681 4.2)."""
    reached = ranges_advance(Buddy(endpoints_of(worker).buddy), tcb.beyond, right)
    if reached != right:
        count(worker, OFO_MERGE, 1)
        tcb.octets_in += reached - right & MASK
    if tcb.flags & FIN_BEYOND != 0 and tcb.beyond.count == 0:
        reached = sequence.add(reached, -1)  # the FIN, which segment_input takes next
        tcb.octets_in -= 1
    tcb.rcv_nxt = reached
    ack_now(tcp, tcb)


@cold
def _duplicate(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, octets: int) -> int:
    """All of it has arrived before: our acknowledgement was lost or late (RFC 2883 4)."""
    count(worker, DELAYED_ACK_LOST, 1)
    if octets > 0:
        count(worker, DSACK_OLD_SENT, 1)
    emit_duplicate_ack(worker, tcp, tcb, seq, sequence.add(seq, octets))
    return TCP_OLD


@cold
def _beyond(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, address: int, octets: int) -> int:
    """Out of order: keep it at its place and report it at once."""
    buddy = Buddy(endpoints_of(worker).buddy)
    right = sequence.add(seq, octets)
    added = ranges_add(buddy, tcb.beyond, seq, right, GAPS)
    if added == 0:
        count(worker, OFO_DROP, 1)
        ack_now(tcp, tcb)
        return TCP_TOO_MANY_GAPS
    if added == 2:
        emit_duplicate_ack(worker, tcp, tcb, seq, right)
        return TCP_OLD
    stream_put(buddy, tcb.receive, seq, address, octets)
    count(worker, OFO_QUEUE, 1)
    tcb.beyond_in += 1
    tcb.quick = max(tcb.quick, 2)  # the gap will be filled soon: answer that at once
    emit_duplicate_ack(worker, tcp, tcb, 0, 0)
    return DELIVERED


@cold
def fin_beyond(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int) -> None:
    """The peer's FIN at `seq`, behind a gap: keep it as if it were an octet, the last one that there will be."""
    if tcb.flags & FIN_BEYOND != 0 or not sequence.before(seq, tcb.rcv_right):
        return
    if sequence.after(_end_of_beyond(worker, tcb), seq) or _reserve(worker, tcp, tcb, seq, 1) == 0:
        return
    if ranges_add(Buddy(endpoints_of(worker).buddy), tcb.beyond, seq, sequence.add(seq, 1), GAPS) != 0:
        tcb.flags |= FIN_BEYOND


@cold
def _end_of_beyond(worker: Worker, tcb: Tcb) -> int:
    """Position after everything that has arrived."""
    return ranges_end(Buddy(endpoints_of(worker).buddy), tcb.beyond, tcb.rcv_nxt)


@leaf
def _reserve(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, octets: int) -> int:
    """Room in the ring for `octets` from `seq` on, what is in it being kept, also beyond gaps: for how many of them."""
    wanted = (seq - tcb.rcv_read & MASK) + octets
    return octets if wanted <= stream_size(tcb.receive) else receive_room(worker, tcp, tcb, seq, octets)


# --- acknowledging ------------------------------------------------------------------------------------------------


@leaf
def ack_now(tcp: Tcp, tcb: Tcb) -> None:
    """Acknowledge when the next turn begins, if no data that the application sends has done so by then."""
    tcb.flags |= ACK_NOW
    look_at(tcp, tcb)


@leaf
def acknowledge_later(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Data came in order: acknowledge it at once or a little later (Linux's __tcp_ack_snd_check)."""
    waiting = tcb.rcv_nxt - tcb.rcv_acked & MASK
    if (tcb.quick > 0 and tcb.flags & PING_PONG == 0) or (
        waiting > tcb.rcv_mss and could_offer(tcp, tcb) + (1 << tcb.rcv_scale) > offered(tcb)  # which was rounded up
    ):
        ack_now(tcp, tcb)
    elif tcb.flags & (ACK_LATER | ACK_NOW) == 0:
        tcb.flags |= ACK_LATER
        tcb.ack_at = worker.now + ATO
        arm(tcp, tcb, tcb.ack_at)


@hot
def window_opened(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The application has read: tell the peer when the window has grown much, or when more than a segment waits to be
    acknowledged (Linux's tcp_cleanup_rbuf)."""
    if tcb.flags & ACK_LATER != 0 and (tcb.rcv_nxt - tcb.rcv_acked & MASK) > tcb.rcv_mss:
        ack_now(tcp, tcb)
        return
    room = could_offer(tcp, tcb)
    before = offered(tcb)
    if room > before and worth_telling(tcb, room) and room >= 2 * before:
        ack_now(tcp, tcb)


@cold
def fin_input(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The peer's FIN is next (RFC 9293 3.10.7.4, eighth): it counts, and the application reads to the end."""
    tcb.rcv_nxt = sequence.add(tcb.rcv_nxt, 1)
    ranges_free(Buddy(endpoints_of(worker).buddy), tcb.beyond)  # what a liar has sent beyond it
    ack_now(tcp, tcb)
    if tcb.socket != ANY_NUMBER:
        socket_event(endpoints_of(worker), tcb.socket, READABLE | ENDED)
