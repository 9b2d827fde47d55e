"""How a connection comes about: RFC 9293 3.10.7.2 (LISTEN), 3.10.7.3 (SYN-SENT), and the step to ESTABLISHED.

A SYN for a listener makes a record in SYN_RECEIVED, as long as the listener's backlog has room; after that it is
answered by a cookie (cookies.py) or dropped. An established connection waits on the listener's queue for `accept`;
when that is full, the last acknowledgement is dropped and the peer tries again, as with Linux.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.state.endpoints import ANY_NUMBER, WRITABLE, count, endpoints_of, socket_event
from pronghorn.state.mib import (
    ATTEMPT_FAILS,
    DEFER_ACCEPT_DROP,
    LISTEN_DROPS,
    LISTEN_OVERFLOWS,
    PASSIVE_OPENS,
    PAWS_ACTIVE,
    REQ_Q_FULL_DO_COOKIES,
)
from pronghorn.state.packet import BROADCAST, MULTICAST, Packet
from pronghorn.state.verdicts import (
    DELIVERED,
    NO_LISTENER,
    TCP_BAD_ACK,
    TCP_NO_BACKLOG,
    TCP_NO_MEMORY,
    TCP_OLD,
    TCP_RESET,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.cookies import accept_cookie, answer_with_cookie
from pronghorn.tcp.emit import timestamp_now
from pronghorn.tcp.fast_connect import fast_open_answered, is_deferred, resend_refused
from pronghorn.tcp.fast_open import may_open_fast, open_fast
from pronghorn.tcp.identity import identify
from pronghorn.tcp.life import (
    accept_push,
    drop_half_open,
    fast_open_over,
    finish_tcb,
    listener_less,
    set_state,
    tcb_free,
    tcb_new,
)
from pronghorn.tcp.lookup import enter, find_listener
from pronghorn.tcp.options import agree, halve_mss, our_scale
from pronghorn.tcp.output import emit_syn, output
from pronghorn.tcp.owner import enter_strayed
from pronghorn.tcp.receive import ack_now, data_input
from pronghorn.tcp.recovery import acknowledge, recovery_established, recovery_open, segment_sent
from pronghorn.tcp.secrets import initial_sequence, timestamp_offset
from pronghorn.tcp.tcb import (
    ECN,
    ESTABLISHED,
    FAST_OPEN,
    FIN_QUEUED,
    FIN_WAIT_1,
    PASSIVE,
    SYN_RECEIVED,
    SYN_SENT,
    Listener,
    Tcb,
    Tcp,
    moment,
    scratch_of,
    stamp,
)
from pronghorn.tcp.tuning import tuning_take
from pronghorn.wire.tcp import ACK, CWR, ECE, FIN, HAS_TIMESTAMPS, RST, SYN, TCP, header_octets

ECONNREFUSED = errno.ECONNREFUSED
OLDEST_SYN = 600_000
"""ms: longer than all retransmissions of a SYN take."""
QUICK_ACKS = 16
"""Segments at the beginning that are acknowledged at once: Linux's TCP_MAX_QUICKACKS."""


@hot
def listen_input(worker: Worker, tcp: Tcp, packet: Packet, hash: int) -> int:
    """A segment of no connection. NO_LISTENER, which its sender is told by a reset, when nobody wants it."""
    segment = TCP(packet.transport)
    flags = segment.flags
    scratch = scratch_of(tcp)
    identify(worker, scratch, packet)
    found = find_listener(tcp, packet.family, scratch.local_hi, scratch.local_lo, scratch.local_port, hash >> 8)
    if found < 0:
        return NO_LISTENER
    listener = tcp.listeners[found]
    only = tcp.tunings[listener.tuning].wishes.interface
    if only != 0 and only != packet.port + 1:
        return NO_LISTENER  # SO_BINDTODEVICE
    # 3.10.7.2, first: a reset is ignored
    if flags & RST != 0:
        return NO_LISTENER
    # second: an acknowledgement is of nothing, unless it brings a cookie back
    if flags & ACK != 0:
        return accept_cookie(worker, tcp, listener, packet) if flags & SYN == 0 else NO_LISTENER
    if flags & SYN == 0 or flags & FIN != 0:
        return TCP_BAD_ACK
    if packet.flags & (BROADCAST | MULTICAST) != 0:
        return TCP_BAD_ACK
    # third: a SYN
    if listener.waiting > listener.backlog:
        count(worker, LISTEN_OVERFLOWS, 1)
        count(worker, LISTEN_DROPS, 1)
        return TCP_NO_BACKLOG
    if listener.half_open > listener.backlog or tcp.syncookies == 2:
        if tcp.syncookies == 0:
            count(worker, LISTEN_DROPS, 1)
            return TCP_NO_BACKLOG
        count(worker, REQ_Q_FULL_DO_COOKIES, 1)
        return answer_with_cookie(worker, tcp, listener, packet)
    return _half_open(worker, tcp, listener, found, packet)


@hot
def _half_open(worker: Worker, tcp: Tcp, listener: Listener, number: int, packet: Packet) -> int:
    """Keep the connection in SYN_RECEIVED and answer."""
    segment = TCP(packet.transport)
    tcb = tcb_new(tcp)
    if tcb.address == 0:
        count(worker, LISTEN_DROPS, 1)
        return TCP_NO_MEMORY
    prepare(worker, tcp, tcb, listener, packet)
    tcb.accept_next = number
    agree(worker, tcp, tcb, tcp.options)
    if tcp.ecn != 0 and segment.flags & (ECE | CWR) == ECE | CWR:
        tcb.agreed |= ECN
    tcb.snd_una = initial_sequence(worker, tcp, tcb)
    tcb.snd_nxt, tcb.snd_end = tcb.snd_una, sequence.add(tcb.snd_una, 1)
    tcb.snd_window = segment.window  # a SYN's is not scaled (RFC 7323 2.2)
    tcb.snd_window_max, tcb.snd_wl1 = tcb.snd_window, segment.seq
    tcb.state = SYN_RECEIVED
    recovery_open(worker, tcp, tcb)
    found = enter(worker, tcp, tcb) and enter_strayed(worker, tcb, packet)
    if not found or not segment_sent(worker, tcp, tcb, 1):
        tcb_free(worker, tcp, tcb)
        count(worker, LISTEN_DROPS, 1)
        return TCP_NO_MEMORY
    listener.half_open += 1
    payload = packet.transport + header_octets(segment)
    octets = packet.data + packet.length - payload
    fast = may_open_fast(worker, tcp, tcb, listener, octets)
    if not fast or not open_fast(worker, tcp, tcb, number, payload, octets):
        emit_syn(worker, tcp, tcb)
    tcp.cookie_due = 0
    return DELIVERED


@hot
def prepare(worker: Worker, tcp: Tcp, tcb: Tcb, listener: Listener, packet: Packet) -> None:
    """Fields that follow from a listener, and from a SYN or from what came back of one."""
    segment = TCP(packet.transport)
    identify(worker, tcb, packet)
    tcb.flags = PASSIVE | tcp.tunings[listener.tuning].flags
    tcb.tuning = tuning_take(tcp, listener.tuning)
    tcb.congestion = tcp.tunings[tcb.tuning].congestion
    tcb.receive_limit = tcp.tunings[tcb.tuning].receive_limit
    tcb.rcv_scale = our_scale(tcp)
    tcb.rcv_nxt = sequence.add(segment.seq, 1 if segment.flags & SYN != 0 else 0)
    tcb.rcv_read, tcb.rcv_right, tcb.rcv_acked, tcb.drs_from = tcb.rcv_nxt, tcb.rcv_nxt, tcb.rcv_nxt, tcb.rcv_nxt
    tcb.drs_at = stamp(worker)
    tcb.heard = moment(worker)
    tcb.ts_offset = timestamp_offset(tcp, tcb)
    tcb.quick = QUICK_ACKS


@cold
def established(worker: Worker, tcp: Tcp, tcb: Tcb, segment: TCP, length: int) -> int:
    """An acceptable segment with ACK in SYN_RECEIVED (RFC 9293 3.10.7.4, fifth). DELIVERED: it is ESTABLISHED now.

    With TCP_DEFER_ACCEPT one without data (`length` 0) does not count, until the SYN-ACK was sent again for so long.
    """
    ack = segment.ack
    if not sequence.after(ack, tcb.snd_una) or sequence.after(ack, tcb.snd_nxt):
        count(worker, ATTEMPT_FAILS, 1)
        return NO_LISTENER  # its sender is told by a reset
    fast = tcb.agreed & FAST_OPEN != 0  # on the queue already, or accepted
    passive = tcb.flags & PASSIVE != 0 and not fast
    listener = tcp.listeners[tcb.accept_next if passive else 0]
    if passive and listener.listening == 0:
        drop_half_open(worker, tcp, tcb)
        return NO_LISTENER
    if passive and listener.waiting > listener.backlog:
        count(worker, LISTEN_OVERFLOWS, 1)
        return TCP_NO_BACKLOG
    if passive and length == 0 and (1 << tcb.backoff) - 1 < tcp.tunings[tcb.tuning].defer_accept:
        count(worker, DEFER_ACCEPT_DROP, 1)
        return TCP_OLD
    tcb.snd_window = segment.window << tcb.snd_scale
    tcb.snd_window_max, tcb.snd_wl1 = tcb.snd_window, segment.seq
    halve_mss(tcb)
    acknowledge(worker, tcp, tcb, sequence.add(tcb.snd_una, 1), tcp.options, 0)
    tcb.octets_out = 0
    set_state(worker, tcb, ESTABLISHED if tcb.flags & FIN_QUEUED == 0 else FIN_WAIT_1)
    recovery_established(worker, tcp, tcb)
    if passive:
        listener_less(tcp, tcb.accept_next)
        count(worker, PASSIVE_OPENS, 1)
        accept_push(worker, tcp, listener, tcb)
    elif fast:
        fast_open_over(tcp, tcb)
    elif tcb.socket != ANY_NUMBER:
        socket_event(endpoints_of(worker), tcb.socket, WRITABLE)
    return DELIVERED


# --- SYN-SENT -----------------------------------------------------------------------------------------------------


@hot
def prepare_connecting(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """SYN_SENT, but for the SYN; addresses and ports are set, and nobody has them. False: no memory."""
    tcb.congestion = tcp.tunings[tcb.tuning].congestion
    tcb.flags |= tcp.tunings[tcb.tuning].flags
    tcb.receive_limit = tcp.tunings[tcb.tuning].receive_limit
    tcb.rcv_scale = our_scale(tcp)
    tcb.ts_offset = timestamp_offset(tcp, tcb)
    tcb.snd_una = initial_sequence(worker, tcp, tcb)
    tcb.snd_nxt, tcb.snd_end = tcb.snd_una, sequence.add(tcb.snd_una, 1)
    tcb.state = SYN_SENT
    tcb.mss = 536
    tcb.quick = QUICK_ACKS
    recovery_open(worker, tcp, tcb)
    return enter(worker, tcp, tcb)


@leaf
def _is_echo(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Whether the timestamp that is echoed can be that of our SYN (Linux counts others as PAWSActive)."""
    options = tcp.options
    if options.present & HAS_TIMESTAMPS == 0 or options.echo == 0:
        return True
    age = sequence.difference(timestamp_now(worker, tcb), options.echo)
    return 0 <= age <= OLDEST_SYN


@hot
def syn_sent_input(worker: Worker, tcp: Tcp, tcb: Tcb, packet: Packet) -> int:
    """RFC 9293 3.10.7.3. NO_LISTENER: the sender is told by a reset."""
    segment = TCP(packet.transport)
    flags = segment.flags
    if is_deferred(tcb):
        return NO_LISTENER
    # first: the ACK bit
    if flags & ACK != 0 and (not sequence.after(segment.ack, tcb.snd_una) or sequence.after(segment.ack, tcb.snd_nxt)):
        return TCP_BAD_ACK if flags & RST != 0 else NO_LISTENER
    if flags & (RST | ACK) == ACK and not _is_echo(worker, tcp, tcb):
        count(worker, PAWS_ACTIVE, 1)
        return NO_LISTENER
    # second: the RST bit
    if flags & RST != 0:
        if flags & ACK == 0:
            return TCP_BAD_ACK
        count(worker, ATTEMPT_FAILS, 1)
        finish_tcb(worker, tcp, tcb, ECONNREFUSED)
        return TCP_RESET
    # fourth: the SYN bit
    if flags & SYN == 0:
        return TCP_BAD_ACK
    tcb.heard = moment(worker)
    tcb.segments_in += 1
    tcb.rcv_nxt = sequence.add(segment.seq, 1)
    tcb.rcv_read, tcb.rcv_right, tcb.rcv_acked, tcb.drs_from = tcb.rcv_nxt, tcb.rcv_nxt, tcb.rcv_nxt, tcb.rcv_nxt
    tcb.drs_at = stamp(worker)
    asked = tcb.agreed & FAST_OPEN != 0
    agree(worker, tcp, tcb, tcp.options)
    tcb.snd_window = segment.window
    tcb.snd_window_max, tcb.snd_wl1 = tcb.snd_window, segment.seq
    if flags & ACK == 0:  # both opened at once
        set_state(worker, tcb, SYN_RECEIVED)
        emit_syn(worker, tcp, tcb)
        return DELIVERED
    if tcp.ecn == 1 and flags & (ECE | CWR) == ECE:
        tcb.agreed |= ECN
    if asked:
        fast_open_answered(worker, tcp, tcb, segment.ack)
    halve_mss(tcb)
    acknowledge(worker, tcp, tcb, segment.ack, tcp.options, 0)
    tcb.octets_out -= 1
    set_state(worker, tcb, ESTABLISHED)
    recovery_established(worker, tcp, tcb)
    resend_refused(worker, tcp, tcb)
    if tcb.socket != ANY_NUMBER:
        socket_event(endpoints_of(worker), tcb.socket, WRITABLE)
    ack_now(tcp, tcb)
    payload = packet.transport + header_octets(segment)
    octets = packet.data + packet.length - payload
    if octets > 0:
        tcb.rcv_right = sequence.add(tcb.rcv_nxt, min(tcb.receive_limit, 65535))
        return data_input(worker, tcp, tcb, tcb.rcv_nxt, payload, octets)
    output(worker, tcp, tcb)
    return DELIVERED
