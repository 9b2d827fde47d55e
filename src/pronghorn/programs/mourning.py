"""After the end of a program: every TCP connection that it had is reset towards the far end. And idle flows are
forgotten.

The far end of a connection takes a reset whose sequence number is exactly the one it expects (RFC 9293 3.10.7.4, RFC
5961 3.2); any other within the window makes it ask by a challenge ACK. What it expects is what the program sent last,
if all of that has arrived, and what it acknowledged last, if none of the rest has: when these differ, both are sent.
A far end that is still somewhere between asks or goes on sending, and is answered with the number it gives
(`answer_dead`, RFC 9293 3.5.2).

A pass over the flows, so many per turn, does the first; another, slower one finds flows that nobody has used for their
state's timeout. Resets take the ordinary way out, or the way back in when the far end is one of our addresses.
"""

from __future__ import annotations

from pronghorn.compiled import hot, sequence
from pronghorn.net.output import ip_output
from pronghorn.net.state import SECOND
from pronghorn.programs.flows import end_flow, is_alive
from pronghorn.programs.tables import (
    ACKED,
    CLOSED,
    CLOSING,
    DEAD,
    OPEN,
    OPENING,
    SEEN_FAR,
    SEEN_OWN,
    TICK,
    ProgramFlow,
    Programs,
)
from pronghorn.state.packet import Packet
from pronghorn.state.packets import finish, originate
from pronghorn.state.worker import NEVER, Worker, random_number
from pronghorn.wire import ipv4, ipv6, tcp
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.tcp import ACK, FIN, RST, SYN, TCP

LOOK, BURIALS = 256, 48
"""Flows looked at, and of these reset, in one turn."""

IDLE_LOOK = 64
ROUND = 8 * SECOND
"""ns in which the slower pass sees every flow once."""

HOPS = 64
_MASK = 0xFFFF_FFFF


@hot
def programs_timers(worker: Worker) -> int:
    """What is due; returns 1 when more is to be done at once."""
    root = Programs(worker.programs)
    if root.left != 0:
        _mourn(worker, root)
    elif root.flow_count != 0 and worker.now >= root.sweep_at:
        looked = min(IDLE_LOOK, root.flow_fresh)
        for _ in range(looked):
            _look(worker, root, _next(root))
        root.sweep_at = worker.now + ROUND * looked // root.flow_fresh
    return 1 if root.left != 0 else 0


@hot
def programs_next(worker: Worker) -> int:
    """When (ns) there is something to do."""
    root = Programs(worker.programs)
    if root.left != 0:
        return worker.now
    return root.sweep_at if root.flow_count != 0 else NEVER


@hot
def _next(root: Programs) -> int:
    """The number of the next flow in the round."""
    place = root.sweep if root.sweep < root.flow_fresh else 0
    root.sweep = place + 1
    return place


@hot
def _mourn(worker: Worker, root: Programs) -> None:
    """The next flows of those that may be a dead program's."""
    looks, buried = min(LOOK, root.left), 0
    while looks > 0 and buried < BURIALS:
        place = _next(root)
        flow = root.flows[place]
        looks -= 1
        root.left -= 1
        if flow.state == 0 or flow.state == DEAD or is_alive(root, flow):
            continue
        if flow.state != OPENING and flow.state != OPEN and flow.state != CLOSING:
            end_flow(root, place)
            continue
        flow.state, flow.seen = DEAD, worker.now >> TICK
        _bury(worker, flow)
        buried += 1


@hot
def _bury(worker: Worker, flow: ProgramFlow) -> None:
    """Reset the flow towards its far end."""
    marks = flow.marks
    ack, flags = 0, RST
    if marks & SEEN_FAR != 0:
        ack, flags = flow.far_next, RST | ACK
    if marks & SEEN_OWN != 0:
        _reset(worker, flow, flow.own_next, ack, flags)
        if marks & ACKED != 0 and flow.far_ack != flow.own_next:
            _reset(worker, flow, flow.far_ack, ack, flags)
    elif marks & ACKED != 0:
        _reset(worker, flow, flow.far_ack, ack, flags)
    else:
        _reset(worker, flow, 0, ack, flags)


@hot
def answer_dead(worker: Worker, flow: ProgramFlow, packet: Packet) -> None:
    """Answer a segment of a dead flow, no reset itself."""
    segment = TCP(packet.transport)
    flags = segment.flags
    if flags & ACK != 0:
        _reset(worker, flow, segment.ack, 0, RST)
        return
    octets = packet.data + packet.length - packet.transport - tcp.header_octets(segment)
    octets += (1 if flags & SYN != 0 else 0) + (1 if flags & FIN != 0 else 0)
    _reset(worker, flow, 0, sequence.add(segment.seq, octets), RST | ACK)


@hot
def _reset(worker: Worker, flow: ProgramFlow, seq: int, ack: int, flags: int) -> None:
    """A reset in the program's name."""
    packet = originate(worker)
    if packet.address == 0:
        return
    ports, header = flow.ports, ipv4.HEADER if flow.ports >> 40 == 4 else ipv6.HEADER
    packet.protocol, packet.family = PROTOCOL_TCP, ports >> 40
    packet.network, packet.transport = packet.data, packet.data + header
    packet.length = header + tcp.HEADER
    tcp.emit(packet.transport, ports >> 16 & 0xFFFF, ports & 0xFFFF, seq, ack, flags, 0, tcp.HEADER)
    if packet.family == 4:
        octets, ident = ipv4.HEADER + tcp.HEADER, random_number(worker) & 0xFFFF
        own, far = flow.own_lo & _MASK, flow.far_lo & _MASK
        ipv4.emit(packet.network, 0, octets, ident, DO_NOT_FRAGMENT, HOPS, PROTOCOL_TCP, own, far)
        tcp.fill_checksum4(IPv4(packet.network), TCP(packet.transport), tcp.HEADER)
    else:
        ipv6.emit(
            packet.network, 0, tcp.HEADER, PROTOCOL_TCP, HOPS, flow.own_hi, flow.own_lo, flow.far_hi, flow.far_lo
        )  # fmt: skip
        tcp.fill_checksum6(IPv6(packet.network), TCP(packet.transport), tcp.HEADER)
    finish(worker, packet, ip_output(worker, packet))


@hot
def _look(worker: Worker, root: Programs, place: int) -> None:
    """Forget the flow if it was idle for its state's timeout."""
    flow = root.flows[place]
    if flow.state != 0 and sequence.difference(worker.now >> TICK & _MASK, flow.seen) >= timeout_of(flow.state):
        end_flow(root, place)


@hot
def timeout_of(state: int) -> int:
    """Ticks that a flow in this state may be silent."""
    seconds = 60
    if state == OPEN:
        seconds = 3 * 3600  # longer than a connection's keep-alive of two hours (RFC 9293 3.8.4)
    elif state == CLOSED:
        seconds = 10
    elif state == DEAD:
        seconds = 120
    return seconds * SECOND >> TICK
