"""Making a worker's datagram tables: in an arena (plain Python), or out of a Layout (compiled)."""

from __future__ import annotations

from typing import Any

from pronghorn.compiled import Array, array_at, fill, hot, u32, u64
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import create_hash_index, hash_lay
from pronghorn.memory.layout import Layout, lay
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import NO_ENDPOINT, RECEIVE_LIMIT, SEND_LIMIT, Endpoint, Udp
from pronghorn.udp.members import Members, members_open

PORTS = 65_536
PORT_LOW, PORT_HIGH = 32_768, 60_999
"""ip_local_port_range of Linux."""


@hot
def udp_begin(
    udp: Udp, endpoints: int, limit: int, index: int, ports: int, identifiers: int, users: int, members: int
) -> None:
    """Fill in a root whose tables, all zero, lie at these addresses: `limit` endpoints, the index (open) of as many,
    65,536 u32 for each of `ports` and `identifiers`, 131,072 u64 for `users`, which all workers share, and Members."""
    fill(udp.address, 0, Udp.SIZE)
    udp.endpoints, udp.limit, udp.index = array_at(Endpoint, endpoints), limit, index
    udp.ports, udp.identifiers = array_at(u32, ports), array_at(u32, identifiers)
    udp.users, udp.identifier_users = array_at(u64, users), array_at(u64, users + 8 * PORTS)
    udp.free, udp.blocked = NO_ENDPOINT, NO_ENDPOINT
    udp.members = members
    members_open(Members(members))
    udp.port_low, udp.port_high = PORT_LOW, PORT_HIGH
    udp.receive_limit, udp.send_limit = RECEIVE_LIMIT, SEND_LIMIT


@hot
def udp_lay(layout: Layout, limit: int, users: int, secret: int) -> int:
    """The address of a new root for `limit` endpoints; 0: no room. `users` 0: its own, for an engine of one worker."""
    root = lay(layout, Udp.SIZE, Udp.ALIGN)
    endpoints = lay(layout, limit * Endpoint.SIZE, Endpoint.ALIGN)
    index = hash_lay(layout, limit, secret)
    ports = lay(layout, 4 * PORTS, 64)
    identifiers = lay(layout, 4 * PORTS, 64)
    members = lay(layout, Members.SIZE, Members.ALIGN)
    if users == 0:
        users = lay(layout, 16 * PORTS, 64)
    if layout.full != 0:
        return 0
    udp_begin(Udp(root), endpoints, limit, index, ports, identifiers, users, members)
    return root


def create_udp(arena: Arena, worker: Worker, limit: int) -> Udp:
    """Empty tables udp0.*, udp1.* ... for `limit` sockets of the worker; the port users' table is the engine's."""
    name, owner = f"udp{worker.index}", worker.index

    udp: Udp = arena.table(f"{name}.root", Udp, 1, owner)[0]
    endpoints = arena.table(f"{name}.endpoints", Endpoint, limit, owner)
    index = create_hash_index(arena, f"{name}.index", limit, owner)
    ports = _zeros(arena, f"{name}.ports", u32, 4, PORTS, owner)
    identifiers = _zeros(arena, f"{name}.identifiers", u32, 4, PORTS, owner)
    members = arena.table(f"{name}.members", Members, 1, owner)
    users = _zeros(arena, "udp.users", u64, 8, 2 * PORTS, -1) if worker.index == 0 else arena.find("udp.users", u64)
    if users is None:
        raise ValueError("the tables of worker 0 come first: the others share one of them")
    udp_begin(
        udp, endpoints.address, limit, index.address, ports.address, identifiers.address, users.address, members.address
    )
    return udp


def _zeros(arena: Arena, name: str, kind: Any, size: int, count: int, owner: int) -> Array[Any]:
    """A table of zeros. A new one is zero without being touched."""
    before = arena.find(name, kind)
    made: Array[Any] = arena.table(name, kind, count, owner)
    if before is not None:
        fill(made.address, 0, size * count)
    return made
