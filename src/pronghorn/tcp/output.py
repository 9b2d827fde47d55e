"""What a connection sends, and when: retransmissions first, then new data, then an acknowledgement that is owed.

    tcp_flush(worker)               once per turn: every connection on the pending list
    output(worker, tcp, tcb)        one connection, now

New data goes when the peer's window, congestion window and pacing permit it, and it is worth a segment (RFC 9293
3.8.6.2.1, RFC 1122 4.2.3.4; Nagle: RFC 896, with Minshall's rule as Linux has it: a small segment waits only for a
small one). Where the port segments, up to 64 KB go at once.

With the window shut and nothing in flight the window is probed (RFC 9293 3.8.6.1) by timers.py.
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.state.endpoints import ANY_NUMBER, WRITABLE, count, endpoints_of, socket_event
from pronghorn.state.mib import ORIG_DATA_SENT, RETRANS_SEGS, SYN_RETRANS
from pronghorn.state.port import SEGMENTATION
from pronghorn.state.worker import Worker
from pronghorn.tcp.deadlines import arm
from pronghorn.tcp.emit import NEW_DATA, emit_ack, emit_segment, offloads_of, route, transmit_room
from pronghorn.tcp.life import give_back
from pronghorn.tcp.mtu_probe import probe_octets, probe_sent
from pronghorn.tcp.options import syn_options
from pronghorn.tcp.pacing import pacing_sent, super_segment
from pronghorn.tcp.pending import is_held, look_at, put_last, take_pending
from pronghorn.tcp.pressure import press
from pronghorn.tcp.recovery import (
    allowance,
    next_lost,
    probe_range,
    recovery_idle,
    segment_resent,
    segment_sent,
)
from pronghorn.tcp.tcb import (
    ACK_NOW,
    CLOSED,
    CORKED,
    ECN,
    FAST_OPEN,
    FIN_QUEUED,
    FIN_SENT,
    FREE,
    NO_DELAY,
    SYN_RECEIVED,
    SYN_SENT,
    WANTS_SPACE,
    Tcb,
    Tcp,
)
from pronghorn.tcp.urgent import is_urgent
from pronghorn.wire.tcp import ACK, CWR, ECE, FIN, PSH, SYN

MASK = 0xFFFF_FFFF
LARGEST = 65535 - 256
"""Octets of payload in one packet: 64 KB less all headers."""
BATCH = 64
"""Packets of one connection in a row before others get their turn."""
RESERVE = 16
"""Frames of the output queue that are left to acknowledgements and neighbours."""
WINDOW_PROBE = 4
"""Tcb.retransmit_kind: the window is shut."""


@hot
def tcp_flush(worker: Worker, tcp: Tcp) -> int:
    """Serve the connections that are on the pending list now. Returns how many that were, without those held."""
    listed = tcp.pending_count
    tcp.held.count, tcp.held.flushing = 0, 1
    for _ in range(listed):
        tcb = take_pending(tcp)
        tcp.held.began = tcb.snd_nxt
        if tcb.state == FREE:
            give_back(tcp, tcb)
        elif tcb.state != CLOSED:
            output(worker, tcp, tcb)
    put_last(tcp)
    return listed - min(tcp.held.count, listed)


@hot
def output(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Send what may be sent. What has to wait for room or packets stays on the pending list."""
    room = min(transmit_room(worker, tcb) - RESERVE, BATCH)
    if tcb.state == SYN_SENT or tcb.state == SYN_RECEIVED:
        if room > 0 and tcb.lost != 0:
            _resend_syn(worker, tcp, tcb)
        if tcb.state == SYN_SENT or tcb.agreed & FAST_OPEN == 0:
            return
        room = _send_new(worker, tcp, tcb, room - 1) if tcb.snd_nxt != limit_of(tcb) else room
        if tcb.flags & ACK_NOW != 0 and not emit_ack(worker, tcp, tcb):
            look_at(tcp, tcb)
        return
    if tcb.flags & ACK_NOW != 0 and tcb.beyond.count != 0 and (tcb.lost != 0 or tcb.snd_nxt != limit_of(tcb)):
        emit_ack(worker, tcp, tcb)  # a full segment has no room to tell of gaps
    if tcb.lost != 0:
        room = _resend_lost(worker, tcp, tcb, room)
    if tcb.snd_nxt != limit_of(tcb):
        room = _send_new(worker, tcp, tcb, room)
        if tcb.flags & WANTS_SPACE != 0 and tcp.tunings[tcb.tuning].low_water != 0:
            offer_room(worker, tcp, tcb)
    if tcb.flags & ACK_NOW != 0 and not emit_ack(worker, tcp, tcb):
        look_at(tcp, tcb)


@cold
def offer_room(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """The application was refused room; now there is some, save where TCP_NOTSENT_LOWAT wants less to wait (Linux's
    tcp_stream_memory_free: twice as much must fit)."""
    low = tcp.tunings[tcb.tuning].low_water
    if low != 0 and 2 * not_sent(tcb) >= low:
        return
    tcb.flags &= ~WANTS_SPACE
    if tcb.socket != ANY_NUMBER:
        socket_event(endpoints_of(worker), tcb.socket, WRITABLE)


@leaf
def not_sent(tcb: Tcb) -> int:
    """Octets that the application has written, and that were never sent."""
    return max(sequence.difference(tcb.snd_end, tcb.snd_nxt), 0)


@leaf
def limit_of(tcb: Tcb) -> int:
    """Position after everything that is to be sent, FIN included."""
    return sequence.add(tcb.snd_end, 1 if tcb.flags & FIN_QUEUED != 0 else 0)


# --- retransmission -----------------------------------------------------------------------------------------------


@cold
def _resend_lost(worker: Worker, tcp: Tcp, tcb: Tcb, room: int) -> int:
    """Send again what was lost, as far as the congestion window permits. Returns the packets that may still go."""
    while room > 0:
        seq, octets = next_lost(worker, tcp, tcb)
        if octets == 0 or allowance(worker, tcp, tcb) <= 0 or _waits_for_pace(worker, tcp, tcb):
            return room
        if is_held(worker, tcp, tcb, octets):
            return room
        if not resend(worker, tcp, tcb, seq, octets):
            look_at(tcp, tcb)
            return 0
        room -= 1
    look_at(tcp, tcb)
    return 0


@cold
def _resend_syn(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Send the SYN again; data that went with it or after it (RFC 7413) waits for the handshake to end."""
    seq, octets = next_lost(worker, tcp, tcb)
    if octets != 0 and seq == tcb.snd_una and not resend(worker, tcp, tcb, seq, 1):
        look_at(tcp, tcb)


@hot
def resend(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, octets: int) -> bool:
    """Send the range again, as one packet; False when there is none for it."""
    count(worker, RETRANS_SEGS, 1)
    tcb.retransmits += 1
    if tcb.state == SYN_SENT or tcb.state == SYN_RECEIVED:
        count(worker, SYN_RETRANS, 1)
        if not emit_syn(worker, tcp, tcb):
            return False
        segment_resent(worker, tcp, tcb, seq, octets)
        return True
    octets = min(octets, burst_octets(worker, tcp, tcb))
    if not _emit_range(worker, tcp, tcb, seq, octets, ACK):
        return False
    segment_resent(worker, tcp, tcb, seq, octets)
    if tcb.pacing_rate != 0:
        pacing_sent(worker, tcb, octets)
    return True


@leaf
def _waits_for_pace(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """Whether it is too early to send, new data or old, at the pacing rate; then the timer is set."""
    if tcb.pacing_rate == 0 or tcb.paced_at <= worker.now:
        return False
    arm(tcp, tcb, tcb.paced_at)
    return True


@hot
def emit_syn(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """The connection's SYN, or SYN and ACK; its place in sequence is snd_una. The first may carry data (RFC 7413)."""
    syn_options(worker, tcp, tcb)
    flags, octets = SYN, 0
    if tcb.state == SYN_RECEIVED:
        flags |= ACK
        if tcb.agreed & ECN != 0:
            flags |= ECE
    elif tcb.backoff == 0:
        flags |= ECE | CWR if tcp.ecn == 1 else 0
        octets = tcb.snd_nxt - tcb.snd_una - 1 & MASK
    return emit_segment(worker, tcp, tcb, tcb.snd_una, octets, flags)


@hot
def _emit_range(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, octets: int, flags: int) -> bool:
    """A segment of so much sequence space from `seq`, which may end in FIN."""
    payload = octets
    right = sequence.add(seq, octets)
    if tcb.flags & FIN_QUEUED != 0 and sequence.after(right, tcb.snd_end):
        flags |= FIN
        payload -= 1
    if payload != 0 and (flags & FIN != 0 or right == tcb.snd_end):
        flags |= PSH
    return emit_segment(worker, tcp, tcb, seq, payload, flags)


@hot
def send_probe(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """A loss probe (RFC 8985 7.3): new data if there is any and the peer takes it, otherwise the last segment again.

    None into a full link, where it could tell nothing.
    """
    if is_held(worker, tcp, tcb, tcb.mss):
        return
    seq, octets = probe_range(worker, tcp, tcb)
    if octets != 0:
        resend(worker, tcp, tcb, seq, octets)
        return
    usable = tcb.snd_window - (tcb.snd_nxt - tcb.snd_una & MASK)
    fresh = min(limit_of(tcb) - tcb.snd_nxt & MASK, tcb.mss, usable)
    if fresh > 0:
        send_range(worker, tcp, tcb, fresh)


# --- new data -----------------------------------------------------------------------------------------------------


@hot
def _send_new(worker: Worker, tcp: Tcp, tcb: Tcb, room: int) -> int:
    """Send data that was not sent before. Returns the packets that may still go."""
    if tcb.snd_nxt == tcb.snd_una:
        recovery_idle(worker, tcp, tcb)
    largest = 0
    while True:
        waiting = limit_of(tcb) - tcb.snd_nxt & MASK
        if waiting == 0:
            return room
        usable = tcb.snd_window - (tcb.snd_nxt - tcb.snd_una & MASK)
        permitted = min(usable, allowance(worker, tcp, tcb))
        if permitted <= 0:
            if usable <= 0:
                _window_shut(worker, tcp, tcb)
            return room
        if _waits_for_pace(worker, tcp, tcb):
            return room
        if room <= 0:
            look_at(tcp, tcb)
            return 0
        if tcb.rare != 0:
            probe = probe_octets(worker, tcp, tcb, waiting, usable)
            if probe < 0:
                return room
            if probe > 0 and _send_larger(worker, tcp, tcb, probe):
                room -= 1
                continue
        if largest == 0:
            largest = burst_octets(worker, tcp, tcb) if waiting > tcb.mss else tcb.mss
        octets = min(waiting, permitted, largest)
        if waiting == octets + 1 and tcb.flags & FIN_QUEUED != 0 and permitted > octets:
            octets = waiting  # FIN rides on a full segment
        if octets > tcb.mss:
            tail = octets % tcb.mss  # a short segment only at the end, and only if it may go by itself
            if octets < waiting or not _worth_sending(tcb, tail, tail):
                octets -= tail
        if not _worth_sending(tcb, octets, waiting) and not is_urgent(tcp, tcb):
            _window_shut(worker, tcp, tcb)  # a sliver of a window, or corked: not for ever
            return room
        if is_held(worker, tcp, tcb, octets):
            return room
        if not send_range(worker, tcp, tcb, octets):
            press(worker, tcp)  # relief.py tries again
            return 0
        room -= 1


@cold
def _send_larger(worker: Worker, tcp: Tcp, tcb: Tcb, octets: int) -> bool:
    """One segment that is larger than others: does the path take it? (mtu_probe.py)"""
    mss, seq = tcb.mss, tcb.snd_nxt
    tcb.mss = octets
    sent = send_range(worker, tcp, tcb, octets)
    tcb.mss = mss
    if sent:
        probe_sent(tcp, tcb, seq, octets)
    return sent


@leaf
def burst_octets(worker: Worker, tcp: Tcp, tcb: Tcb) -> int:
    """Octets of payload that may go as one packet: a segment, or many where the port cuts."""
    index = route(worker, tcb)
    if index < 0 or offloads_of(worker, index) & SEGMENTATION == 0 or worker.large_pool == 0 or is_urgent(tcp, tcb):
        return tcb.mss
    most = min(super_segment(worker, tcb), LARGEST)
    return max(most - most % tcb.mss, tcb.mss)


@leaf
def _worth_sending(tcb: Tcb, octets: int, waiting: int) -> bool:
    """Whether to send so little (sender's silly window avoidance and Nagle)."""
    if octets >= tcb.mss or tcb.flags & FIN_QUEUED != 0:
        return True
    if octets < waiting:  # the peer's window cuts it short
        return octets >= tcb.snd_window_max >> 1
    if tcb.flags & CORKED != 0:
        return False
    return tcb.flags & NO_DELAY != 0 or not _small_in_flight(tcb)


@leaf
def _small_in_flight(tcb: Tcb) -> bool:
    """Whether a segment smaller than full is on its way (Minshall; Linux's tcp_minshall_check)."""
    return sequence.after(tcb.small_end, tcb.snd_una) and not sequence.after(tcb.small_end, tcb.snd_nxt)


@hot
def send_range(worker: Worker, tcp: Tcp, tcb: Tcb, octets: int) -> bool:
    """Send so much sequence space from snd_nxt. False when there is no memory or packet for it."""
    seq = tcb.snd_nxt
    if not segment_sent(worker, tcp, tcb, octets):
        return False
    right = tcb.snd_nxt
    if octets < tcb.mss or octets % tcb.mss != 0:
        tcb.small_end = right
    if tcb.flags & FIN_QUEUED != 0 and sequence.after(right, tcb.snd_end):
        tcb.flags |= FIN_SENT
    count(worker, ORIG_DATA_SENT, 1)
    if tcb.pacing_rate != 0:
        pacing_sent(worker, tcb, octets)
    _emit_range(worker, tcp, tcb, seq, octets, ACK | NEW_DATA)  # without a packet it is lost, and will be sent again
    return True


@cold
def _window_shut(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """There is data that may not be sent. With nothing in flight, nothing but a probe would ever change that; when that
    is due, what fits is sent (RFC 1122 4.2.3.4 calls it the override time-out; it is Linux's limit for TCP_CORK)."""
    if tcb.snd_nxt == tcb.snd_una and tcb.retransmit_kind != WINDOW_PROBE:
        tcb.retransmit_kind = WINDOW_PROBE
        tcb.probes = 0
        tcb.retransmit_at = worker.now + tcb.rto * 1000
        arm(tcp, tcb, tcb.retransmit_at)
