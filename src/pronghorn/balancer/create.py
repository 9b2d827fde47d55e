"""Making a worker's tables in an arena, named balancer0.*, balancer1.*, ..., and their timeouts. Plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from pronghorn.balancer.addresses import ConfigureError
from pronghorn.balancer.clients import PLACES, WAYS
from pronghorn.balancer.forwarding.tunnel import PIECES
from pronghorn.balancer.local_addresses import change_local_ports
from pronghorn.balancer.lookups import RING_POINTS
from pronghorn.balancer.option_tables import Limits, Listen, Options, Template, Ties
from pronghorn.balancer.proxy_tables import Proxied, Proxy
from pronghorn.balancer.schedulers.locality import CACHE
from pronghorn.balancer.tables import (
    LOCAL_RECORDS,
    MEMBERS,
    NOBODY,
    STATES,
    TICK,
    Access,
    Balancer,
    Conn,
    ConnRecord,
    Local,
    Locality,
    Server,
    Service,
    Wide,
)
from pronghorn.balancer.tunnels import Tunnel
from pronghorn.compiled import Array, array_at, fill, hashing, u32, u64
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import create_hash_index
from pronghorn.memory.wheel import create_wheel
from pronghorn.state.worker import Worker
from pronghorn.wire.tcp import TCPOptions

TIMEOUTS = {
    "syn_sent": 120, "syn_received": 60, "established": 900, "fin_wait": 120, "close_wait": 60,
    "last_ack": 30, "time_wait": 60, "closed": 10, "udp": 300,
}  # fmt: skip
"""Seconds, in the order of ConnRecord.state: IPVS's defaults, except time_wait, which is 60 s as in Linux's own TCP."""

LONGEST_TIMEOUT = 2_000_000
"""Seconds: what 31 bits of ticks can tell apart, with room."""

MAGLEV_SIZE = 65537
"""Places of a Maglev table: over a hundred for each of 650 servers, as the paper asks for."""

CLIENTS = 1 << 17
"""Clients that persistence remembers at most, and no more than there can be connections."""

LISTENS = 16_384
"""Addresses and ports of all services besides their own."""

_MAGLEV_SEED = 0x2545F4914F6CDD1D


def create_balancer(
    arena: Arena,
    worker: Worker,
    conns: int = 1 << 20,
    services: int = 1024,
    servers: int = 65_534,
    maglev_size: int = MAGLEV_SIZE,
    maglev_seed: int = _MAGLEV_SEED,
) -> Balancer:
    """Tables for one worker, empty. Memory comes as connections are opened, up to `conns`.

    The worker's secret keys all hashes; it is the same for all workers of an engine, so that a packet's hash stays
    right when another worker takes it over. What an earlier process left in the arena is forgotten.
    """
    if not 1 <= conns < 1 << 31 or not 1 <= servers < NOBODY or not 1 <= services < 1 << 16:
        raise ConfigureError(f"{conns} connections, {services} services, {servers} servers: out of range")
    if maglev_size < 3 or any(maglev_size % n == 0 for n in range(2, math.isqrt(maglev_size) + 1)):
        raise ConfigureError(f"a Maglev table of {maglev_size} places: not a prime")
    if worker.secret == 0:
        raise ConfigureError("the worker has no secret: without one every flow has the same hash")
    owner = worker.index
    name = f"balancer{owner}"

    def table(what: str, kind: Any, count: int) -> Any:
        return arena.table(f"{name}.{what}", kind, count, owner)

    balancer: Balancer = table("root", Balancer, 1)[0]
    fill(balancer.address, 0, Balancer.SIZE)
    balancer.conns, balancer.conn_limit, balancer.flow_limit = table("conns", Conn, conns), conns, 2 * conns
    balancer.records, balancer.wide = table("records", ConnRecord, conns), table("wide", Wide, conns)
    balancer.hop_tag = 1
    balancer.servers, balancer.server_limit = table("servers", Server, servers), servers
    balancer.services, balancer.service_limit = table("services", Service, services), services
    balancer.tunnels = table("tunnels", Tunnel, servers)
    balancer.pieces = table("pieces", u64, PIECES).address
    balancer.locals = table("locals", Local, LOCAL_RECORDS)
    balancer.access = table("access", Access, services)
    _for_options(balancer, arena, worker, table)
    for start, octets in (
        (balancer.servers.address, servers * Server.SIZE),
        (balancer.tunnels.address, servers * Tunnel.SIZE),
        (balancer.services.address, services * Service.SIZE),
        (balancer.locals.address, LOCAL_RECORDS * Local.SIZE),
        (balancer.access.address, services * Access.SIZE),
    ):
        fill(start, 0, octets)
    members, weights = table("members", u32, services * MEMBERS), table("weights", u32, services * MEMBERS)
    for number in range(services):
        service = balancer.services[number]
        service.index = number
        usual_options(balancer, number)
        service.members = array_at(u32, members.address + 4 * MEMBERS * number)
        service.weights = array_at(u32, weights.address + 4 * MEMBERS * number)
    balancer.maglev_size, balancer.maglev_seed = maglev_size, hashing.wrap(maglev_seed)
    _for_schedulers(balancer, table, services)
    balancer.index = create_hash_index(arena, f"{name}.flow", 2 * conns, owner, worker.secret).address
    places = services + balancer.listen_limit
    balancer.service_index = create_hash_index(arena, f"{name}.service", places, owner, worker.secret).address
    timers = balancer.records.address + ConnRecord.offset("timer")
    balancer.wheel = create_wheel(arena, f"{name}.wheel", timers, ConnRecord.SIZE, worker.now >> TICK, owner).address
    worker.balancer = balancer.address
    change_timeouts(balancer, TIMEOUTS)
    change_local_ports(balancer, worker, 1025, 65535)
    return balancer


def _for_options(balancer: Balancer, arena: Arena, worker: Worker, table: Callable[[str, Any, int], Any]) -> None:
    """What services may ask beyond the usual."""
    services, servers, owner = balancer.service_limit, balancer.server_limit, worker.index
    balancer.options, balancer.ties = table("options", Options, services), table("ties", Ties, balancer.conn_limit)
    balancer.limits, balancer.server_clients = table("limits", Limits, services), table("server_clients", u32, servers)
    fill(balancer.server_clients.address, 0, 4 * servers)
    balancer.clients, balancer.client_mask = _clients(arena, owner), PLACES // WAYS - 1
    balancer.listens, balancer.listen_limit = table("listens", Listen, LISTENS), LISTENS
    clients, name = min(CLIENTS, balancer.conn_limit), f"balancer{owner}.template"
    balancer.templates, balancer.template_limit = table("templates", Template, clients), clients
    balancer.template_index = create_hash_index(arena, name, clients, owner, worker.secret).address
    timers = balancer.templates.address + Template.offset("timer")
    wheel = create_wheel(arena, f"{name}_wheel", timers, Template.SIZE, worker.now >> TICK, owner)
    balancer.template_wheel = wheel.address
    balancer.proxies = table("proxies", Proxy, services)
    balancer.proxied = table("proxied", Proxied, balancer.conn_limit)
    balancer.said = table("said", TCPOptions, 1).address


def _for_schedulers(balancer: Balancer, table: Callable[[str, Any, int], Any], services: int) -> None:
    """What schedulers look up and remember, and what that is made with."""
    balancer.lookups = table("lookups", u32, 2 * services * balancer.maglev_size)
    balancer.scratch = table("scratch", u32, 4 * MEMBERS)
    balancer.rings, balancer.cache = table("rings", u64, RING_POINTS), table("cache", Locality, CACHE)
    fill(balancer.cache.address, 0, CACHE * Locality.SIZE)


def _clients(arena: Arena, owner: int) -> Array[u64]:
    """The engine's table of clients; the first worker empties what an earlier process left."""
    there = next((table for table in arena.tables() if table.name == "clients"), None)
    if there is not None and owner != 0:
        return array_at(u64, there.base)
    clients: Array[u64] = arena.table("clients", u64, PLACES)
    if there is not None:
        fill(clients.address, 0, 8 * PLACES)
    return clients


def usual_options(balancer: Balancer, number: int) -> None:
    """Let the service of that number ask nothing beyond the usual."""
    balancer.services[number].asks = 0
    balancer.services[number].timeouts = array_at(u32, balancer.timeouts.address)
    fill(balancer.options[number].address, 0, Options.SIZE)
    fill(balancer.limits[number].address, 0, Limits.SIZE)
    fill(balancer.proxies[number].address, 0, Proxy.SIZE)


def change_timeouts(balancer: Balancer, seconds: Mapping[str, int]) -> None:
    """Set those that are given. Connections meet the new ones when they change state or their timers expire.

    Services that have timeouts of their own take over what they have not.
    """
    times = timeout_ticks(seconds)
    for state, time in times.items():
        balancer.timeouts[state] = time
    for number in range(balancer.service_limit):
        if balancer.services[number].timeouts.address != balancer.timeouts.address:
            set_timeouts(balancer, number)


def timeout_ticks(seconds: Mapping[str, int]) -> dict[int, int]:
    """What is given, by ConnRecord.state."""
    for name, value in seconds.items():
        if name not in TIMEOUTS or not 1 <= value <= LONGEST_TIMEOUT:
            raise ConfigureError(f"timeout {name} = {value} s: known are {', '.join(TIMEOUTS)}; 1 to {LONGEST_TIMEOUT}")
    return {state: ticks(seconds[name]) for state, name in enumerate(TIMEOUTS, 1) if name in seconds}


def set_timeouts(balancer: Balancer, number: int) -> None:
    """Put together the timeouts of a service that has some of its own."""
    options = balancer.options[number]
    for state in range(STATES):
        options.timeouts[state] = options.own[state] or balancer.timeouts[state]


def ticks(seconds: int) -> int:
    """What has passed after so many seconds."""
    return (seconds * 1_000_000_000 >> TICK) + 1
