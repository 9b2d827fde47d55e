"""To a program: what came for an address of ours, and neither the balancer nor a socket here has taken it.

    flow      a connection stays with its program
    claim     a program has claimed the port; of several, the hash of the flow chooses, and the flow is remembered
    block     an answer to a connection that the program opened

The packet goes on as it is, unfinished checksums and unsegmented frames included, and loses no hop: the program is
this host. It leaves by the program's link, in pieces where it came in pieces; when it is too long for the link, its
sender hears of it (net/output.py). A link that is full, or whose program is stopped, drops it: TRANSMIT_FULL.

Segments for a program that has ended are answered by a reset with the number that the sender expects, some per flow;
after that as any segment that nobody wants. Left out: groups and broadcast.
"""

from __future__ import annotations

from pronghorn.compiled import hot, load_be16
from pronghorn.net.output import output_to
from pronghorn.programs.claims import NOBODY, block_owner, claimant
from pronghorn.programs.flows import add_flow, begins, end_flow, find_flow, follow, is_alive, key_of
from pronghorn.programs.mourning import answer_dead
from pronghorn.programs.tables import CLOSED, CLOSING, DEAD, Program, Programs
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import CONTINUE, DISPATCHED, PROGRAM_GONE
from pronghorn.state.worker import Worker
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.tcp import RST, TCP

RESETS = 8
"""Segments of one dead flow that are answered at once."""


@hot
def program_output(worker: Worker, packet: Packet) -> int:
    """A TCP or UDP packet for one of our addresses. CONTINUE: it is no program's; or the verdict."""
    root = Programs(worker.programs)
    key_of(root, packet, False)
    found = find_flow(root)
    if found >= 0:
        flow = root.flows[found]
        if flow.state == DEAD or not is_alive(root, flow):
            if not begins(packet):
                return _after_end(worker, root, found, packet)
            end_flow(root, found)
            found = -1
        elif (flow.state == CLOSED or flow.state == CLOSING) and packet.protocol == PROTOCOL_TCP and begins(packet):
            end_flow(root, found)
            found = -1
    if found < 0:
        number = _owner(root, packet)
        if number == NOBODY:
            return CONTINUE
        if packet.protocol == PROTOCOL_TCP or root.shared_ports != 0:
            found = add_flow(worker, root, number)
    else:
        number = root.flows[found].program
    if found >= 0:
        follow(worker, root.flows[found], packet, False)
    return give(worker, root.programs[number], packet)


@hot
def _owner(root: Programs, packet: Packet) -> int:
    """The program of the port that root.key names, or NOBODY."""
    key, port = root.key, load_be16(packet.transport + 2)
    number = claimant(root, packet.protocol, port, packet.family, key.own_hi, key.own_lo, key.hash)
    return number if number != NOBODY else block_owner(root, port, key.own_hi, key.own_lo)


@hot
def give(worker: Worker, program: Program, packet: Packet) -> int:
    """Out of the program's link. Returns the verdict."""
    octets = packet.data + packet.length - packet.network
    verdict = output_to(worker, packet, program.neighbour4 if packet.family == 4 else program.neighbour6)
    if verdict < DISPATCHED:
        program.drops[verdict] += 1
    else:
        program.packets_out += 1
        program.octets_out += octets
    return verdict


@hot
def _after_end(worker: Worker, root: Programs, found: int, packet: Packet) -> int:
    """A packet of a flow whose program has ended."""
    flow = root.flows[found]
    if packet.protocol != PROTOCOL_TCP:
        end_flow(root, found)
        return CONTINUE
    flow.state = DEAD
    if TCP(packet.transport).flags & RST != 0:
        end_flow(root, found)
        return PROGRAM_GONE
    if flow.resets >= RESETS:
        return CONTINUE
    flow.resets += 1
    answer_dead(worker, flow, packet)
    return PROGRAM_GONE
