"""SYN proxy, second and third step: the server's side of a connection whose client has brought a cookie back.

    client                     gateway                    server
      | ACK c+1                   |                          |
      | ------------------------> | SYN x, client's options  |
      |                           | -----------------------> |   again after 1, 2 and 4 seconds
      |                           |      SYN s, ACK x+1      |
      |                           | <----------------------- |
      |  ACK x+1, server's window | ACK s+1                  |
      | <------------------------ | -----------------------> |
      |                data, sequence numbers differ by c - s                forwarding/proxied.py

What the client sends before the server has answered is dropped: its window is closed, and what it sends all the same
(a probe, the segment that told of it) comes again. A server that refuses, or does not answer within 15 seconds, is not
replaced by another one: the client gets a reset. Segments that are made here count neither for the connection nor for
its server.

The server's SYN says what the client's said, window scale included, so the client's windows and timestamps mean there
what they meant; where the server does not scale windows they are converted. The server's timestamps count from
elsewhere than those that the client has from us: they are moved, as sequence numbers are, so that none seems old (RFC
7323 5). Left out: a server without timestamps behind a client with them sends segments without, as RFC 7323 3.2 does
not want it; Linux takes them.
"""

from __future__ import annotations

from pronghorn.balancer.conns import end_conn
from pronghorn.balancer.forwarding.rewrite import rewrite4, rewrite6
from pronghorn.balancer.lookup import SRC4, SRC6_HI
from pronghorn.balancer.output import next_hop
from pronghorn.balancer.proxy_tables import PROXIED_OPEN, PROXIED_WAITING, Proxied
from pronghorn.balancer.syn_proxy import HOPS, MASK, SCALE, verify
from pronghorn.balancer.tables import (
    ESTABLISHED,
    PROXIED,
    REPLY,
    REQUEST,
    TICK,
    WAYS,
    Balancer,
    Service,
    server_of,
)
from pronghorn.balancer.tcp_state import enter
from pronghorn.compiled import copy, fill, hot, sequence, store32, store64
from pronghorn.memory.wheel import Wheel, timer_move
from pronghorn.net.reset import send_reset
from pronghorn.net.resolve import packet_output
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.verdicts import (
    CONTINUE,
    SERVICE_NO_SERVER,
    SYN_PROXY_ANSWERED,
    SYN_PROXY_BAD_ANSWER,
    SYN_PROXY_EARLY,
    SYN_PROXY_OPENED,
    TCP_RESET,
)
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import ipv4, ipv6
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import (
    ACK,
    HAS_TIMESTAMPS,
    HAS_WINDOW_SCALE,
    HEADER,
    RST,
    SYN,
    TCP,
    TCPOptions,
    emit,
    emit_options,
    fill_checksum4,
    fill_checksum6,
    parse_options,
)

TRIES = 4
"""SYNs that a server gets."""
_SECOND = 1_000_000_000 >> TICK
_LARGEST = 65_535


# --- the SYN ------------------------------------------------------------------------------------------------------


@hot
def begin(worker: Worker, balancer: Balancer, service: Service, packet: Packet, flow: int) -> int:
    """The connection was opened for an acknowledgement with a good cookie, and `balancer.said` is what that stands
    for: ask the server. Returns the packet's verdict."""
    number = flow >> 1
    conn, segment, said = balancer.conns[number], TCP(packet.transport), TCPOptions(balancer.said)
    if conn.keys[REPLY] >> 40 != conn.keys[REQUEST] >> 40:
        end_conn(balancer, number)  # its server answers clients itself, or is of the other family
        send_reset(worker, packet)
        return SERVICE_NO_SERVER
    conn.flags = conn.flags & ~WAYS | PROXIED
    proxied = balancer.proxied[number]
    fill(proxied.address, 0, Proxied.SIZE)
    proxied.isn, proxied.cookie = sequence.add(segment.seq, -1), sequence.add(segment.ack, -1)
    proxied.mss, proxied.options, proxied.scale = said.mss, said.present, said.window_scale
    proxied.stamp, proxied.told, proxied.window = said.timestamp, said.echo, segment.window
    balancer.proxies[service.index].opened += 1
    ask_server(worker, balancer, number)
    return SYN_PROXY_OPENED


@hot
def ask_server(worker: Worker, balancer: Balancer, number: int) -> None:
    """Send a SYN as the client would, and see to the next."""
    proxied, said = balancer.proxied[number], TCPOptions(balancer.said)
    said.present, said.mss, said.window_scale = proxied.options, proxied.mss, proxied.scale
    said.timestamp, said.echo = proxied.stamp, 0
    scale = proxied.scale if proxied.options & HAS_WINDOW_SCALE != 0 else 0
    window = min(proxied.window << scale, _LARGEST)
    _send(worker, balancer, 2 * number + REQUEST, proxied.isn, 0, SYN, window)
    timer_move(Wheel(balancer.wheel), number, (worker.now >> TICK) + (_SECOND << proxied.tries) + 1)
    proxied.tries += 1


@hot
def ask_again(worker: Worker, balancer: Balancer, number: int) -> None:
    """The server has not answered in time: another SYN, or the end of the connection."""
    if balancer.proxied[number].tries < TRIES:
        ask_server(worker, balancer, number)
        return
    balancer.servers[server_of(balancer.conns[number])].unanswered += 1
    _refuse(worker, balancer, number)


@hot
def _refuse(worker: Worker, balancer: Balancer, number: int) -> None:
    """Tell the client that the connection is over, and forget it."""
    proxied = balancer.proxied[number]
    TCPOptions(balancer.said).present = 0
    seq, ack = sequence.add(proxied.cookie, 1), sequence.add(proxied.isn, 1)
    _send(worker, balancer, 2 * number + REPLY, seq, ack, RST | ACK, 0)
    end_conn(balancer, number)


# --- what comes before and with the server's answer ------------------------------------------------------------------


@hot
def proxied_input(worker: Worker, balancer: Balancer, packet: Packet, flow: int) -> int:
    """A segment of a connection that is not open yet, or one with SYN, FIN or RST. CONTINUE, or its verdict."""
    number, segment = flow >> 1, TCP(packet.transport)
    proxied, flags = balancer.proxied[number], segment.flags
    if proxied.state == PROXIED_WAITING:
        if flow & 1 == REQUEST:
            return _from_client(worker, balancer, packet, number)
        return _from_server(worker, balancer, packet, number)
    if flow & 1 == REPLY and flags & SYN != 0:  # our acknowledgement was lost
        if sequence.add(proxied.cookie, -proxied.delta) != segment.seq:
            return SYN_PROXY_BAD_ANSWER
        _confirm(worker, balancer, packet, number)
        return SYN_PROXY_ANSWERED
    return CONTINUE


@hot
def _from_client(worker: Worker, balancer: Balancer, packet: Packet, number: int) -> int:
    """The client has no server yet; it may give up."""
    segment, isn = TCP(packet.transport), balancer.proxied[number].isn
    if segment.flags & RST == 0:
        return SYN_PROXY_EARLY
    if segment.seq != sequence.add(isn, 1) or verify(packet) != GOOD:
        return SYN_PROXY_BAD_ANSWER
    TCPOptions(balancer.said).present = 0
    _send(worker, balancer, 2 * number + REQUEST, segment.seq, 0, RST, 0)
    end_conn(balancer, number)
    return TCP_RESET


@hot
def _from_server(worker: Worker, balancer: Balancer, packet: Packet, number: int) -> int:
    """What the server says to our SYN (RFC 9293 3.10.7.3)."""
    segment, proxied = TCP(packet.transport), balancer.proxied[number]
    flags = segment.flags
    reason = verify(packet)
    if reason != GOOD:
        return reason
    if flags & ACK == 0:
        return SYN_PROXY_BAD_ANSWER
    if segment.ack != sequence.add(proxied.isn, 1):
        if flags & RST == 0:  # an earlier connection's: the server forgets it, and our next SYN is welcome
            TCPOptions(balancer.said).present = 0
            _send(worker, balancer, 2 * number + REQUEST, segment.ack, 0, RST, 0)
        return SYN_PROXY_BAD_ANSWER
    if flags & RST != 0:
        balancer.servers[server_of(balancer.conns[number])].refused += 1
        _refuse(worker, balancer, number)
        return TCP_RESET
    if flags & SYN == 0:
        return SYN_PROXY_BAD_ANSWER
    answer = TCPOptions(balancer.said)
    parse_options(segment, answer)
    _agree(proxied, segment, answer)
    enter(worker, balancer, number, ESTABLISHED)
    stamp = answer.timestamp
    _confirm(worker, balancer, packet, number)
    window = segment.window >> proxied.shrink[REPLY]
    answer.present, answer.timestamp, answer.echo = (
        proxied.options & HAS_TIMESTAMPS,
        sequence.add(stamp, proxied.stamp_delta),
        proxied.stamp,
    )
    seq, ack = sequence.add(proxied.cookie, 1), sequence.add(proxied.isn, 1)
    _send(worker, balancer, 2 * number + REPLY, seq, ack, ACK, window)
    return SYN_PROXY_ANSWERED


@hot
def _agree(proxied: Proxied, segment: TCP, answer: TCPOptions) -> None:
    """Work out what the two ends' numbers differ by, from the server's SYN."""
    proxied.delta = sequence.difference(proxied.cookie, segment.seq) & MASK
    stamps = proxied.options & answer.present & HAS_TIMESTAMPS != 0
    proxied.stamp_delta = sequence.difference(proxied.told, answer.timestamp) & MASK if stamps else 0
    proxied.state = PROXIED_OPEN
    if proxied.options & HAS_WINDOW_SCALE == 0:
        return
    proxied.shrink[REPLY] = SCALE
    if answer.present & HAS_WINDOW_SCALE != 0:
        proxied.grow[REPLY] = answer.window_scale
    else:
        proxied.grow[REQUEST] = proxied.scale


@hot
def _confirm(worker: Worker, balancer: Balancer, packet: Packet, number: int) -> None:
    """Acknowledge the server's SYN as the client would; `packet` is that."""
    segment, proxied, said = TCP(packet.transport), balancer.proxied[number], TCPOptions(balancer.said)
    parse_options(segment, said)
    said.present &= proxied.options & HAS_TIMESTAMPS
    said.echo, said.timestamp = said.timestamp, proxied.stamp
    window = min(proxied.window << proxied.grow[REQUEST], _LARGEST)
    ack, seq = sequence.add(segment.seq, 1), sequence.add(proxied.isn, 1)
    _send(worker, balancer, 2 * number + REQUEST, seq, ack, ACK, window)


# --- segments of our own ------------------------------------------------------------------------------------------


@hot
def _send(worker: Worker, balancer: Balancer, flow: int, seq: int, ack: int, flags: int, window: int) -> None:
    """Send on a segment as if it had come with the flow; its options are in `balancer.said`."""
    conn, direction = balancer.conns[flow >> 1], flow & 1
    hop = next_hop(worker, balancer, flow)
    packet = originate(worker)
    if packet.address == 0:
        return
    four = conn.keys[REQUEST] >> 40 == 4
    header = ipv4.HEADER if four else ipv6.HEADER
    packet.family, packet.protocol = (4 if four else 6), PROTOCOL_TCP
    packet.network, packet.transport = packet.data, packet.data + header
    octets = HEADER + emit_options(packet.transport + HEADER, TCPOptions(balancer.said))
    packet.length = header + octets
    emit(packet.transport, 0, 0, seq, ack, flags, window, octets)
    store32(packet.transport, conn.keys[direction] & MASK)
    if four:
        ident = random_number(worker) & 0xFFFF
        ipv4.emit(packet.network, 0, packet.length, ident, DO_NOT_FRAGMENT, HOPS + 1, PROTOCOL_TCP, 0, 0)
        store64(packet.network + SRC4, conn.addresses[direction])
        ipv4.fill_checksum(IPv4(packet.network))
        fill_checksum4(IPv4(packet.network), TCP(packet.transport), octets)
        rewrite4(packet, conn, direction)
    else:
        wide = balancer.wide[flow >> 1]
        ipv6.emit(packet.network, 0, octets, PROTOCOL_TCP, HOPS + 1, 0, 0, 0, 0)
        copy(packet.network + SRC6_HI, wide.address + 32 * direction, 32)
        fill_checksum6(IPv6(packet.network), TCP(packet.transport), octets)
        rewrite6(packet, conn, wide, direction)
    finish(worker, packet, packet_output(worker, packet, hop))
