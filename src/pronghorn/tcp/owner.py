"""Which worker a segment belongs to, among those of one engine (state/owners.py), and saying so.

    segment_owner    for steering: whose is a segment that `home` would have by the rules of ports and devices?
    enter_strayed    a connection of a listener that was not at home: its next segments are looked for here
    enter_bound      a connection from a port that was bound: no rule leads its answers to this worker
    leave_owner      the connection is over
    keep_owner       TIME_WAIT: what is left of the connection goes on being found

A listener that exists on some workers hears its connections at home where it is there, and on one of the others by a
hash of the flow where it is not. Which of them have it may change: a connection stays where it is, for it is either at
home or entered among the flows. A worker that has closed its listener goes on hearing segments of those at home there.

Left out: a cookie of a worker that is not the flow's home, when the home's listener was closed since, is lost.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, load_be16
from pronghorn.memory.hashtable import HashIndex, hash_first, hash_next
from pronghorn.state.owners import (
    BITS,
    flow_between,
    flow_drop,
    flow_has,
    flow_owner,
    flow_take,
    one_of,
    owners_of,
    packet_flow,
    set_listening,
)
from pronghorn.state.packet import STRAYED, Packet
from pronghorn.state.worker import Worker
from pronghorn.tcp.lookup import listener_hash
from pronghorn.tcp.tcb import Identity, Tcb, Tcp
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.tcp import ACK, SYN, TCP


@hot
def segment_owner(worker: Worker, packet: Packet, home: int) -> int:
    """Index of the worker that is to handle the segment."""
    owners = owners_of(worker)
    if owners.address == 0:
        return home
    if owners.count != 0:
        owner = flow_owner(owners, packet_flow(worker, packet), PROTOCOL_TCP)
        if owner >= 0:
            if owner != home:
                packet.flags |= STRAYED
            return owner
    port = load_be16(packet.transport + 2)
    listeners = owners.listeners[port]
    if listeners == 0 or home >= BITS or listeners >> home & 1 != 0:
        return home
    opens = TCP(packet.transport).flags & (SYN | ACK) == SYN
    if not opens and owners.heard[port] >> home & 1 != 0:
        return home
    packet.flags |= STRAYED
    return one_of(listeners, packet_flow(worker, packet))


@hot
def listens(worker: Worker, tcp: Tcp, port: int) -> None:
    """Whether this worker listens at the port may have changed: let the others know."""
    if worker.workers == 1:
        return
    index = HashIndex(tcp.listener_index)
    hash = listener_hash(tcp, port)
    found, on = hash_first(index, hash), False
    while found >= 0:
        on = on or (tcp.listeners[found].port == port and tcp.listeners[found].listening != 0)
        found = hash_next(index, hash, found)
    set_listening(worker, port, on)


@leaf
def _flow(worker: Worker, own: Identity) -> int:
    return flow_between(
        worker, own.remote_hi, own.remote_lo, own.local_hi, own.local_lo, own.remote_port, own.local_port
    )


@hot
def enter_strayed(worker: Worker, tcb: Tcb, packet: Packet) -> bool:
    """A connection that `packet` has brought. False: there is no place for a flow away from home."""
    if packet.flags & STRAYED == 0:
        return True
    return flow_take(worker, _flow(worker, Identity(tcb.address)), PROTOCOL_TCP) == 0


@hot
def enter_bound(worker: Worker, tcb: Tcb) -> bool:
    """A connection from a port that was bound. False: another worker has it, or there is no place."""
    return worker.workers == 1 or flow_take(worker, _flow(worker, Identity(tcb.address)), PROTOCOL_TCP) == 0


@hot
def leave_owner(worker: Worker, own: Identity) -> bool:
    """The connection is over: its flow is this worker's no more. Returns whether it was entered."""
    if worker.workers == 1:
        return False
    flow = _flow(worker, own)
    had = flow_has(worker, flow, PROTOCOL_TCP)
    if had:
        flow_drop(worker, flow, PROTOCOL_TCP)
    return had


@hot
def keep_owner(worker: Worker, own: Identity, had: bool) -> None:
    """The connection goes on being found in TIME_WAIT, if it was entered."""
    if had and own.local_port != 0:
        flow_take(worker, _flow(worker, own), PROTOCOL_TCP)
