"""Making the room's tables: one set for each worker, in an arena (named net0.*, net1.*, ...) or in a Layout.

Whoever makes them says where each lies and how many records it has; `net_open` does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pronghorn.compiled import Array, View, array_at, fill, hot, u16, u32, u64
from pronghorn.compiled.hashing import mix
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import create_hash_index, hash_lay
from pronghorn.memory.layout import Layout, lay
from pronghorn.memory.prefix import create_prefix_table, prefix_lay
from pronghorn.net.fragments import PIECES, SOURCES, Datagram, Fragments
from pronghorn.net.groups import Groups, groups_open
from pronghorn.net.path_mtu import WAYS
from pronghorn.net.state import NONE, Interface, Neighbour, Net, Owned, PathMTU, Route
from pronghorn.state.worker import Worker


@dataclass(frozen=True)
class Limits:
    """Sizes of one worker's tables. Memory comes as it is used."""

    interfaces: int = 256
    addresses: int = 4096  # own ones, services' included
    routes: int = 65_536
    neighbours: int = 4096
    fragments: int = 512  # pieces of packets that wait for the others, and packets in pieces
    waiting: int = 256  # packets that wait for neighbours, all together
    paths: int = 1024  # reported path MTUs; a power of 2
    destinations: int = 1024  # rate limits of ICMP errors; a power of 2


class NetLimits(View, align=8):
    """Sizes of the network tables of an engine; 0 for what is usual. Memory comes as it is used."""

    addresses: u32  # own ones
    routes: u32
    neighbours: u32
    fragments: u32  # pieces of packets that wait for the others, and packets in pieces
    waiting: u32  # packets that wait for neighbours, all together
    paths: u32  # reported path MTUs; a power of 2, at least 4
    destinations: u32  # rate limits of ICMP errors; a power of 2, at least 4
    unused: u32


@hot
def net_open(net: Net, waiting: int) -> None:
    """Empty tables: in `net` are the addresses of zeroed tables and of opened indexes, and the other limits."""
    net.generation = 1
    net.oldest = net.newest = NONE
    net.route_free = net.owned_free = net.neighbour_free = NONE
    net.incomplete_limit, net.waiting_limit = max(1, net.neighbour_limit // 2), waiting
    own = Fragments(net.fragments)
    own.source_limit = max(PIECES, own.limit // 8)
    own.oldest4 = own.newest4 = own.oldest6 = own.newest6 = NONE
    own.free = 0
    groups_open(Groups(net.groups))
    for number in range(own.limit):
        datagram = own.datagrams[number]
        datagram.family, datagram.newer = 0, number + 1 if number + 1 < own.limit else NONE


@hot
def net_lay(layout: Layout, worker: Worker, interfaces: int, limits: NetLimits) -> int:
    """New tables for the worker, set as worker.net; no limit is 0. Their address; 0: no room."""
    net = Net(lay(layout, Net.SIZE, Net.ALIGN))
    own = Fragments(lay(layout, Fragments.SIZE, Fragments.ALIGN))
    if layout.full != 0:
        return 0
    seed = worker.secret
    net.interfaces = array_at(Interface, lay(layout, interfaces * Interface.SIZE, Interface.ALIGN))
    net.routes = array_at(Route, lay(layout, limits.routes * Route.SIZE, Route.ALIGN))
    net.routes4, net.routes6 = prefix_lay(layout, limits.routes), prefix_lay(layout, limits.routes)
    net.owned = array_at(Owned, lay(layout, limits.addresses * Owned.SIZE, Owned.ALIGN))
    net.owned_index = hash_lay(layout, limits.addresses, mix(seed, 1, seed))
    net.neighbours = array_at(Neighbour, lay(layout, limits.neighbours * Neighbour.SIZE, Neighbour.ALIGN))
    net.neighbour_index = hash_lay(layout, limits.neighbours, mix(seed, 2, seed))
    net.deadlines = array_at(u64, lay(layout, 8 * limits.neighbours, 64))
    net.paths, net.path_mask = array_at(PathMTU, lay(layout, limits.paths * PathMTU.SIZE, 64)), limits.paths - 1
    net.destinations = array_at(u64, lay(layout, 8 * limits.destinations, 64))
    net.destination_mask = limits.destinations - 1
    net.neighbour_limit, net.owned_limit = limits.neighbours, limits.addresses
    net.route_limit, net.interface_limit = limits.routes, interfaces
    net.fragments, own.limit = own.address, limits.fragments
    own.datagrams = array_at(Datagram, lay(layout, limits.fragments * Datagram.SIZE, Datagram.ALIGN))
    own.index = hash_lay(layout, limits.fragments, mix(seed, 3, seed))
    own.sources = array_at(u16, lay(layout, 2 * SOURCES, 64))
    net.groups = lay(layout, Groups.SIZE, Groups.ALIGN)
    if layout.full != 0:
        return 0
    net_open(net, limits.waiting)
    worker.net = net.address
    return net.address


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
    net.neighbour_limit, net.owned_limit = limits.neighbours, limits.addresses
    net.route_limit, net.interface_limit = limits.routes, limits.interfaces
    net.groups = table("groups", Groups, 1).address
    net.fragments = _create_fragments(arena, name, owner, limits.fragments).address
    net_open(net, limits.waiting)
    worker.net = net.address
    return net


def _create_fragments(arena: Arena, name: str, owner: int, limit: int) -> Fragments:
    """Room for `limit` pieces, of at most as many packets."""
    own: Fragments = arena.table(f"{name}.fragments", Fragments, 1, owner)[0]
    fill(own.address, 0, Fragments.SIZE)
    own.datagrams = arena.table(f"{name}.datagrams", Datagram, limit, owner)
    own.index = create_hash_index(arena, f"{name}.fragment_index", limit, owner).address
    own.sources = arena.table(f"{name}.fragment_sources", u16, SOURCES, owner)
    fill(own.sources.address, 0, 2 * SOURCES)
    own.limit = limit
    return own
