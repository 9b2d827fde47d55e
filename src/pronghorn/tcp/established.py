"""A segment for a connection in a synchronised state, or in SYN_RECEIVED: RFC 9293 3.10.7.4, step by step.

Before the first step stands PAWS (RFC 7323 5), between the second and the fifth what RFC 5961 adds against blind
attacks: resets and SYNs that are not exactly right are challenged, and acknowledgements that are too old count for
nothing.
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf, sequence
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.ranges import ranges_end
from pronghorn.memory.stream import stream_free
from pronghorn.state.endpoints import count, endpoints_of
from pronghorn.state.mib import OLD_ACKS, PAWS_ESTAB, PURE_ACKS
from pronghorn.state.packet import UNSEGMENTED, Packet
from pronghorn.state.verdicts import (
    DELIVERED,
    TCP_BAD_ACK,
    TCP_CHALLENGED,
    TCP_NOT_READ,
    TCP_OLD,
    TCP_OUT_OF_WINDOW,
    TCP_PAWS,
    TCP_RESET,
)
from pronghorn.state.worker import Worker
from pronghorn.tcp.challenge import challenge
from pronghorn.tcp.closing import fin_acknowledged, fin_received, reset_received
from pronghorn.tcp.emit import emit_duplicate_ack
from pronghorn.tcp.handshake import established
from pronghorn.tcp.mtu_probe import probe_acknowledged
from pronghorn.tcp.output import emit_syn, limit_of, offer_room
from pronghorn.tcp.pending import look_at
from pronghorn.tcp.receive import ack_now, data_input, fin_beyond
from pronghorn.tcp.recovery import acknowledge
from pronghorn.tcp.sample import ECE_SEEN, PURE, WINDOW_CHANGED
from pronghorn.tcp.statistics import count_data
from pronghorn.tcp.tcb import (
    DATA_HEARD,
    ECE_OWED,
    ECN,
    FIN_BEYOND,
    FIN_RECEIVED,
    FIN_SENT,
    NEVER,
    SYN_RECEIVED,
    TIMESTAMPS,
    WANTS_SPACE,
    Tcb,
    Tcp,
    moment,
)
from pronghorn.tcp.urgent import urgent_input
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6, traffic_class
from pronghorn.wire.tcp import ACK, CWR, ECE, FIN, HAS_TIMESTAMPS, RST, SYN, TCP, URG, header_octets

MASK = 0xFFFF_FFFF
CE = 3
WINDOW_PROBE = 4


@hot
def segment_input(worker: Worker, tcp: Tcp, tcb: Tcb, packet: Packet) -> int:
    """The segment at packet.transport, its options in tcp.options. Returns the verdict."""
    segment = TCP(packet.transport)
    flags, seq = segment.flags, segment.seq
    header = header_octets(segment)
    payload = packet.transport + header
    octets = packet.data + packet.length - payload
    length = octets + (1 if flags & SYN != 0 else 0) + (1 if flags & FIN != 0 else 0)
    if flags & (SYN | RST) != 0 or seq != tcb.rcv_nxt or not _is_recent(tcp, tcb):
        verdict = _check_sequence(worker, tcp, tcb, packet, seq, length, flags)
        if verdict != DELIVERED:
            return verdict
    tcb.heard = moment(worker)
    segments = _count_segments(packet, octets)
    tcb.segments_in += segments
    # fifth: the ACK field
    if flags & ACK == 0:
        return TCP_BAD_ACK
    if tcb.state == SYN_RECEIVED:
        verdict = established(worker, tcp, tcb, segment, length)
        if verdict != DELIVERED:
            return verdict
    if not _acknowledgement(worker, tcp, tcb, segment, length):
        return TCP_BAD_ACK
    if tcb.agreed & TIMESTAMPS != 0:
        _remember_timestamp(tcp, tcb, seq)
    if tcb.flags & FIN_SENT != 0 and fin_acknowledged(worker, tcp, tcb):
        return DELIVERED
    if tcb.agreed & ECN != 0:
        _congestion_input(tcp, tcb, packet, flags, octets)
    # sixth: the URG bit
    if (flags & URG != 0 or tcb.rare != 0) and tcb.flags & FIN_RECEIVED == 0:
        urgent_input(worker, tcp, tcb, segment, payload, octets)
    # seventh: the segment text
    verdict = DELIVERED
    if octets > 0:
        count_data(tcb.receive, segments)
        if tcb.flags & FIN_RECEIVED != 0:
            return _again(worker, tcp, tcb, seq)
        tcb.flags |= DATA_HEARD
        if flags & FIN != 0 and seq != tcb.rcv_nxt:
            fin_beyond(worker, tcp, tcb, sequence.add(seq, octets))
        verdict = data_input(worker, tcp, tcb, seq, payload, octets)
        if verdict == TCP_NOT_READ:
            return verdict  # and the connection is over
    elif length == 0:
        tcb.flags &= ~DATA_HEARD
        count(worker, PURE_ACKS, 1)
    # eighth: the FIN bit
    if flags & FIN != 0:
        if tcb.flags & FIN_RECEIVED != 0:
            return _again(worker, tcp, tcb, seq)
        if octets == 0 and tcb.rcv_nxt != seq and not sequence.before(seq, tcb.rcv_nxt):
            fin_beyond(worker, tcp, tcb, seq)
            emit_duplicate_ack(worker, tcp, tcb, 0, 0)
        elif tcb.rcv_nxt == sequence.add(seq, octets):
            fin_received(worker, tcp, tcb)
    elif tcb.flags & FIN_BEYOND != 0 and tcb.beyond.count == 0:
        fin_received(worker, tcp, tcb)  # the gap before it is filled
    return verdict


@leaf
def _count_segments(packet: Packet, octets: int) -> int:
    """How many the peer has sent: a packet may stand for several."""
    if packet.flags & UNSEGMENTED == 0 or packet.gso_size == 0:
        return 1
    return max((octets + packet.gso_size - 1) // packet.gso_size, 1)


@leaf
def _is_recent(tcp: Tcp, tcb: Tcb) -> bool:
    """PAWS (RFC 7323 5.3 R1): the timestamp is not older than the last one."""
    options = tcp.options
    if tcb.agreed & TIMESTAMPS == 0 or options.present & HAS_TIMESTAMPS == 0:
        return True
    return not sequence.before(options.timestamp, tcb.ts_recent)


@cold
def _check_sequence(worker: Worker, tcp: Tcp, tcb: Tcb, packet: Packet, seq: int, length: int, flags: int) -> int:
    """PAWS and steps one to four. DELIVERED: go on with the fifth."""
    if not _is_recent(tcp, tcb) and flags & RST == 0:
        count(worker, PAWS_ESTAB, 1)
        _answer_stray(worker, tcp, tcb, seq, length)
        return TCP_PAWS
    # first: the sequence number. Old data is let through, for its acknowledgement and for DSACK
    right = sequence.add(seq, length)
    if sequence.before(right, tcb.rcv_acked) or sequence.after(seq, tcb.rcv_right):
        if flags & RST != 0:
            return TCP_OUT_OF_WINDOW
        if _is_syn_again(tcb, seq, flags):
            emit_syn(worker, tcp, tcb)  # our answer to it was lost
            return TCP_OLD
        if flags & SYN != 0:
            challenge(worker, tcp, tcb)
            return TCP_CHALLENGED
        _answer_stray(worker, tcp, tcb, seq, length)
        return TCP_OUT_OF_WINDOW
    # second: the RST bit (RFC 5961 3.2)
    if flags & RST != 0:
        if seq == tcb.rcv_nxt or (tcb.beyond.count != 0 and seq == _right_of_beyond(worker, tcb)):
            reset_received(worker, tcp, tcb)
            return TCP_RESET
        challenge(worker, tcp, tcb)
        return TCP_CHALLENGED
    # fourth: the SYN bit (RFC 5961 4.2)
    if flags & SYN != 0:
        if _is_syn_again(tcb, seq, flags):
            emit_syn(worker, tcp, tcb)
            return TCP_OLD
        if tcb.state == SYN_RECEIVED and flags & ACK != 0 and seq == sequence.add(tcb.rcv_nxt, -1):
            ack_now(tcp, tcb)  # simultaneous open: the peer's SYN again, with our acknowledgement
            return DELIVERED
        challenge(worker, tcp, tcb)
        return TCP_CHALLENGED
    return DELIVERED


@leaf
def _is_syn_again(tcb: Tcb, seq: int, flags: int) -> bool:
    """Whether it is the SYN that the connection began with, which may have brought data (fast_open.py)."""
    if tcb.state != SYN_RECEIVED or flags & (SYN | ACK) != SYN:
        return False
    return seq == sequence.add(tcb.rcv_nxt, -1 - tcb.octets_in)


@cold
def _right_of_beyond(worker: Worker, tcb: Tcb) -> int:
    """Where everything ends that has arrived out of order: a peer that resets behind lost data resets here (Linux)."""
    return ranges_end(Buddy(endpoints_of(worker).buddy), tcb.beyond, tcb.rcv_nxt)


@cold
def _answer_stray(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, length: int) -> None:
    """An unacceptable segment is answered by an acknowledgement; a pure one, for fear of loops, only so often."""
    if length == 0:
        challenge(worker, tcp, tcb)
        return
    right = sequence.add(seq, length)
    if sequence.after(right, tcb.rcv_nxt):
        emit_duplicate_ack(worker, tcp, tcb, 0, 0)
    else:
        emit_duplicate_ack(worker, tcp, tcb, seq, right)


@cold
def _again(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int) -> int:
    """Octets or the FIN again: the peer has not heard us. What lies behind its FIN is nothing (seventh and eighth)."""
    if sequence.before(seq, tcb.rcv_nxt):
        ack_now(tcp, tcb)
    return TCP_OLD


@leaf
def _acknowledgement(worker: Worker, tcp: Tcp, tcb: Tcb, segment: TCP, length: int) -> bool:
    """Step five in ESTABLISHED and after it: window and acknowledgement. False: the segment is not to be believed."""
    ack = segment.ack
    ahead = sequence.difference(ack, tcb.snd_una)
    if ahead < 0:
        return _old_acknowledgement(worker, tcp, tcb, segment, ahead)
    if sequence.after(ack, tcb.snd_nxt):
        # RFC 9293 3.10.7.4: of something that was not sent: answer, drop
        challenge(worker, tcp, tcb)
        return False
    signals = PURE if length == 0 else 0
    window = segment.window << tcb.snd_scale
    if (
        ahead > 0
        or sequence.after(segment.seq, tcb.snd_wl1)
        or (segment.seq == tcb.snd_wl1 and (window > tcb.snd_window or window == 0))  # as Linux: not a little less
    ):
        tcb.snd_wl1 = segment.seq
        if window != tcb.snd_window:
            signals |= WINDOW_CHANGED
            tcb.snd_window = window
            tcb.snd_window_max = max(tcb.snd_window_max, window)
    if tcb.snd_nxt == tcb.snd_una:
        if tcb.retransmit_kind == WINDOW_PROBE:
            _probe_answered(tcp, tcb)
        if limit_of(tcb) != tcb.snd_nxt:
            look_at(tcp, tcb)
        tcb.probes = 0
        if tcp.options.sack_blocks != 0 or tcb.segments.block != 0:
            acknowledge(worker, tcp, tcb, ack, tcp.options, signals)  # a late DSACK undoes a reduction, or ends a probe
        return True
    if segment.flags & ECE != 0 and tcb.agreed & ECN != 0:
        signals |= ECE_SEEN
    tcb.probes = 0
    acknowledge(worker, tcp, tcb, ack, tcp.options, signals)
    if ahead > 0:
        if tcb.rare != 0:
            probe_acknowledged(worker, tcp, tcb)
        _room_to_send(worker, tcp, tcb)
    if tcb.lost != 0 or limit_of(tcb) != tcb.snd_nxt:
        look_at(tcp, tcb)
    return True


@cold
def _old_acknowledgement(worker: Worker, tcp: Tcp, tcb: Tcb, segment: TCP, ahead: int) -> bool:
    """An acknowledgement of what is acknowledged: its SACK blocks may count, its age may tell a forger (RFC 5961 5)."""
    if -ahead > min(tcb.snd_window_max, tcb.octets_out) + 1:  # the latter as Linux: below it nothing was ever sent
        count(worker, OLD_ACKS, 1)
        challenge(worker, tcp, tcb)
        return False
    if tcb.snd_nxt != tcb.snd_una and tcp.options.sack_blocks != 0:
        acknowledge(worker, tcp, tcb, tcb.snd_una, tcp.options, 0)
        if tcb.lost != 0:
            look_at(tcp, tcb)
    return True


@cold
def _probe_answered(tcp: Tcp, tcb: Tcb) -> None:
    """The window probe's answer: with an open window data goes on, with a shut one the probing (RFC 9293 3.8.6.1)."""
    if tcb.snd_window > 0:
        tcb.retransmit_kind, tcb.retransmit_at, tcb.backoff = 0, NEVER, 0


@leaf
def _room_to_send(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """Octets were acknowledged: give memory back, and tell the application if it waits."""
    if tcb.snd_una == tcb.snd_end or sequence.after(tcb.snd_una, tcb.snd_end):
        stream_free(Buddy(endpoints_of(worker).buddy), tcb.send)
    if tcb.flags & WANTS_SPACE != 0:
        offer_room(worker, tcp, tcb)


@leaf
def _remember_timestamp(tcp: Tcp, tcb: Tcb, seq: int) -> None:
    """RFC 7323 4.3 (2): the timestamp to echo is that of the segment at the left edge of what is acknowledged next."""
    options = tcp.options
    if options.present & HAS_TIMESTAMPS == 0 or sequence.after(seq, tcb.rcv_acked):
        return
    if not sequence.before(options.timestamp, tcb.ts_recent):
        tcb.ts_recent = options.timestamp


@hot
def _congestion_input(tcp: Tcp, tcb: Tcb, packet: Packet, flags: int, octets: int) -> None:
    """What routers marked is reported until the peer says that it has slowed down (RFC 3168 6.1.3)."""
    if flags & CWR != 0:
        tcb.flags &= ~ECE_OWED
        tcb.quick = max(tcb.quick, 1)
    tos = IPv4(packet.network).tos if packet.family == 4 else traffic_class(IPv6(packet.network))
    if tos & 3 == CE and octets > 0:
        if tcb.flags & ECE_OWED == 0:
            ack_now(tcp, tcb)
        tcb.flags |= ECE_OWED
