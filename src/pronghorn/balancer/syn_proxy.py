"""SYN proxy, first step: a SYN is answered with a cookie, and forgotten (RFC 4987 3.6).

    client                     gateway                    server
      | SYN x                     |                          |
      | ------------------------> |  nothing is kept         |
      |  SYN c, ACK x+1, window 0 |                          |
      | <------------------------ |                          |
      | ACK c+1                   |                          |
      | ------------------------> | SYN x                    |        from here on: proxy_open.py
      |                           | -----------------------> |

The initial sequence number c holds all that the client's SYN said:

    bits 31-30  time, in units of 69 s, modulo 4       bits 29-27  MSS, as a place in wire/cookie_mss.py
    bits 26-23  window scale; 15: none offered         bit 22  SACK permitted       bit 21  timestamps
    bits 20-0   a keyed hash (SipHash) of addresses, ports, time, all that, and x

A cookie is believed for one to two units, by every worker of the engine, which have one key. Whoever guesses has one
chance in a million; with timestamps our TSval, which begins where another 32 bits of the hash say, must come back, too.
The options that are agreed on have to be those that servers agree on: a window scale, which may be another one than the
server's, for windows are converted; SACK and timestamps where the client offers them.

The window of the answer is closed, so that data waits until there is a server to take it; it opens by one segment if
the server is to hear of the connection only when data comes (`defer`). ECN is not agreed on, and data in a SYN (RFC
7413) is not taken.
"""

from __future__ import annotations

from pronghorn.balancer.lookup import SRC4, SRC6_HI
from pronghorn.balancer.proxy_tables import PROXY_ALWAYS, Proxy
from pronghorn.balancer.tables import TICK, Balancer, Service
from pronghorn.compiled import hot, leaf, load32, load64, sequence
from pronghorn.compiled.hashing import mix, shift_right
from pronghorn.compiled.siphash import sip5
from pronghorn.net.addresses import input_interface
from pronghorn.net.resolve import UNREACHABLE, packet_output, resolve4, resolve_back6
from pronghorn.state.packet import CHECKSUM_GOOD, CHECKSUM_PARTIAL, Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.verdicts import CONTINUE, NO_CONN, SYN_PROXY_BAD_ACK, SYN_PROXY_CHALLENGED, SYN_PROXY_DEFERRED
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import ipv4, ipv6
from pronghorn.wire.cookie_mss import mss_at, mss_place
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import (
    ACK,
    FIN,
    HAS_MSS,
    HAS_SACK_PERMITTED,
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
    header_octets,
    parse_options,
    verify4,
    verify6,
)

MASK = 0xFFFF_FFFF
UNIT = 36
"""worker.now >> UNIT is the time in units of a cookie."""
AGE = 2
"""Units that a cookie is believed for, its own counted."""
RECENT = 2 << UNIT >> TICK
"""Ticks after the last cookie in which one may come back."""
NO_SCALE = 15
SCALE = 7
"""Our window scale towards clients: windows up to 8 MiB, in steps of 128 octets; Linux's, as a rule."""
HOPS = 64
SAID = HAS_MSS | HAS_WINDOW_SCALE | HAS_SACK_PERMITTED | HAS_TIMESTAMPS
HASH = (1 << 21) - 1
DEFAULT_MSS4, DEFAULT_MSS6 = 536, 1220
"""Of a SYN that does not say (RFC 9293 3.7.1)."""
MTU = 1500
_PURPOSE = 0x53594E2070726F78
"""So that no other key of the engine is this one."""


@hot
def is_asked(balancer: Balancer, service: Service) -> bool:
    """Whether a SYN for the service, which has ASKS_COOKIE, is answered with a cookie now."""
    proxy = balancer.proxies[service.index]
    if proxy.mode == PROXY_ALWAYS or service.half_open >= proxy.limit:
        return True
    return balancer.count > balancer.conn_limit - (balancer.conn_limit >> 3)


# --- the cookie ---------------------------------------------------------------------------------------------------


@leaf
def options_of(said: TCPOptions, family: int) -> int:
    """Nine bits for what a SYN said."""
    mss = said.mss if said.present & HAS_MSS != 0 else (DEFAULT_MSS4 if family == 4 else DEFAULT_MSS6)
    scale = said.window_scale if said.present & HAS_WINDOW_SCALE != 0 else NO_SCALE
    bits = mss_place(mss) << 6 | scale << 2
    bits |= 2 if said.present & HAS_SACK_PERMITTED != 0 else 0
    return bits | (1 if said.present & HAS_TIMESTAMPS != 0 else 0)


@leaf
def read_bits(bits: int, said: TCPOptions) -> None:
    """The same, read the other way."""
    said.mss = mss_at(bits >> 6)
    said.window_scale = bits >> 2 & 15
    present = HAS_MSS | (HAS_WINDOW_SCALE if bits >> 2 & 15 != NO_SCALE else 0)
    said.present = present | (HAS_SACK_PERMITTED if bits & 2 != 0 else 0) | (HAS_TIMESTAMPS if bits & 1 != 0 else 0)


@hot
def cookie_secret(worker: Worker, packet: Packet, isn: int, time: int, bits: int) -> int:
    """64 bits that only this engine can tell: the low ones are the cookie's, above 32 our timestamps begin."""
    key, key2 = mix(_PURPOSE, -1, worker.secret), mix(_PURPOSE, time << 9 | bits, worker.secret)
    last = load32(packet.transport) | (isn & MASK) << 32
    if packet.family == 4:
        return sip5(key, key2, load64(packet.network + SRC4), 4, 0, 0, last)
    at = packet.network + SRC6_HI
    return sip5(key, key2, load64(at), load64(at + 8), load64(at + 16), load64(at + 24), last)


@leaf
def make_cookie(secret: int, time: int, bits: int) -> int:
    """The cookie."""
    return (time & 3) << 30 | bits << 21 | secret & HASH


@leaf
def stamp_now(worker: Worker, secret: int) -> int:
    """Our TSval towards the client: ticks, from where the hash says."""
    return ((worker.now >> TICK) + shift_right(secret, 32)) & MASK


# --- a SYN --------------------------------------------------------------------------------------------------------


@hot
def challenge(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> int:
    """Answer the SYN with a cookie. Returns its verdict."""
    reason = verify(packet)
    if reason != GOOD:
        return reason
    segment, said = TCP(packet.transport), TCPOptions(balancer.said)
    parse_options(segment, said)
    time, bits = worker.now >> UNIT, options_of(said, packet.family)
    secret = cookie_secret(worker, packet, segment.seq, time, bits)
    said.present &= SAID
    said.present |= HAS_MSS
    said.echo = said.timestamp
    said.timestamp = stamp_now(worker, secret)
    said.window_scale = SCALE
    said.mss = our_mss(worker, packet)
    proxy = balancer.proxies[service.index]
    window = said.mss if proxy.defer != 0 else 0
    _answer(worker, packet, make_cookie(secret, time, bits), window, said)
    proxy.challenged += 1
    proxy.asked, proxy.recent = 1, worker.now >> TICK
    return SYN_PROXY_CHALLENGED


@leaf
def our_mss(worker: Worker, packet: Packet) -> int:
    """What a segment from the client may have: a server on an Ethernet takes it, and the port does."""
    mtu = min(MTU, worker.ports[packet.port].mtu)
    return mtu - (ipv4.HEADER if packet.family == 4 else ipv6.HEADER) - HEADER


@hot
def verify(packet: Packet) -> int:
    """The checksum of a segment that ends here: GOOD, or what is wrong with it."""
    if packet.flags & (CHECKSUM_GOOD | CHECKSUM_PARTIAL) != 0:
        return GOOD
    octets = packet.data + packet.length - packet.transport
    if packet.family == 4:
        return verify4(IPv4(packet.network), TCP(packet.transport), octets)
    return verify6(IPv6(packet.network), TCP(packet.transport), octets)


@hot
def _answer(worker: Worker, packet: Packet, seq: int, window: int, options: TCPOptions) -> None:
    """Send SYN and ACK back to where the SYN came from."""
    answer = originate(worker)
    if answer.address == 0:
        return
    segment, header = TCP(packet.transport), ipv4.HEADER if packet.family == 4 else ipv6.HEADER
    answer.family, answer.protocol = packet.family, PROTOCOL_TCP
    answer.network, answer.transport = answer.data, answer.data + header
    octets = HEADER + emit_options(answer.transport + HEADER, options)
    answer.length = header + octets
    emit(answer.transport, segment.dport, segment.sport, seq, sequence.add(segment.seq, 1), SYN | ACK, window, octets)
    hop = UNREACHABLE
    if packet.family == 4:
        ip = IPv4(packet.network)
        ident = random_number(worker) & 0xFFFF
        ipv4.emit(
            answer.network, 0, answer.length, ident, DO_NOT_FRAGMENT, HOPS, PROTOCOL_TCP, ip.dst, ip.src
        )  # fmt: skip
        fill_checksum4(IPv4(answer.network), TCP(answer.transport), octets)
        hop = resolve4(worker, ip.src)
    else:
        ip6 = IPv6(packet.network)
        hi, lo = ip6.src_hi, ip6.src_lo
        ipv6.emit(answer.network, 0, octets, PROTOCOL_TCP, HOPS, ip6.dst_hi, ip6.dst_lo, hi, lo)
        fill_checksum6(IPv6(answer.network), TCP(answer.transport), octets)
        interface = input_interface(worker, packet)
        if interface >= 0:
            hop = resolve_back6(worker, interface, hi, lo)
    finish(worker, answer, packet_output(worker, answer, hop))


# --- what comes back ----------------------------------------------------------------------------------------------


@hot
def check_cookie(worker: Worker, balancer: Balancer, service: Service, packet: Packet) -> int:
    """A segment of no connection that is no SYN: CONTINUE if it brings a good cookie back, or the verdict.

    Then `balancer.said` holds what the client's SYN said, and the client's timestamp with the echo of ours.
    """
    segment, proxy = TCP(packet.transport), balancer.proxies[service.index]
    now = worker.now >> TICK
    if segment.flags & (SYN | RST | FIN | ACK) != ACK or not _may_come(proxy, now):
        service.no_conn += 1
        return NO_CONN
    reason = verify(packet)
    if reason != GOOD:
        return reason
    said, cookie = TCPOptions(balancer.said), sequence.add(segment.ack, -1)
    parse_options(segment, said)
    time, bits = worker.now >> UNIT, cookie >> 21 & 0x1FF
    age = (time - (cookie >> 30)) & 3
    secret = cookie_secret(worker, packet, sequence.add(segment.seq, -1), time - age, bits)
    good = age < AGE and make_cookie(secret, time - age, bits) == cookie
    if good and bits & 1 != 0:
        told = sequence.difference(stamp_now(worker, secret), said.echo)
        good = said.present & HAS_TIMESTAMPS != 0 and 0 <= told <= RECENT
    if not good:
        proxy.bad += 1
        service.no_conn += 1
        return SYN_PROXY_BAD_ACK
    if proxy.defer != 0 and packet.data + packet.length - packet.transport == header_octets(segment):
        return SYN_PROXY_DEFERRED
    read_bits(bits, said)
    return CONTINUE


@leaf
def _may_come(proxy: Proxy, now: int) -> bool:
    """Whether somebody may have a cookie now."""
    return proxy.asked != 0 and sequence.difference(now, proxy.recent) <= RECENT
