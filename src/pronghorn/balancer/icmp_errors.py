"""ICMP errors about balanced packets go to who sent them (RFC 5508 section 4; as IPVS's ip_vs_in_icmp and
handle_response_icmp).

'Unreachable' and 'too big', 'time exceeded' and 'parameter problem' quote the packet they are about: one that was sent
on here, and so what comes back for it, turned round, names its flow.

    from the servers' side, to the client; it quotes
        local:lport -> server:sport     (NAT: client:cport -> server:sport)     becomes client:cport -> service:vport
    from the clients' side, to the server; it quotes
        service:vport -> client:cport     becomes server:sport -> local:lport (NAT: server:sport -> client:cport)
    from the clients' side, about what a server sent that answers clients itself (direct routing, tunnels)
        to that server, as it came

What is quoted becomes what its sender sent: addresses, ports, and the checksums that cover them, as far as they are
quoted. Outside, an error for a client comes from the service, so that it tells nothing of the servers' network; one for
a server comes from the local address, with NAT from whoever reported. How the quoted packet was changed otherwise
(hops), options, extensions (RFC 4884) and sequence numbers stay what they are.

Rules: the error's checksum is right, for it is computed anew; it goes to the address that it quotes as source, or it is
forged. Eight octets of the quoted layer 4 are enough; a later fragment has no ports. An error ends no connection and
keeps none (RFC 5508 REQ-6), is not counted as a packet of it, uses up a hop without being reported itself, and passes a
rate limit that is for all. What it says of a path MTU the gateway believes too, as net/icmp.py does. Sequence numbers
are not known to a balancer: the ends look at those (RFC 5927).
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.direct import hand_on
from pronghorn.balancer.forwarding.proxied import translate_quoted
from pronghorn.balancer.forwarding.rewrite import change_in, turn64
from pronghorn.balancer.forwarding.translate_error import (
    FRONT,
    NONE,
    error_as4,
    error_as6,
    write_error4,
    write_error6,
)
from pronghorn.balancer.forwarding.tunnel import may_be_cut, tunnel_limit, tunnel_output
from pronghorn.balancer.lookup import flow_hash, hash4, hash6
from pronghorn.balancer.output import next_hop, no_way
from pronghorn.balancer.services import search_service
from pronghorn.balancer.tables import (
    ENCAPSULATE,
    HAND_ON,
    NO_LOCAL,
    PROXIED,
    REQUEST,
    REWRITE_SCTP,
    SERVER_REMOVED,
    TELL,
    TRANSLATE,
    WAYS,
    Balancer,
    Conn,
    server_of,
)
from pronghorn.compiled import (
    array_at,
    copy,
    hashing,
    hot,
    leaf,
    load16,
    load32,
    load64,
    load_be32,
    same,
    store32,
    store64,
    u64,
)
from pronghorn.memory.hashtable import HashIndex, hash_first, hash_next
from pronghorn.net.fragment_output import fragment4_output
from pronghorn.net.icmp import path_report4
from pronghorn.net.icmpv6 import path_report6
from pronghorn.net.rates import take_passage
from pronghorn.net.resolve import neighbour_output
from pronghorn.net.state import net_of
from pronghorn.state.packet import WHOLE, Packet
from pronghorn.state.verdicts import (
    CONTINUE,
    ICMP_IGNORED,
    ICMP_RATE_LIMITED,
    SERVICE_REMOVED,
    TOO_BIG,
    TTL_EXPIRED,
)
from pronghorn.state.worker import Worker
from pronghorn.wire import icmp, icmpv6, ipv4
from pronghorn.wire.checksum import add, apply, apply_udp
from pronghorn.wire.icmp import ICMP
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import TCP
from pronghorn.wire.udp import UDP

SRC4, DST4 = IPv4.offset("src"), IPv4.offset("dst")
SRC6, DST6 = IPv6.offset("src_hi"), IPv6.offset("dst_hi")
_CHECKSUM_END = TCP.offset("checksum") + 2
_KINDS4 = 1 << icmp.UNREACHABLE | 1 << icmp.TIME_EXCEEDED | 1 << icmp.PARAMETER_PROBLEM
_KINDS6 = 1 << icmpv6.UNREACHABLE | 1 << icmpv6.TOO_BIG | 1 << icmpv6.TIME_EXCEEDED | 1 << icmpv6.PARAMETER_PROBLEM


# --- what is quoted -----------------------------------------------------------------------------------------------


@hot
def quoted_at(packet: Packet) -> tuple[int, int]:
    """(protocol, offset from packet.transport) of the layer-4 header that the ICMP message quotes, when it is an error
    that is passed on and quotes TCP, UDP or SCTP with ports; else (0, 0)."""
    octets = packet.data + packet.length - packet.transport
    if octets < icmp.HEADER:
        return 0, 0
    kind = ICMP(packet.transport).type
    if kind > 15 or (_KINDS4 if packet.family == 4 else _KINDS6) >> (kind & 15) & 1 == 0:
        return 0, 0
    if packet.family == 4:
        reason, protocol, at = icmp.quote(packet.transport, octets)
    else:
        reason, protocol, at = icmpv6.quote(packet.transport, octets)
    known = protocol == PROTOCOL_TCP or protocol == PROTOCOL_UDP or protocol == PROTOCOL_SCTP
    if reason != GOOD or not known:
        return 0, 0
    return protocol, at


@leaf
def answer_key(packet: Packet, protocol: int, at: int) -> int:
    """Conn.keys of what comes back for the quoted packet."""
    layer4 = packet.transport + at
    return load16(layer4 + 2) | load16(layer4) << 16 | protocol << 32 | packet.family << 40


@hot
def find_quoted(balancer: Balancer, packet: Packet, protocol: int, at: int) -> int:
    """The flow of what comes back for the quoted packet, or -1: the error goes where packets of that flow go."""
    quoted, index = packet.transport + icmp.HEADER, HashIndex(balancer.index)
    key = answer_key(packet, protocol, at)
    if packet.family == 4:
        addresses = hashing.wrap(load32(quoted + SRC4) << 32 | load32(quoted + DST4))
        hash = hash4(addresses, key, index.secret)
    else:
        addresses, src, dst = 0, quoted + DST6, quoted + SRC6
        hash = hash6(load64(src), load64(src + 8), load64(dst), load64(dst + 8), key, index.secret)
    found = hash_first(index, hash)
    while found >= 0 and not _is_answer(balancer, found, quoted, key, addresses):
        found = hash_next(index, hash, found)
    return found


@leaf
def _is_answer(balancer: Balancer, flow: int, quoted: int, key: int, addresses: int) -> bool:
    """Whether the flow is that of what comes back for the packet at `quoted`; `addresses`: of IPv4, turned round."""
    conn, direction = balancer.conns[flow >> 1], flow & 1
    if conn.keys[direction] != key:
        return False
    if key >> 40 == 4:
        return conn.addresses[direction] == addresses
    words = balancer.wide[flow >> 1].address + 32 * direction
    return same(words, quoted + DST6, 16) and same(words + 16, quoted + SRC6, 16)


@hot
def is_from_service(balancer: Balancer, packet: Packet, protocol: int, at: int) -> bool:
    """Whether the quoted packet comes from a service: some worker has its connection, if any."""
    quoted, ports = packet.transport + icmp.HEADER, answer_key(packet, protocol, at) & ~0xFFFF
    if packet.family == 4:
        return search_service(balancer, 0, load32(quoted + SRC4), ports) >= 0
    return search_service(balancer, load64(quoted + SRC6), load64(quoted + SRC6 + 8), ports) >= 0


@hot
def check_error(worker: Worker, packet: Packet) -> int:
    """Whether the error may be passed on: GOOD, or the verdict."""
    octets = packet.data + packet.length - packet.transport
    quoted = packet.transport + icmp.HEADER
    if packet.family == 4:
        reason = icmp.verify(packet.transport, octets)
        fits = load32(packet.network + DST4) == load32(quoted + SRC4)
    else:
        reason = icmpv6.verify(IPv6(packet.network), packet.transport, octets)
        fits = same(packet.network + DST6, quoted + SRC6, 16)
    if reason != GOOD:
        return reason
    if not fits:
        return ICMP_IGNORED
    return GOOD if take_passage(worker) else ICMP_RATE_LIMITED


# --- passing it on ------------------------------------------------------------------------------------------------


@hot
def pass_error(worker: Worker, balancer: Balancer, packet: Packet, flow: int, protocol: int, at: int) -> int:
    """Send the error on to where packets of the flow go. Returns its verdict; CONTINUE: not with this way."""
    conn = balancer.conns[flow >> 1]
    way = conn.flags & WAYS
    if way > REWRITE_SCTP and way != TELL and way != PROXIED:
        return CONTINUE
    if balancer.servers[server_of(conn)].state == SERVER_REMOVED:
        return SERVICE_REMOVED
    verdict = check_error(worker, packet)
    if verdict != GOOD:
        return verdict
    hops = IPv4(packet.network).ttl if packet.family == 4 else IPv6(packet.network).hop_limit
    if hops <= 1:
        return TTL_EXPIRED
    if way != HAND_ON and way != ENCAPSULATE:
        _believe(worker, packet)
    hop = next_hop(worker, balancer, flow)
    if hop < 0:
        return no_way(worker, packet, hop)
    if way == ENCAPSULATE:
        return _send_into(worker, balancer, packet, flow, hop)
    if way == PROXIED and flow & 1 == REQUEST and protocol == PROTOCOL_TCP:
        translate_quoted(packet, packet.transport + at, balancer.proxied[flow >> 1])
    if way == HAND_ON:
        hand_on(packet)
    elif way == TRANSLATE:
        if not translate_across(balancer, packet, flow, protocol, at, net_of(worker).neighbours[hop].mtu):
            return ICMP_IGNORED
    elif packet.family == 4:
        translate4(balancer, packet, flow, protocol, at)
    else:
        translate6(balancer, packet, flow, protocol, at)
    return _send(worker, packet, hop)


@hot
def _send_into(worker: Worker, balancer: Balancer, packet: Packet, flow: int, hop: int) -> int:
    """Send the error through the server's tunnel, where packets of the flow go."""
    packet.hash = flow_hash(balancer, flow, HashIndex(balancer.index).secret)
    tunnel, mtu = balancer.tunnels[server_of(balancer.conns[flow >> 1])], net_of(worker).neighbours[hop].mtu
    octets = packet.data + packet.length - packet.network
    if octets > tunnel_limit(tunnel, packet.family, mtu) and not may_be_cut(packet):
        return TOO_BIG
    return tunnel_output(worker, packet, tunnel, hop, mtu, array_at(u64, balancer.pieces))


@leaf
def _believe(worker: Worker, packet: Packet) -> None:
    """A report of a path MTU is about a packet that the gateway sent, too."""
    message = ICMP(packet.transport)
    if packet.family == 6:
        if message.type == icmpv6.TOO_BIG:
            path_report6(worker, packet)
    elif message.type == icmp.UNREACHABLE and message.code == icmp.FRAGMENTATION_NEEDED:
        path_report4(worker, packet)


@hot
def translate4(balancer: Balancer, packet: Packet, flow: int, protocol: int, at: int) -> None:
    """Make the IPv4 packet and what it quotes what the receiver knows, one hop further."""
    conn, direction, quoted = balancer.conns[flow >> 1], flow & 1, packet.transport + icmp.HEADER
    inner, outer, message = IPv4(quoted), IPv4(packet.network), ICMP(packet.transport)
    inner.checksum = apply(inner.checksum, change_in(conn.change, direction))
    store64(quoted + SRC4, conn.addresses[direction ^ 1])
    _translate_ports(packet, conn, direction, protocol, at)
    src = load32(packet.network + SRC4)
    store64(packet.network + SRC4, turn64(conn.addresses[direction ^ 1]))
    if _keeps_reporter(balancer, flow):
        store32(packet.network + SRC4, src)
    outer.ttl -= 1
    ipv4.fill_checksum(outer)
    message.checksum = 0
    message.checksum = add(packet.transport, packet.data + packet.length - packet.transport) ^ 0xFFFF


@hot
def translate6(balancer: Balancer, packet: Packet, flow: int, protocol: int, at: int) -> None:
    """The same for an IPv6 packet."""
    conn, direction, quoted = balancer.conns[flow >> 1], flow & 1, packet.transport + icmpv6.HEADER
    outer, other = IPv6(packet.network), balancer.wide[flow >> 1].address + 32 * (direction ^ 1)
    copy(quoted + SRC6, other, 32)
    _translate_ports(packet, conn, direction, protocol, at)
    if not _keeps_reporter(balancer, flow):
        copy(packet.network + SRC6, other + 16, 16)
    copy(packet.network + DST6, other, 16)
    outer.hop_limit -= 1
    icmpv6.fill_checksum(outer, packet.transport, packet.data + packet.length - packet.transport)


@hot
def translate_across(balancer: Balancer, packet: Packet, flow: int, protocol: int, at: int, mtu: int) -> bool:
    """Make the error what the receiver, who is of the other family, knows; `mtu` is that of the way to it. False: no
    error there says the same."""
    conn, direction, layer4 = balancer.conns[flow >> 1], flow & 1, packet.transport + at
    if packet.family == 4:
        kind, code, rest = error_as6(ICMP(packet.transport), mtu)
        if kind == NONE or packet.network - packet.chunk < FRONT:
            return False
        _translate_ports(packet, conn, direction, protocol, at)
        write_error6(packet, balancer.wide[flow >> 1], direction, layer4, kind, code, rest)
        return True
    kind, code, rest = error_as4(ICMPv6(packet.transport), load_be32(packet.transport + 4), mtu)
    if kind == NONE:
        return False
    _translate_ports(packet, conn, direction, protocol, at)
    write_error4(packet, conn, direction, layer4, protocol, kind, code, rest)
    return True


@leaf
def _keeps_reporter(balancer: Balancer, flow: int) -> bool:
    """Whether the error's source stays: NAT has no address of its own towards servers."""
    return flow & 1 == REQUEST and balancer.records[flow >> 1].local == NO_LOCAL


@leaf
def _translate_ports(packet: Packet, conn: Conn, direction: int, protocol: int, at: int) -> None:
    """Ports of what is quoted, and its checksum where that is quoted: a UDP header is there, of TCP's eight octets.
    SCTP's ends look at the tag (RFC 9260 10), and its checksum covers what is not there."""
    layer4, change = packet.transport + at, change_in(conn.change_all, direction)
    if protocol == PROTOCOL_UDP:
        udp = UDP(layer4)
        udp.checksum = apply_udp(udp.checksum, change)
    elif protocol == PROTOCOL_TCP and packet.data + packet.length - layer4 >= _CHECKSUM_END:
        tcp = TCP(layer4)
        tcp.checksum = apply(tcp.checksum, change)
    store32(layer4, conn.keys[direction ^ 1])


@hot
def _send(worker: Worker, packet: Packet, hop: int) -> int:
    """Send the error to the neighbour. Those that are longer than the way takes are rare: they quote 576 octets, or
    1280 (RFC 1812 4.3.2.3, RFC 4443 2.4 (c)); none is reported itself."""
    mtu = net_of(worker).neighbours[hop].mtu
    if packet.data + packet.length - packet.network <= mtu:
        return neighbour_output(worker, packet, hop)
    if packet.family == 4 and (packet.flags & WHOLE != 0 or IPv4(packet.network).fragment & DO_NOT_FRAGMENT == 0):
        return fragment4_output(worker, packet, hop, mtu)
    return TOO_BIG
