"""Flows of programs: found by their five-tuple, followed coarsely, and forgotten when they are idle.

A TCP connection is followed so that it stays with its program whoever else claims its port, and so that its far end
can be reset when the program has ended (mourning.py). A datagram flow is remembered only where several programs have
claimed the port.

A full table gives up flows that are not open for new ones, as the balancer's does (balancer/conns.py); when there is
none, the new one goes on without a record, and is counted. Ageing is lazy: a packet notes the tick, and the sweep of
mourning.py looks.
"""

from __future__ import annotations

from pronghorn.compiled import entry, hot, leaf, load_be16, sequence
from pronghorn.compiled.hashing import mix, mix4
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_first, hash_next, hash_remove
from pronghorn.net.state import MAPPED
from pronghorn.programs.tables import (
    ACKED,
    CLOSED,
    CLOSING,
    DATAGRAM,
    DEAD,
    FIN_FAR,
    FIN_OWN,
    OPEN,
    OPENING,
    SEEN_FAR,
    SEEN_OWN,
    TICK,
    Key,
    ProgramFlow,
    Programs,
)
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker, random_number
from pronghorn.wire import tcp
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.tcp import ACK, FIN, RST, SYN, TCP

LOOKS = 16
"""Records that are looked at for one that can be given up."""

_MASK = 0xFFFF_FFFF


@leaf
def set_ports(root: Programs, family: int, protocol: int, own: int, far: int) -> None:
    """The rest of root.key, whose addresses are there, and its hash."""
    key = root.key
    key.ports = far | own << 16 | protocol << 32 | family << 40
    hash = mix4(key.far_hi, key.far_lo, key.own_hi, key.own_lo, HashIndex(root.index).secret)
    key.hash = mix(hash, key.ports, HashIndex(root.index).secret) & _MASK


@hot
def key_of(root: Programs, packet: Packet, leaves: bool) -> None:
    """Read root.key from a TCP or UDP packet that comes from a program (`leaves`), or goes to one."""
    key = root.key
    if packet.family == 4:
        ip4 = IPv4(packet.network)
        key.own_hi, key.far_hi = 0, 0
        key.own_lo = MAPPED | (ip4.src if leaves else ip4.dst)
        key.far_lo = MAPPED | (ip4.dst if leaves else ip4.src)
    else:
        ip6 = IPv6(packet.network)
        if leaves:
            key.own_hi, key.own_lo, key.far_hi, key.far_lo = ip6.src_hi, ip6.src_lo, ip6.dst_hi, ip6.dst_lo
        else:
            key.own_hi, key.own_lo, key.far_hi, key.far_lo = ip6.dst_hi, ip6.dst_lo, ip6.src_hi, ip6.src_lo
    first, second = load_be16(packet.transport), load_be16(packet.transport + 2)
    if leaves:
        set_ports(root, packet.family, packet.protocol, first, second)
    else:
        set_ports(root, packet.family, packet.protocol, second, first)


@leaf
def _is_of(flow: ProgramFlow, key: Key) -> bool:
    return (
        flow.ports == key.ports
        and flow.far_lo == key.far_lo
        and flow.own_lo == key.own_lo
        and flow.far_hi == key.far_hi
        and flow.own_hi == key.own_hi
    )


@hot
def find_flow(root: Programs) -> int:
    """Number of the flow that root.key names, or -1."""
    index, hash = HashIndex(root.index), root.key.hash
    found = hash_first(index, hash)
    while found >= 0 and not _is_of(root.flows[found], root.key):
        found = hash_next(index, hash, found)
    return found


@leaf
def is_alive(root: Programs, flow: ProgramFlow) -> bool:
    """Whether the flow's program is still there."""
    return flow.life == root.programs[flow.program].life


@leaf
def begins(packet: Packet) -> bool:
    """Whether a TCP segment opens a connection."""
    return TCP(packet.transport).flags & (SYN | ACK | RST | FIN) == SYN


@hot
def add_flow(worker: Worker, root: Programs, number: int) -> int:
    """A record for the flow that root.key names, of program `number`; -1 when there is no room."""
    program = root.programs[number]
    if program.flows >= program.flow_limit:
        program.untracked += 1
        return -1
    place = _take(worker, root)
    if place < 0:
        program.untracked += 1
        return -1
    key, flow = root.key, root.flows[place]
    if not hash_add(HashIndex(root.index), key.hash, place):
        _give(root, place)
        program.untracked += 1
        return -1
    flow.far_hi, flow.far_lo, flow.own_hi, flow.own_lo, flow.ports = (
        key.far_hi, key.far_lo, key.own_hi, key.own_lo, key.ports,
    )  # fmt: skip
    flow.hash, flow.program, flow.life = key.hash, number, program.life
    flow.state = OPENING if key.ports >> 32 & 0xFF == PROTOCOL_TCP else DATAGRAM
    flow.marks, flow.resets, flow.seen = 0, 0, worker.now >> TICK
    program.flows += 1
    return place


@hot
def _take(worker: Worker, root: Programs) -> int:
    """A free record; if need be one of a flow that is not open. -1: none."""
    if root.flow_free == 0 and root.flow_fresh == root.flow_limit and not _give_up_one(worker, root):
        return -1
    place = root.flow_free
    root.flow_count += 1
    if place != 0:
        root.flow_free = root.flows[place - 1].next
        return place - 1
    root.flow_fresh += 1
    return root.flow_fresh - 1


@leaf
def _give(root: Programs, place: int) -> None:
    flow = root.flows[place]
    flow.ports, flow.state = 0, 0
    flow.next = root.flow_free
    root.flow_free = place + 1
    root.flow_count -= 1


@hot
def _give_up_one(worker: Worker, root: Programs) -> bool:
    for _ in range(LOOKS):
        place = random_number(worker) % root.flow_limit
        state = root.flows[place].state
        if state != 0 and state != OPEN:
            end_flow(root, place)
            root.given_up += 1
            return True
    return False


@entry
def end_flow(root: Programs, place: int) -> None:
    """Forget the flow."""
    flow = root.flows[place]
    hash_remove(HashIndex(root.index), flow.hash, place)
    if is_alive(root, flow):
        root.programs[flow.program].flows -= 1
    _give(root, place)


@hot
def move_flow(root: Programs, place: int, number: int) -> None:
    """The flow is program `number`'s from now on."""
    flow, program = root.flows[place], root.programs[number]
    if is_alive(root, flow):
        root.programs[flow.program].flows -= 1
    flow.program, flow.life = number, program.life
    program.flows += 1


@hot
def follow(worker: Worker, flow: ProgramFlow, packet: Packet, leaves: bool) -> None:
    """A packet of the flow, from the program (`leaves`) or from the far end."""
    flow.seen = worker.now >> TICK
    if packet.protocol != PROTOCOL_TCP:
        return
    segment = TCP(packet.transport)
    flags = segment.flags
    octets = packet.data + packet.length - packet.transport - tcp.header_octets(segment)
    octets += (1 if flags & SYN != 0 else 0) + (1 if flags & FIN != 0 else 0)
    if flags & (SYN | ACK) == SYN and (flow.state == CLOSING or flow.state == CLOSED):
        flow.state, flow.marks = OPENING, 0
    if flags & RST != 0:
        flow.state = CLOSED
        return
    following, marks = sequence.add(segment.seq, octets), flow.marks
    if leaves:
        if marks & SEEN_OWN == 0 or sequence.after(following, flow.own_next):
            flow.own_next = following
        marks |= SEEN_OWN | (FIN_OWN if flags & FIN != 0 else 0)
    else:
        if marks & SEEN_FAR == 0 or sequence.after(following, flow.far_next):
            flow.far_next = following
        marks |= SEEN_FAR | (FIN_FAR if flags & FIN != 0 else 0)
        if flags & ACK != 0:
            flow.far_ack = segment.ack
            marks |= ACKED
    flow.marks = marks
    _advance(flow, flags)


@leaf
def _advance(flow: ProgramFlow, flags: int) -> None:
    if flow.marks & (FIN_OWN | FIN_FAR) == FIN_OWN | FIN_FAR:
        flow.state = CLOSING
    elif flags & SYN == 0 and flow.state != DEAD:
        flow.state = OPEN
