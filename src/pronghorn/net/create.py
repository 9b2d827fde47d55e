"""Making the room's tables in an arena: one set for each worker, named net0.*, net1.*, ... Plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pronghorn.compiled import Array, fill, u16, u64
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import create_hash_index
from pronghorn.memory.prefix import create_prefix_table
from pronghorn.net.fragments import PIECES, SOURCES, Datagram, Fragments
from pronghorn.net.path_mtu import WAYS
from pronghorn.net.state import NONE, Interface, Neighbour, Net, Owned, PathMTU, Route
from pronghorn.state.worker import Worker


@dataclass(frozen=True)
class Limits:
    """Sizes of one worker's tables. Memory comes as it is used."""

    interfaces: int = 64
    addresses: int = 4096  # own ones, services' included
    routes: int = 65_536
    neighbours: int = 4096
    fragments: int = 512  # pieces of packets that wait for the others, and packets in pieces
    waiting: int = 256  # packets that wait for neighbours, all together
    paths: int = 1024  # reported path MTUs; a power of 2
    destinations: int = 1024  # rate limits of ICMP errors; a power of 2


def create_net(arena: Arena, worker: Worker, limits: Limits | None = None) -> Net:
    """Empty tables for the worker, set as worker.net. What an earlier process left in the arena is forgotten."""
    limits = limits or Limits()
    for name in ("paths", "destinations"):
        size = getattr(limits, name)
        if size < WAYS or size & (size - 1):
            raise ValueError(f"{name} = {size}: a power of 2, at least {WAYS}")
    name, owner = f"net{worker.index}", worker.index

    def table(part: str, kind: Any, count: int) -> Array[Any]:
        return arena.table(f"{name}.{part}", kind, count, owner)

    net: Net = table("root", Net, 1)[0]
    fill(net.address, 0, Net.SIZE)
    net.generation = 1
    net.interfaces = table("interfaces", Interface, limits.interfaces)
    fill(net.interfaces.address, 0, limits.interfaces * Interface.SIZE)
    net.routes = table("routes", Route, limits.routes)
    net.routes4 = create_prefix_table(arena, f"{name}.routes4", limits.routes, owner).address
    net.routes6 = create_prefix_table(arena, f"{name}.routes6", limits.routes, owner).address
    net.owned = table("owned", Owned, limits.addresses)
    net.owned_index = create_hash_index(arena, f"{name}.owned", limits.addresses, owner).address
    net.neighbours = table("neighbours", Neighbour, limits.neighbours)
    net.neighbour_index = create_hash_index(arena, f"{name}.neighbours", limits.neighbours, owner).address
    net.deadlines = table("deadlines", u64, limits.neighbours)
    fill(net.deadlines.address, 0, 8 * limits.neighbours)
    net.paths, net.path_mask = table("paths", PathMTU, limits.paths), limits.paths - 1
    fill(net.paths.address, 0, limits.paths * PathMTU.SIZE)
    net.destinations, net.destination_mask = table("destinations", u64, limits.destinations), limits.destinations - 1
    fill(net.destinations.address, 0, 8 * limits.destinations)
    net.oldest = net.newest = NONE
    net.route_free = net.owned_free = net.neighbour_free = NONE
    net.neighbour_limit, net.incomplete_limit = limits.neighbours, max(1, limits.neighbours // 2)
    net.owned_limit, net.route_limit, net.interface_limit = limits.addresses, limits.routes, limits.interfaces
    net.waiting_limit = limits.waiting
    net.fragments = _create_fragments(arena, name, owner, limits.fragments).address
    worker.net = net.address
    return net


def _create_fragments(arena: Arena, name: str, owner: int, limit: int) -> Fragments:
    """Room for `limit` pieces, of at most as many packets; an eighth of it for each source."""
    own: Fragments = arena.table(f"{name}.fragments", Fragments, 1, owner)[0]
    fill(own.address, 0, Fragments.SIZE)
    own.datagrams = arena.table(f"{name}.datagrams", Datagram, limit, owner)
    own.index = create_hash_index(arena, f"{name}.fragment_index", limit, owner).address
    own.sources = arena.table(f"{name}.fragment_sources", u16, SOURCES, owner)
    fill(own.sources.address, 0, 2 * SOURCES)
    own.limit, own.source_limit = limit, max(PIECES, limit // 8)
    own.oldest4 = own.newest4 = own.oldest6 = own.newest6 = NONE
    own.free = 0
    for number in range(limit):
        datagram = own.datagrams[number]
        datagram.family, datagram.newer = 0, number + 1 if number + 1 < limit else NONE
    return own
