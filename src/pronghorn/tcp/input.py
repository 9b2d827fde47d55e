"""A TCP segment: its connection, its checksum, its verdict.

    tcp_prepare(worker, packet)                    # looks ahead over a burst: hashes, asks for the line of the index
    tcp_prefetch(worker, packet)                   # and for the connection's lines
    verdict = connection_input(worker, packet)     # CONTINUE: no connection has these addresses and ports
    verdict = listener_input(worker, packet)       # then, if the packet is for us: who listens?

The header's shape has been checked (input/transport.py). Whoever has a connection with the segment's addresses and
ports is its receiver; whether the destination is an address of ours needs asking for the others alone. NO_LISTENER
means that nobody wants the segment: the caller answers by a reset (RFC 9293 3.10.7.1).
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, prefetch
from pronghorn.memory.buddy import Buddy, buddy_address
from pronghorn.memory.hashtable import HashIndex, hash_first, hash_next, hash_prefetch
from pronghorn.net.reset import send_reset
from pronghorn.net.state import MAPPED
from pronghorn.state.endpoints import count, endpoints_of
from pronghorn.state.mib import IN_CSUM_ERRORS, IN_ERRS, IN_SEGS
from pronghorn.state.packet import NO_PACKET, PREPARED, Packet
from pronghorn.state.verdicts import CONTINUE, NO_LISTENER
from pronghorn.state.worker import Worker
from pronghorn.tcp.checksum import verify_segment
from pronghorn.tcp.established import segment_input
from pronghorn.tcp.handshake import listen_input, syn_sent_input
from pronghorn.tcp.lookup import tuple_hash
from pronghorn.tcp.tcb import CLOSED, FREE, SYN_SENT, Identity, Tcp, identity_at, tcp_of
from pronghorn.tcp.time_wait import waiting_at, waiting_end
from pronghorn.tcp.waiting import is_new_connection, waiting_input
from pronghorn.wire import tcp as wire
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import TCP


@leaf
def tcp_prepare(worker: Worker, packet: Packet) -> None:
    """First look ahead. network, transport and family are set; sets hash and next."""
    index = HashIndex(tcp_of(worker).index)
    hash = packet_hash(worker, packet)
    packet.hash = hash
    packet.next = NO_PACKET
    hash_prefetch(index, hash)


@leaf
def tcp_prefetch(worker: Worker, packet: Packet) -> None:
    """Second look: notes the first candidate in packet.next and asks for its lines, but the last two."""
    tcp = tcp_of(worker)
    candidate = hash_first(HashIndex(tcp.index), packet.hash)
    if candidate >= 0:
        packet.next = candidate
        address = identity_at(tcp, candidate).address
        prefetch(address)
        prefetch(address + 64)
        prefetch(address + 128)
        prefetch(address + 192)
        prefetch(address + 256)


@leaf
def tcp_prefetch_more(worker: Worker, packet: Packet) -> None:
    """Third look: the connection's lines are there; asks for its Flight, its socket, and where octets go."""
    tcp = tcp_of(worker)
    number = packet.next
    if number < tcp.fresh:
        tcb, endpoints = tcp.tcbs[number], endpoints_of(worker)
        flight = buddy_address(Buddy(endpoints.buddy), tcb.segments.block)
        prefetch(flight)
        prefetch(flight + 64)
        prefetch(endpoints.sockets[tcb.socket].address)


@leaf
def is_alive(state: int) -> bool:
    """Whether a connection in this state is to be found."""
    return state != FREE and state != CLOSED


@hot
def connection_input(worker: Worker, packet: Packet) -> int:
    """A segment of a connection of ours, from wherever it came. CONTINUE when there is none; then hash is set."""
    tcp = tcp_of(worker)
    if packet.flags & PREPARED == 0 or worker.balancer != 0:
        packet.hash = packet_hash(worker, packet)
        packet.next = NO_PACKET
    found = packet.next
    if found >= tcp.fresh or not is_alive(tcp.tcbs[found].state) or not is_of(identity_at(tcp, found), packet):
        found = _search(tcp, packet)
        if found < 0:
            return CONTINUE
    reason = verify_segment(packet)
    if reason != GOOD:
        count(worker, IN_CSUM_ERRORS, 1)
        return reason
    _read_options(worker, tcp, packet)
    return _known(worker, tcp, found, packet)


@leaf
def _read_options(worker: Worker, tcp: Tcp, packet: Packet) -> None:
    """The segment's options into tcp.options; what comes before a bad one counts."""
    count(worker, IN_SEGS, 1)
    if wire.parse_options(TCP(packet.transport), tcp.options) != GOOD:
        count(worker, IN_ERRS, 1)


@hot
def _known(worker: Worker, tcp: Tcp, number: int, packet: Packet) -> int:
    """By the connection's state."""
    if number >= tcp.limit:
        if not is_new_connection(tcp, waiting_at(tcp, number), TCP(packet.transport)):
            return waiting_input(worker, tcp, number, packet)
        waiting_end(worker, tcp, number)
        return refuse(worker, packet, listen_input(worker, tcp, packet, packet.hash))
    tcb = tcp.tcbs[number]
    if tcb.state == SYN_SENT:
        return refuse(worker, packet, syn_sent_input(worker, tcp, tcb, packet))
    return refuse(worker, packet, segment_input(worker, tcp, tcb, packet))


@leaf
def refuse(worker: Worker, packet: Packet, verdict: int) -> int:
    """A segment that nobody wants is answered by a reset. Returns the verdict."""
    if verdict == NO_LISTENER:
        send_reset(worker, packet)
    return verdict


@hot
def listener_input(worker: Worker, packet: Packet) -> int:
    """A segment of no connection, for an address of ours, that `connection_input` has seen. Returns the verdict."""
    tcp = tcp_of(worker)
    reason = verify_segment(packet)
    if reason != GOOD:
        count(worker, IN_CSUM_ERRORS, 1)
        return reason
    _read_options(worker, tcp, packet)
    verdict = listen_input(worker, tcp, packet, packet.hash)
    if verdict == CONTINUE:  # a cookie has made a connection
        found = _search(tcp, packet)
        if found >= 0:
            return _known(worker, tcp, found, packet)
    return refuse(worker, packet, verdict)


@leaf
def packet_hash(worker: Worker, packet: Packet) -> int:
    """The hash of the packet's four-tuple (lookup.py)."""
    segment = TCP(packet.transport)
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        return tuple_hash(0, MAPPED | ip4.src, 0, MAPPED | ip4.dst, segment.sport, segment.dport, worker.secret)
    ip6 = IPv6(packet.network)
    return tuple_hash(ip6.src_hi, ip6.src_lo, ip6.dst_hi, ip6.dst_lo, segment.sport, segment.dport, worker.secret)


@leaf
def is_of(tcb: Identity, packet: Packet) -> bool:
    """Whether the packet has the connection's addresses and ports."""
    segment = TCP(packet.transport)
    if tcb.remote_port != segment.sport or tcb.local_port != segment.dport:
        return False
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        return (
            tcb.remote_lo == MAPPED | ip4.src
            and tcb.local_lo == MAPPED | ip4.dst
            and tcb.remote_hi == 0
            and tcb.local_hi == 0
        )
    ip6 = IPv6(packet.network)
    return (
        tcb.remote_lo == ip6.src_lo
        and tcb.local_lo == ip6.dst_lo
        and tcb.remote_hi == ip6.src_hi
        and tcb.local_hi == ip6.dst_hi
    )


@hot
def _search(tcp: Tcp, packet: Packet) -> int:
    """Number of the packet's connection, or -1; packet.hash is set."""
    index = HashIndex(tcp.index)
    found = hash_first(index, packet.hash)
    while found >= 0 and not is_of(identity_at(tcp, found), packet):
        found = hash_next(index, packet.hash, found)
    return found
