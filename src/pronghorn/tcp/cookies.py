"""SYN cookies (RFC 4987 3.6; Bernstein 1996): a listener whose backlog is full answers, and keeps nothing.

The initial sequence number holds what would have been kept:

    bits 31-27  time, in units of 64 s, modulo 32        bits 26-24  MSS, as a place in wire/cookie_mss.py
    bits 23-0   a keyed hash of addresses, ports, time, MSS and the client's own sequence number

With timestamps the window scale, SACK and ECN come back as well: they are the low six bits of our TSval, as with Linux.
A cookie is believed for 64 to 128 seconds, and only while the listener was overrun not long ago: otherwise nobody could
have got one.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, sequence
from pronghorn.compiled.siphash import sip5
from pronghorn.net.reset import send_reset
from pronghorn.state.endpoints import count
from pronghorn.state.mib import (
    LISTEN_OVERFLOWS,
    PASSIVE_OPENS,
    SYNCOOKIES_FAILED,
    SYNCOOKIES_RECV,
    SYNCOOKIES_SENT,
)
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import CONTINUE, DELIVERED, NO_LISTENER, TCP_BAD_COOKIE, TCP_NO_BACKLOG, TCP_NO_MEMORY
from pronghorn.state.worker import Worker
from pronghorn.tcp.emit import emit_segment, timestamp_now
from pronghorn.tcp.identity import identify
from pronghorn.tcp.life import accept_push, tcb_free, tcb_new
from pronghorn.tcp.lookup import enter
from pronghorn.tcp.options import agree, our_scale, set_mss, syn_options
from pronghorn.tcp.owner import enter_strayed
from pronghorn.tcp.recovery import recovery_established, recovery_open
from pronghorn.tcp.tcb import (
    ECN,
    ESTABLISHED,
    MILLISECOND,
    NO_TCB,
    PASSIVE,
    SACK,
    SCALING,
    SECOND,
    SYN_RECEIVED,
    TIMESTAMPS,
    Listener,
    Tcb,
    Tcp,
    elapsed,
    moment,
    scratch_of,
    stamp,
)
from pronghorn.tcp.tuning import tuning_take
from pronghorn.wire.cookie_mss import mss_at, mss_place
from pronghorn.wire.tcp import ACK, CWR, ECE, HAS_TIMESTAMPS, SYN, TCP

AGE = 2
"""Units of time that a cookie is believed for, its own counted."""
RECENT = 128_000_000
"""Microseconds since the last overflow."""
NO_SCALE = 15
MASK = 0xFFFF_FFFF


@hot
def cookie_secret(tcp: Tcp, tcb: Tcb, theirs: int, time: int, place: int) -> int:
    """64 bits that only we can tell for a client whose SYN had the sequence number `theirs`.

    The low half makes the cookie, the high half is where the connection's timestamps begin.
    """
    ports = tcb.remote_port << 16 | tcb.local_port | 3 << 32 | (time & 31) << 40 | place << 48
    return sip5(tcp.secret, tcp.secret2, tcb.remote_lo ^ theirs << 32, tcb.remote_hi, tcb.local_hi, tcb.local_lo, ports)


@leaf
def make_cookie(secret: int, time: int, place: int) -> int:
    """The cookie."""
    return (time & 31) << 27 | place << 24 | secret & 0xFF_FFFF


@hot
def answer_with_cookie(worker: Worker, tcp: Tcp, listener: Listener, packet: Packet) -> int:
    """Answer a SYN, and forget it. Its addresses and ports are in scratch."""
    segment = TCP(packet.transport)
    tcb = scratch_of(tcp)
    _prepare(worker, tcp, tcb, listener, sequence.add(segment.seq, 1))
    agree(worker, tcp, tcb, tcp.options)
    if tcp.ecn != 0 and segment.flags & (ECE | CWR) == ECE | CWR and tcb.agreed & TIMESTAMPS != 0:
        tcb.agreed |= ECN
    time, place = worker.now // (64 * SECOND), mss_place(tcb.peer_mss)
    secret = cookie_secret(tcp, tcb, segment.seq, time, place)
    if tcb.agreed & TIMESTAMPS == 0:
        tcb.agreed = 0  # nowhere to remember scale and SACK
        tcb.rcv_scale = 0
    else:
        tcb.ts_offset = secret >> 32 & MASK
        _hide(worker, tcb)
    cookie = make_cookie(secret, time, place)
    tcb.state, tcb.snd_una = SYN_RECEIVED, cookie
    tcb.snd_nxt = cookie
    listener.cookies, listener.recent_overflow = 1, stamp(worker)
    count(worker, SYNCOOKIES_SENT, 1)
    syn_options(worker, tcp, tcb)
    flags = SYN | ACK | (ECE if tcb.agreed & ECN != 0 else 0)
    emit_segment(worker, tcp, tcb, cookie, 0, flags)
    return DELIVERED


@leaf
def _hide(worker: Worker, tcb: Tcb) -> None:
    """Make our TSval end in six bits that say what was agreed on, without letting it run ahead."""
    bits = tcb.snd_scale if tcb.agreed & SCALING != 0 else NO_SCALE
    bits |= (16 if tcb.agreed & SACK != 0 else 0) | (32 if tcb.agreed & ECN != 0 else 0)
    now = timestamp_now(worker, tcb)
    told = now & ~63 | bits
    if told > now:
        told -= 64
    tcb.ts_offset = (told - worker.now // MILLISECOND) & MASK


@hot
def _prepare(worker: Worker, tcp: Tcp, tcb: Tcb, listener: Listener, next: int) -> None:
    """Fields that follow from the listener; `next` is the client's next octet. Addresses and ports are set."""
    tcb.flags = PASSIVE | tcp.tunings[listener.tuning].flags
    tcb.neighbour, tcb.generation = NO_TCB, 0
    tcb.tuning = listener.tuning
    tcb.congestion = tcp.tunings[tcb.tuning].congestion
    tcb.receive_limit = tcp.tunings[tcb.tuning].receive_limit
    tcb.rcv_scale = our_scale(tcp)
    tcb.rcv_nxt, tcb.rcv_read, tcb.rcv_right, tcb.rcv_acked, tcb.drs_from = next, next, next, next, next
    tcb.drs_at = stamp(worker)
    tcb.heard = moment(worker)


@leaf
def _cookie(tcp: Tcp, tcb: Tcb, segment: TCP, time: int, place: int) -> int:
    """The cookie that an acknowledgement of it brings back."""
    return make_cookie(cookie_secret(tcp, tcb, sequence.add(segment.seq, -1), time, place), time, place)


@hot
def accept_cookie(worker: Worker, tcp: Tcp, listener: Listener, packet: Packet) -> int:
    """An acknowledgement of no connection: does it bring a cookie back? CONTINUE: then there is a connection now."""
    if listener.cookies == 0:
        return NO_LISTENER
    if elapsed(stamp(worker), listener.recent_overflow) > RECENT:
        listener.cookies = 0
        return NO_LISTENER
    segment = TCP(packet.transport)
    cookie = sequence.add(segment.ack, -1)
    time = worker.now // (64 * SECOND)
    age = (time - (cookie >> 27)) & 31
    place = cookie >> 24 & 7
    scratch = scratch_of(tcp)
    identify(worker, scratch, packet)
    if age >= AGE or _cookie(tcp, scratch, segment, time - age, place) != cookie:
        count(worker, SYNCOOKIES_FAILED, 1)
        send_reset(worker, packet)  # RFC 9293 3.10.7.2, second
        return TCP_BAD_COOKIE
    if listener.waiting > listener.backlog:
        count(worker, LISTEN_OVERFLOWS, 1)
        return TCP_NO_BACKLOG
    tcb = tcb_new(tcp)
    if tcb.address == 0:
        return TCP_NO_MEMORY
    identify(worker, tcb, packet)
    _prepare(worker, tcp, tcb, listener, segment.seq)
    tcb.rcv_right = sequence.add(segment.seq, min(tcb.receive_limit, 65535))  # as the answer has said
    tuning_take(tcp, tcb.tuning)
    _recover(worker, tcp, tcb, segment, place)
    tcb.state = SYN_RECEIVED
    recovery_open(worker, tcp, tcb)
    if not enter(worker, tcp, tcb) or not enter_strayed(worker, tcb, packet):
        tcb_free(worker, tcp, tcb)
        return TCP_NO_MEMORY
    tcb.snd_window = segment.window << tcb.snd_scale
    tcb.snd_window_max, tcb.snd_wl1 = tcb.snd_window, segment.seq
    tcb.state = ESTABLISHED
    recovery_established(worker, tcp, tcb)
    count(worker, SYNCOOKIES_RECV, 1)
    count(worker, PASSIVE_OPENS, 1)
    accept_push(worker, tcp, listener, tcb)
    return CONTINUE


@hot
def _recover(worker: Worker, tcp: Tcp, tcb: Tcb, segment: TCP, place: int) -> None:
    """What the SYN had said, from the cookie and from the timestamp that is echoed."""
    options = tcp.options
    tcb.agreed = 0
    if options.present & HAS_TIMESTAMPS != 0 and tcp.timestamps != 0:
        bits = options.echo & 63
        tcb.agreed = TIMESTAMPS | (SACK if bits & 16 != 0 else 0) | (ECN if bits & 32 != 0 else 0)
        tcb.ts_recent = options.timestamp
        tcb.ts_offset = (options.echo - worker.now // MILLISECOND) & MASK
        if bits & 15 != NO_SCALE:
            tcb.agreed |= SCALING
            tcb.snd_scale = min(bits & 15, 14)
    if tcb.agreed & SCALING == 0:
        tcb.snd_scale, tcb.rcv_scale = 0, 0
    tcb.snd_una = segment.ack
    tcb.snd_nxt, tcb.snd_end = segment.ack, segment.ack
    tcb.peer_mss = mss_at(place)
    set_mss(worker, tcp, tcb)
    tcb.rcv_mss = min(tcb.mss, 536)
