"""What ICMP says about segments of ours (RFC 9293 3.9.2.2, RFC 5927, RFC 1191, RFC 8201).

A message is believed when the segment that it quotes is in flight: right addresses, right ports, and a sequence number
between snd_una and snd_nxt. It ends a connection only while that is being opened; later it is a soft error, which is
what the application hears if retransmission gives up, or at once with IP_RECVERR. 'Too big' makes our segments smaller
and has those in flight sent again.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot, load_be16, load_be32, sequence
from pronghorn.net.icmp import path_report4
from pronghorn.net.icmpv6 import path_report6
from pronghorn.net.state import MAPPED
from pronghorn.state.dispatch import tell_others
from pronghorn.state.endpoints import (
    ANY_NUMBER,
    FAILED,
    RECEIVE_ERRORS,
    RECEIVE_ERRORS6,
    count,
    endpoints_of,
    socket_event,
)
from pronghorn.state.error_queue import ICMP as QUEUED_ICMP
from pronghorn.state.error_queue import ICMP6 as QUEUED_ICMP6
from pronghorn.state.error_queue import error_put, error_say
from pronghorn.state.mib import ATTEMPT_FAILS, OUT_OF_WINDOW_ICMPS
from pronghorn.state.packet import ORIGINATED, REDIRECTED, Packet
from pronghorn.state.verdicts import CONSUMED, CONTINUE, ICMP_IGNORED
from pronghorn.state.worker import Worker
from pronghorn.tcp.life import drop_half_open, finish_tcb, is_half_open
from pronghorn.tcp.lookup import find_tcb, tuple_hash
from pronghorn.tcp.options import set_mss
from pronghorn.tcp.pending import look_at
from pronghorn.tcp.recovery import mss_changed
from pronghorn.tcp.tcb import CLOSED, FAST_OPEN, PASSIVE, SYN_RECEIVED, SYN_SENT, Tcb, Tcp, tcp_of
from pronghorn.wire import icmp, icmpv6
from pronghorn.wire.icmp import ICMP
from pronghorn.wire.icmpv6 import ICMPv6
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.reasons import GOOD

ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE = (
    errno.ECONNREFUSED,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EMSGSIZE,
)
EACCES, ENOPROTOOPT = errno.EACCES, errno.ENOPROTOOPT


@hot
def tcp_message_input(worker: Worker, packet: Packet) -> int:
    """An ICMP or ICMPv6 message for this host. CONTINUE: it is about no connection here; or the verdict."""
    octets = packet.data + packet.length - packet.transport
    if octets < icmp.HEADER:
        return CONTINUE
    if packet.family == 4:
        if not icmp.is_error(ICMP(packet.transport).type):
            return CONTINUE
        reason, protocol, at = icmp.quote(packet.transport, octets)
    else:
        if not icmpv6.is_error(ICMPv6(packet.transport).type):
            return CONTINUE
        reason, protocol, at = icmpv6.quote(packet.transport, octets)
    if reason != GOOD or protocol != PROTOCOL_TCP:
        return CONTINUE
    tcp = tcp_of(worker)
    found = _find_quoted(worker, tcp, packet, packet.transport + at)
    if found < 0 or found >= tcp.limit:
        return CONTINUE
    if not _is_whole(packet, octets):
        return CONTINUE
    tcb = tcp.tcbs[found]
    seq = load_be32(packet.transport + at + 4)
    if sequence.before(seq, tcb.snd_una) or not sequence.before(seq, tcb.snd_nxt):
        count(worker, OUT_OF_WINDOW_ICMPS, 1)
        return ICMP_IGNORED
    return _take(worker, tcp, tcb, packet, packet.transport + at)


@hot
def _is_whole(packet: Packet, octets: int) -> bool:
    """Whether the message's checksum is right."""
    if packet.family == 4:
        return icmp.verify(packet.transport, octets) == GOOD
    return icmpv6.verify(IPv6(packet.network), packet.transport, octets) == GOOD


@hot
def _find_quoted(worker: Worker, tcp: Tcp, packet: Packet, layer4: int) -> int:
    """The connection that sent the quoted segment, or -1; it may be another worker's, then that one is told."""
    if packet.family == 4:
        quoted4 = IPv4(packet.transport + icmp.HEADER)
        remote_hi, remote_lo, local_hi, local_lo = 0, MAPPED | quoted4.dst, 0, MAPPED | quoted4.src
    else:
        quoted6 = IPv6(packet.transport + icmpv6.HEADER)
        remote_hi, remote_lo, local_hi, local_lo = quoted6.dst_hi, quoted6.dst_lo, quoted6.src_hi, quoted6.src_lo
    local_port, remote_port = load_be16(layer4), load_be16(layer4 + 2)
    hash = tuple_hash(remote_hi, remote_lo, local_hi, local_lo, remote_port, local_port, worker.secret)
    found = find_tcb(tcp, hash, remote_hi, remote_lo, local_hi, local_lo, remote_port, local_port)
    if found < 0 and worker.workers > 1 and packet.flags & (REDIRECTED | ORIGINATED) == 0:
        tell_others(worker, packet)
    return found


@hot
def _take(worker: Worker, tcp: Tcp, tcb: Tcb, packet: Packet, layer4: int) -> int:
    """A message that is believed, about the segment at `layer4`."""
    error = _error4(ICMP(packet.transport)) if packet.family == 4 else _error6(ICMPv6(packet.transport))
    if error == EMSGSIZE:
        return _too_big(worker, tcp, tcb, packet)
    if error == 0:
        return ICMP_IGNORED
    accepted = tcb.agreed & FAST_OPEN != 0 and tcb.flags & PASSIVE == 0
    if tcb.state == SYN_SENT or (tcb.state == SYN_RECEIVED and not accepted):
        count(worker, ATTEMPT_FAILS, 1)
        if wants_errors(worker, tcb):
            _note(worker, tcb, packet, error, layer4)
        if is_half_open(tcb):
            drop_half_open(worker, tcp, tcb)
        else:
            finish_tcb(worker, tcp, tcb, error)
        return CONSUMED
    if wants_errors(worker, tcb):
        endpoints_of(worker).sockets[tcb.socket].error = error
        socket_event(endpoints_of(worker), tcb.socket, FAILED)
    else:
        tcb.segments.soft = error
    return CONSUMED


@hot
def wants_errors(worker: Worker, tcb: Tcb) -> bool:
    """Whether the application has asked for all errors: IP_RECVERR, IPV6_RECVERR."""
    if tcb.socket == ANY_NUMBER:
        return False
    wants = RECEIVE_ERRORS if tcb.family == 4 else RECEIVE_ERRORS6
    return endpoints_of(worker).sockets[tcb.socket].options & wants != 0


@hot
def _note(worker: Worker, tcb: Tcb, packet: Packet, error: int, layer4: int) -> None:
    """Put the error into the socket's queue with what is quoted of the SYN; Linux does it for connections that are
    being opened alone."""
    record = error_put(endpoints_of(worker), tcb.socket)
    if record.address == 0:
        return
    record.at, record.error, record.interface, record.family = worker.now, error, packet.port, packet.family
    record.to_hi, record.to_lo, record.to_port = tcb.remote_hi, tcb.remote_lo, tcb.remote_port
    record.type, record.code = ICMP(packet.transport).type, ICMP(packet.transport).code
    if packet.family == 4:
        record.origin, record.offender_hi = QUEUED_ICMP, 0
        record.offender_lo = MAPPED | IPv4(packet.network).src
    else:
        ip6 = IPv6(packet.network)
        record.origin, record.offender_hi, record.offender_lo = QUEUED_ICMP6, ip6.src_hi, ip6.src_lo
    error_say(endpoints_of(worker), record, layer4, packet.data + packet.length - layer4)


@hot
def _error4(message: ICMP) -> int:
    """The errno that Linux makes of it (icmp_err_convert); 0: of no meaning to TCP."""
    if message.type == icmp.TIME_EXCEEDED:
        return EHOSTUNREACH
    if message.type != icmp.UNREACHABLE:
        return 0
    code = message.code
    if code == icmp.FRAGMENTATION_NEEDED:
        return EMSGSIZE
    if code == icmp.PORT_UNREACHABLE:
        return ECONNREFUSED
    if code == icmp.PROTOCOL_UNREACHABLE:
        return ENOPROTOOPT
    of_network = code == icmp.NETWORK_UNREACHABLE or code == 6 or code == 9 or code == 11  # RFC 1122 3.2.2.1
    return ENETUNREACH if of_network else EHOSTUNREACH


@hot
def _error6(message: ICMPv6) -> int:
    """The same of ICMPv6 (icmpv6_err_convert)."""
    if message.type == icmpv6.TOO_BIG:
        return EMSGSIZE
    if message.type == icmpv6.TIME_EXCEEDED:
        return EHOSTUNREACH
    if message.type != icmpv6.UNREACHABLE:
        return 0
    if message.code == icmpv6.PORT_UNREACHABLE:
        return ECONNREFUSED
    if message.code == icmpv6.NO_ROUTE:
        return ENETUNREACH
    code = message.code
    if code == 1 or code == 5 or code == 6:  # RFC 4443 3.1: prohibited by administration, policy, a route
        return EACCES
    return EHOSTUNREACH


@hot
def _too_big(worker: Worker, tcp: Tcp, tcb: Tcb, packet: Packet) -> int:
    """The path takes less than was thought: remember it for the destination, and send again what was too long."""
    verdict = path_report4(worker, packet) if packet.family == 4 else path_report6(worker, packet)
    if verdict == CONSUMED and tcb.state != CLOSED and tcb.peer_mss != 0:
        before = tcb.mss
        set_mss(worker, tcp, tcb)
        if tcb.mss < before:
            mss_changed(worker, tcp, tcb)
            look_at(tcp, tcb)
    return verdict
