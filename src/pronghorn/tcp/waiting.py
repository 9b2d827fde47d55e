"""Segments for a connection in TIME_WAIT (RFC 9293 3.10.7.4, RFC 1337, RFC 6191)."""

from __future__ import annotations

from pronghorn.compiled import hot, sequence
from pronghorn.state.endpoints import count
from pronghorn.state.mib import PAWS_ESTAB
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import DELIVERED, TCP_OLD, TCP_PAWS
from pronghorn.state.worker import Worker
from pronghorn.tcp.challenge import challenge
from pronghorn.tcp.emit import emit_ack
from pronghorn.tcp.strays import stray_keep
from pronghorn.tcp.tcb import TIMESTAMPS, Tcp, Waiting
from pronghorn.tcp.time_wait import as_tcb, waiting_again, waiting_at
from pronghorn.wire.tcp import ACK, FIN, HAS_TIMESTAMPS, RST, SYN, TCP, header_octets


@hot
def is_new_connection(tcp: Tcp, waiting: Waiting, segment: TCP) -> bool:
    """Whether a SYN may end TIME_WAIT: its timestamp is later than the last one seen, or its sequence number is beyond
    what was received (RFC 6191 2, RFC 1122 4.2.2.13)."""
    if segment.flags & (SYN | ACK | RST | FIN) != SYN:
        return False
    options = tcp.options
    if waiting.agreed & TIMESTAMPS != 0 and options.present & HAS_TIMESTAMPS != 0:
        if sequence.after(options.timestamp, waiting.ts_recent):
            return True
        if sequence.before(options.timestamp, waiting.ts_recent):
            return False
    return sequence.after(segment.seq, waiting.rcv_nxt)


@hot
def waiting_input(worker: Worker, tcp: Tcp, number: int, packet: Packet) -> int:
    """Anything else, for the connection of this number. A FIN that comes again begins the wait anew; a reset does not
    end it (RFC 1337). What is another engine's by now is kept for that."""
    segment, waiting = TCP(packet.transport), waiting_at(tcp, number)
    options, flags = tcp.options, segment.flags
    if waiting.given != 0 and stray_keep(worker, tcp, waiting, packet):
        return DELIVERED
    if flags & RST != 0:
        return TCP_OLD
    tcb = as_tcb(tcp, waiting)
    stamped = tcb.agreed & TIMESTAMPS != 0 and options.present & HAS_TIMESTAMPS != 0
    if stamped and sequence.before(options.timestamp, tcb.ts_recent):
        count(worker, PAWS_ESTAB, 1)
        challenge(worker, tcp, tcb)
        waiting.challenged = tcb.challenged
        return TCP_PAWS
    octets = packet.data + packet.length - packet.transport - header_octets(segment)
    if flags & FIN != 0 and sequence.add(segment.seq, octets + 1) == tcb.rcv_nxt:
        waiting_again(worker, tcp, number)
        emit_ack(worker, tcp, tcb)
    elif octets > 0 or flags & (SYN | FIN) != 0:
        challenge(worker, tcp, tcb)
        waiting.challenged = tcb.challenged
    return TCP_OLD
