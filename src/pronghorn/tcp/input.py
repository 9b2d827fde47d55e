"""A TCP segment for this host: its checksum, its connection, its verdict.

    verdict = tcp_input(worker, packet)

The header's shape has been checked (input/transport.py). NO_LISTENER means that nobody wants the segment: the caller
answers by a reset (RFC 9293 3.10.7.1).
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.net.state import MAPPED
from pronghorn.state.endpoints import count
from pronghorn.state.mib import IN_ERRS, IN_SEGS
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import CONTINUE
from pronghorn.state.worker import Worker
from pronghorn.tcp.established import segment_input
from pronghorn.tcp.handshake import listen_input, syn_sent_input
from pronghorn.tcp.life import finish_tcb
from pronghorn.tcp.lookup import find_tcb, tuple_hash
from pronghorn.tcp.tcb import SYN_SENT, TIME_WAIT, Tcp, tcp_of
from pronghorn.tcp.waiting import is_new_connection, waiting_input
from pronghorn.wire import tcp as wire
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import TCP


@hot
def tcp_input(worker: Worker, packet: Packet) -> int:
    """The segment at packet.transport; its checksum has been verified. Returns the verdict."""
    tcp = tcp_of(worker)
    segment = TCP(packet.transport)
    count(worker, IN_SEGS, 1)
    if wire.parse_options(segment, tcp.options) != GOOD:
        count(worker, IN_ERRS, 1)  # what came before the bad option counts
    hash, found = _find(worker, tcp, packet, segment)
    if found < 0:
        verdict = listen_input(worker, tcp, packet, hash)
        if verdict != CONTINUE:
            return verdict
        hash, found = _find(worker, tcp, packet, segment)
    tcb = tcp.tcbs[found]
    if tcb.state == SYN_SENT:
        return syn_sent_input(worker, tcp, tcb, packet)
    if tcb.state == TIME_WAIT:
        if is_new_connection(tcp, tcb, segment):
            finish_tcb(worker, tcp, tcb, 0)
            return listen_input(worker, tcp, packet, hash)
        return waiting_input(worker, tcp, tcb, packet)
    return segment_input(worker, tcp, tcb, packet)


@leaf
def _find(worker: Worker, tcp: Tcp, packet: Packet, segment: TCP) -> tuple[int, int]:
    """The hash of the packet's four-tuple, and the number of its connection or -1."""
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        remote_hi, remote_lo, local_hi, local_lo = 0, MAPPED | ip4.src, 0, MAPPED | ip4.dst
    else:
        ip6 = IPv6(packet.network)
        remote_hi, remote_lo, local_hi, local_lo = ip6.src_hi, ip6.src_lo, ip6.dst_hi, ip6.dst_lo
    sport, dport = segment.sport, segment.dport
    hash = tuple_hash(remote_hi, remote_lo, local_hi, local_lo, sport, dport, worker.secret)
    return hash, find_tcb(tcp, hash, remote_hi, remote_lo, local_hi, local_lo, sport, dport)
