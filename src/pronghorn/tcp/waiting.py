"""Segments for a connection in TIME_WAIT (RFC 9293 3.10.7.4, RFC 1337, RFC 6191)."""

from __future__ import annotations

from pronghorn.compiled import hot, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import PAWS_ESTAB, TIME_WAIT_RECYCLED
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import TCP_OLD, TCP_PAWS
from pronghorn.state.worker import Worker
from pronghorn.tcp.challenge import challenge
from pronghorn.tcp.emit import emit_ack
from pronghorn.tcp.life import time_wait
from pronghorn.tcp.tcb import TIMESTAMPS, Tcb, Tcp
from pronghorn.wire.tcp import ACK, FIN, HAS_TIMESTAMPS, RST, SYN, TCP, header_octets


@hot
def is_new_connection(tcp: Tcp, tcb: Tcb, segment: TCP) -> bool:
    """Whether a SYN may end TIME_WAIT: its timestamp is later than the last one seen, or its sequence number is beyond
    what was received (RFC 6191 2, RFC 1122 4.2.2.13)."""
    if segment.flags & (SYN | ACK | RST | FIN) != SYN:
        return False
    options = tcp.options
    if tcb.agreed & TIMESTAMPS != 0 and options.present & HAS_TIMESTAMPS != 0:
        if sequence.after(options.timestamp, tcb.ts_recent):
            return True
        if sequence.before(options.timestamp, tcb.ts_recent):
            return False
    return sequence.after(segment.seq, tcb.rcv_nxt)


@hot
def waiting_input(worker: Worker, tcp: Tcp, tcb: Tcb, packet: Packet) -> int:
    """Anything else. A FIN that comes again begins the wait anew; a reset does not end it (RFC 1337)."""
    segment = TCP(packet.transport)
    options, flags = tcp.options, segment.flags
    if flags & RST != 0:
        return TCP_OLD
    stamped = tcb.agreed & TIMESTAMPS != 0 and options.present & HAS_TIMESTAMPS != 0
    if stamped and sequence.before(options.timestamp, tcb.ts_recent):
        count(worker, PAWS_ESTAB, 1)
        challenge(worker, tcp, tcb)
        return TCP_PAWS
    octets = packet.data + packet.length - packet.transport - header_octets(segment)
    if flags & FIN != 0 and sequence.add(segment.seq, octets + 1) == tcb.rcv_nxt:
        time_wait(worker, tcp, tcb)
        emit_ack(worker, tcp, tcb)
    elif octets > 0 or flags & (SYN | FIN) != 0:
        challenge(worker, tcp, tcb)
    return TCP_OLD


@hot
def reuse(worker: Worker, tcp: Tcp, tcb: Tcb, now: int) -> bool:
    """Whether an active open may take over the four-tuple of a connection in TIME_WAIT (Linux's tcp_tw_reuse): their
    timestamps tell the two apart after a second."""
    if tcp.time_wait_reuse == 0 or tcb.agreed & TIMESTAMPS == 0:
        return False
    if now - (tcb.alarm_at - tcp.time_wait_ns) < 1_000_000_000:
        return False
    count(worker, TIME_WAIT_RECYCLED, 1)
    return True
