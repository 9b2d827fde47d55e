"""A whole IP packet: is it balanced, is it for this host, or is it to be forwarded?

TCP's and UDP's headers, with a balancer SCTP's too, are checked for shape here, once, for everyone behind. Their
checksums are not: who ends a connection verifies (`wire.tcp.verify4` ...), who passes packets on changes checksums by
difference, so that an error in them stays one. UDP over IPv6 has a checksum or is no UDP (RFC 8200 8.1). What an
attached program sends is asked for its rights here.
"""

from __future__ import annotations

from pronghorn.balancer.input import balancer_input
from pronghorn.balancer.lookup import flow_prepare
from pronghorn.balancer.sctp_state import sctp_input
from pronghorn.compiled import hot, leaf
from pronghorn.input.local import local_input
from pronghorn.input.report import error_input
from pronghorn.input.steer import owner_of
from pronghorn.programs.input import program_input
from pronghorn.state.dispatch import dispatch
from pronghorn.state.packet import BROADCAST, CHECKSUM_PARTIAL, FROM_PROGRAM, MULTICAST, PREPARED, REDIRECTED, Packet
from pronghorn.state.verdicts import CONTINUE
from pronghorn.state.worker import Worker
from pronghorn.tcp.input import connection_input
from pronghorn.wire import sctp, tcp, udp
from pronghorn.wire.numbers import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP
from pronghorn.wire.reasons import GOOD, UDP_NO_CHECKSUM
from pronghorn.wire.sctp import SCTP
from pronghorn.wire.tcp import TCP
from pronghorn.wire.udp import UDP


@hot
def transport_input(worker: Worker, packet: Packet) -> int:
    """network, transport, family, protocol and length are set and consistent. Returns the verdict."""
    protocol = packet.protocol
    octets = packet.data + packet.length - packet.transport
    if protocol == PROTOCOL_TCP:
        reason = tcp.check(packet.transport, octets)
        if reason == GOOD:
            reason = tcp.check_flags(TCP(packet.transport).flags)
    elif protocol == PROTOCOL_UDP:
        reason = udp.check(packet.transport, octets)
        if reason == GOOD and packet.family == 6 and UDP(packet.transport).checksum == 0:
            reason = UDP_NO_CHECKSUM
    else:
        return _other_input(worker, packet)
    if reason != GOOD:
        return reason
    if packet.flags & FROM_PROGRAM != 0:
        verdict = program_input(worker, packet)
        if verdict != CONTINUE:
            return verdict
    if packet.flags & (BROADCAST | MULTICAST) == 0:
        if worker.balancer != 0 and packet.flags & PREPARED == 0:
            flow_prepare(worker, packet)
        if worker.workers > 1 and packet.flags & REDIRECTED == 0:
            owner = owner_of(worker, packet)
            if owner != worker.index:
                return dispatch(worker, packet, owner)
        verdict = balancer_input(worker, packet) if worker.balancer != 0 else CONTINUE
        if verdict == CONTINUE and protocol == PROTOCOL_TCP and worker.transports != 0:
            verdict = connection_input(worker, packet)
        if verdict != CONTINUE:
            return verdict
    return local_input(worker, packet)


@leaf
def _other_input(worker: Worker, packet: Packet) -> int:
    """Neither TCP nor UDP."""
    if packet.flags & FROM_PROGRAM != 0:
        verdict = program_input(worker, packet)
        if verdict != CONTINUE:
            return verdict
    if worker.balancer != 0:
        verdict = CONTINUE
        if packet.protocol == (PROTOCOL_ICMP if packet.family == 4 else PROTOCOL_ICMPV6):
            verdict = error_input(worker, packet)
        elif packet.protocol == PROTOCOL_SCTP:
            verdict = _association_input(worker, packet)
        if verdict != CONTINUE:
            return verdict
    return local_input(worker, packet)


@hot
def _association_input(worker: Worker, packet: Packet) -> int:
    """SCTP, which no endpoint here speaks. Ports cannot finish its checksum, so one that is not finished is here."""
    octets = packet.data + packet.length - packet.transport
    reason = sctp.check(packet.transport, octets)
    if reason != GOOD:
        return reason
    if packet.flags & CHECKSUM_PARTIAL != 0:
        SCTP(packet.transport).checksum = sctp.sum_of(packet.transport, octets)
        packet.flags &= ~CHECKSUM_PARTIAL
    if packet.flags & (BROADCAST | MULTICAST) != 0:
        return CONTINUE
    flow_prepare(worker, packet)
    if worker.workers > 1 and packet.flags & REDIRECTED == 0:
        owner = owner_of(worker, packet)
        if owner != worker.index:
            return dispatch(worker, packet, owner)
    return sctp_input(worker, packet)
