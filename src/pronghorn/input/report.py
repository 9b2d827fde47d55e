"""ICMP errors about balanced packets, before anybody else is asked: they go on (balancer/icmp_errors.py).

Errors arrive at any worker. One to a local address of full NAT belongs to the worker whose port it quotes, one that
NAT's servers send to the worker of the client that it quotes; about what a service has sent the other workers are
asked, each for itself.

A report of a path MTU about TCP or UDP of ours that neither a connection here nor an endpoint has sent is forged or
late (RFC 5927 section 4).
"""

from __future__ import annotations

from pronghorn.balancer.icmp_errors import check_error, find_quoted, is_from_service, pass_error, quoted_at
from pronghorn.balancer.tables import Balancer
from pronghorn.compiled import hot
from pronghorn.input.steer import error_owner
from pronghorn.state.dispatch import dispatch, tell_others
from pronghorn.state.packet import BROADCAST, MULTICAST, REDIRECTED, Packet
from pronghorn.state.verdicts import CONTINUE, ICMP_IGNORED
from pronghorn.state.worker import Worker
from pronghorn.wire import icmp, icmpv6
from pronghorn.wire.icmp import ICMP
from pronghorn.wire.reasons import GOOD


@hot
def error_input(worker: Worker, packet: Packet) -> int:
    """An ICMP or ICMPv6 message for whomever. CONTINUE: it is about no connection of the balancer's; or the verdict."""
    protocol, at = quoted_at(packet)
    if protocol == 0 or packet.flags & (BROADCAST | MULTICAST) != 0:
        return CONTINUE
    balancer = Balancer(worker.balancer)
    found = find_quoted(balancer, packet, protocol, at)
    if found >= 0:
        return pass_error(worker, balancer, packet, found, protocol, at)
    if worker.workers == 1 or packet.flags & REDIRECTED != 0:
        return CONTINUE
    if not is_from_service(balancer, packet, protocol, at):
        owner = error_owner(worker, balancer, packet, at)
        return CONTINUE if owner < 0 or owner == worker.index else dispatch(worker, packet, owner)
    verdict = check_error(worker, packet)
    if verdict != GOOD:
        return verdict
    tell_others(worker, packet)
    return ICMP_IGNORED


@hot
def report_input(worker: Worker, packet: Packet) -> int:
    """A message for this host, about nothing that anybody here has sent. ICMP_IGNORED for a path MTU of TCP or UDP."""
    if worker.balancer == 0:
        return CONTINUE
    protocol, _ = quoted_at(packet)
    if protocol == 0:
        return CONTINUE
    message = ICMP(packet.transport)
    if packet.family == 6:
        return ICMP_IGNORED if message.type == icmpv6.TOO_BIG else CONTINUE
    needed = message.type == icmp.UNREACHABLE and message.code == icmp.FRAGMENTATION_NEEDED
    return ICMP_IGNORED if needed else CONTINUE
