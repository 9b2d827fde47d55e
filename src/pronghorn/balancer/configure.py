"""The control plane's hand in a worker's tables: made at start, changed between the worker's turns. Plain Python.

    balancer = create_balancer(arena, worker, conns=1_000_000)
    add_local_address(balancer, IPv4Address("192.0.2.10"))
    service = add_service(balancer, "tcp", IPv4Address("203.0.113.1"), 80, "wrr")
    server = add_server(balancer, service, IPv4Address("192.0.2.80"), 8080, weight=2)

Services and servers are named by their index afterwards; `find_service` and `find_server` tell it. Every function
does all of what it says or raises ConfigureError and has changed nothing. Nothing here waits: connections of what
is removed are ended by the worker's sweep, and an index is free again when its last connection has gone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pronghorn.balancer.addresses import PROTOCOLS, Address, raw_port, service_ports, to_raw
from pronghorn.balancer.schedulers import SCHEDULERS
from pronghorn.balancer.schedulers.maglev import fill_table
from pronghorn.balancer.services import search_service, service_hash
from pronghorn.balancer.tables import (
    LOCALS,
    MAGLEV,
    MEMBERS,
    NOBODY,
    SERVER_DRAIN,
    SERVER_FREE,
    SERVER_REMOVED,
    SERVER_UP,
    TICK,
    WRR,
    Balancer,
    Conn,
    Flow,
    Local,
    Server,
    Service,
)
from pronghorn.compiled import array_at, fence, hashing, u16, u32
from pronghorn.memory.arena import Arena
from pronghorn.memory.hashtable import HashIndex, create_hash_index, hash_add, hash_remove
from pronghorn.memory.wheel import create_wheel
from pronghorn.state.worker import Worker

TIMEOUTS = {
    "syn_sent": 120, "syn_received": 60, "established": 900, "fin_wait": 120, "close_wait": 60,
    "last_ack": 30, "time_wait": 60, "closed": 10, "udp": 300,
}  # fmt: skip
"""Seconds, in the order of Conn.state: IPVS's defaults, except time_wait, which is 60 s as in Linux's own TCP."""

LONGEST_TIMEOUT = 2_000_000
"""Seconds: what 31 bits of ticks can tell apart, with room."""

MAGLEV_SIZE = 65537
"""Places of a Maglev table: over a hundred for each of 650 servers, as the paper asks for."""

_MAGLEV_SEED = 0x2545F4914F6CDD1D


class ConfigureError(ValueError):
    """The balancer cannot be configured so; the text says why."""


def create_balancer(
    arena: Arena,
    worker: Worker,
    conns: int = 1 << 20,
    services: int = 1024,
    servers: int = 8192,
    maglev_size: int = MAGLEV_SIZE,
    maglev_seed: int = _MAGLEV_SEED,
    secret: int | None = None,
) -> Balancer:
    """Tables for one worker, empty. Memory comes as connections are opened, up to `conns`. `secret` is for tests."""
    if not 1 <= conns < 1 << 31 or not 1 <= servers < NOBODY or not 1 <= services < 1 << 16:
        raise ConfigureError(f"{conns} connections, {services} services, {servers} servers: out of range")
    if maglev_size < 3 or any(maglev_size % n == 0 for n in range(2, math.isqrt(maglev_size) + 1)):
        raise ConfigureError(f"a Maglev table of {maglev_size} places: not a prime")
    owner = worker.index
    name = f"balancer{owner}"

    def table(what: str, kind: Any, count: int) -> Any:
        return arena.table(f"{name}.{what}", kind, count, owner)

    balancer: Balancer = table("root", Balancer, 1)[0]
    balancer.flows, balancer.flow_limit = table("flows", Flow, 2 * conns), 2 * conns
    balancer.conns, balancer.conn_limit = table("conns", Conn, conns), conns
    balancer.servers, balancer.server_limit = table("servers", Server, servers), servers
    balancer.services, balancer.service_limit = table("services", Service, services), services
    balancer.locals = table("locals", Local, 4 * LOCALS)
    members, weights = table("members", u16, services * MEMBERS), table("weights", u32, services * MEMBERS)
    for number in range(services):
        service = balancer.services[number]
        service.index = number
        service.members = array_at(u16, members.address + 2 * MEMBERS * number)
        service.weights = array_at(u32, weights.address + 4 * MEMBERS * number)
    balancer.maglev_size, balancer.maglev_seed = maglev_size, hashing.wrap(maglev_seed)
    balancer.lookups = table("lookups", u16, 2 * services * maglev_size)
    balancer.scratch = table("scratch", u32, 3 * MEMBERS)
    balancer.index = create_hash_index(arena, f"{name}.flow", 2 * conns, owner, secret).address
    balancer.service_index = create_hash_index(arena, f"{name}.service", services, owner, secret).address
    balancer.wheel = create_wheel(
        arena, f"{name}.wheel", balancer.conns.address + Conn.offset("timer"), Conn.SIZE, worker.now >> TICK, owner
    ).address
    worker.balancer = balancer.address
    change_timeouts(balancer, TIMEOUTS)
    change_local_ports(balancer, worker, 1025, 65535)
    return balancer


def change_timeouts(balancer: Balancer, seconds: Mapping[str, int]) -> None:
    """Set those that are given. Connections meet the new ones when they change state or their timers expire."""
    for name, value in seconds.items():
        if name not in TIMEOUTS or not 1 <= value <= LONGEST_TIMEOUT:
            raise ConfigureError(f"timeout {name} = {value} s: known are {', '.join(TIMEOUTS)}; 1 to {LONGEST_TIMEOUT}")
    for state, name in enumerate(TIMEOUTS, 1):
        if name in seconds:
            balancer.timeouts[state] = (seconds[name] * 1_000_000_000 >> TICK) + 1


# --- local addresses ----------------------------------------------------------------------------------------------


def change_local_ports(balancer: Balancer, worker: Worker, low: int, high: int) -> None:
    """Ports for new connections to servers, of which this worker takes its share."""
    first = low + (worker.index - low) % worker.workers
    if not 1 <= low <= high <= 65535 or first > high:
        raise ConfigureError(f"local ports {low} to {high}: no range with a port for each of {worker.workers} workers")
    balancer.first_port, balancer.port_step = first, worker.workers
    balancer.port_count = (high - first) // worker.workers + 1


def add_local_address(balancer: Balancer, address: Address) -> None:
    """New connections to servers may come from the address."""
    if _find_local(balancer, address) is not None:
        raise ConfigureError(f"{address} is a local address already")
    family = address.version
    if balancer.local_counts[family == 6] == LOCALS:
        raise ConfigureError(f"there are {LOCALS} local addresses of IPv{family} already")
    for number in range(4 * LOCALS):
        local = balancer.locals[number]
        if local.state == SERVER_FREE or (local.state == SERVER_REMOVED and local.conns == 0):
            break
    else:
        raise ConfigureError("connections of removed local addresses are still being ended")
    local.hi, local.lo = to_raw(address)
    local.family, local.state, local.conns = family, SERVER_UP, 0
    _list_locals(balancer)


def remove_local_address(balancer: Balancer, address: Address) -> None:
    """No new connections from the address; those that use it are ended."""
    local = _find_local(balancer, address)
    if local is None:
        raise ConfigureError(f"{address} is not a local address")
    local.state = SERVER_REMOVED
    _list_locals(balancer)
    _start_sweep(balancer)


def _find_local(balancer: Balancer, address: Address) -> Local | None:
    wanted = (SERVER_UP, address.version, *to_raw(address))
    for number in range(4 * LOCALS):
        local = balancer.locals[number]
        if (local.state, local.family, local.hi, local.lo) == wanted:
            return local
    return None


def _list_locals(balancer: Balancer) -> None:
    for which, family in enumerate((4, 6)):
        usable = [
            number
            for number in range(4 * LOCALS)
            if balancer.locals[number].state == SERVER_UP and balancer.locals[number].family == family
        ]
        for place, number in enumerate(usable):
            balancer.local_lists[which * LOCALS + place] = number
        balancer.local_counts[which] = len(usable)


def _start_sweep(balancer: Balancer) -> None:
    balancer.sweep, balancer.sweep_left = 0, balancer.fresh


# --- services -----------------------------------------------------------------------------------------------------


def find_service(balancer: Balancer, protocol: str, address: Address, port: int) -> int:
    """Its index, or -1."""
    return search_service(balancer, *to_raw(address), service_ports(protocol, address, port))


def add_service(balancer: Balancer, protocol: str, address: Address, port: int, scheduler: str) -> int:
    """Balance what comes for protocol ("tcp" or "udp"), address and port. Returns the service's index."""
    if protocol not in PROTOCOLS or scheduler not in SCHEDULERS or not 1 <= port <= 65535:
        raise ConfigureError(f"service {protocol} {address}:{port}, scheduler {scheduler}: unknown or out of range")
    if find_service(balancer, protocol, address, port) >= 0:
        raise ConfigureError(f"service {protocol} {address}:{port} exists already")
    free = (n for n in range(balancer.service_limit) if balancer.services[n].ports == 0)
    number = next(free, -1)
    if number < 0:
        raise ConfigureError(f"there are {balancer.service_limit} services already")
    service = balancer.services[number]
    service.hi, service.lo = to_raw(address)
    service.ports = service_ports(protocol, address, port)
    service.scheduler, service.member_count, service.current, service.threshold = SCHEDULERS[scheduler], 0, 0, 0
    service.no_server = service.no_port = service.no_conn = service.no_room = 0
    for place in range(4):
        service.removed[place] = 0
    refresh(balancer, number)
    index = HashIndex(balancer.service_index)
    if not hash_add(index, service_hash(service.hi, service.lo, service.ports, index.secret), number):
        service.ports = 0
        raise ConfigureError("no room for another service")
    return number


def remove_service(balancer: Balancer, number: int) -> None:
    """Forget the service and its servers; their connections are ended."""
    service = service_at(balancer, number)
    while service.member_count:
        remove_server(balancer, service.members[0])
    index = HashIndex(balancer.service_index)
    hash_remove(index, service_hash(service.hi, service.lo, service.ports, index.secret), number)
    service.ports = 0


def change_scheduler(balancer: Balancer, number: int, scheduler: str) -> None:
    """Schedule new connections by another method."""
    if scheduler not in SCHEDULERS:
        raise ConfigureError(f"scheduler {scheduler}: known are {', '.join(SCHEDULERS)}")
    service_at(balancer, number).scheduler = SCHEDULERS[scheduler]
    refresh(balancer, number)


def service_at(balancer: Balancer, number: int) -> Service:
    """The service of that index."""
    if not 0 <= number < balancer.service_limit or balancer.services[number].ports == 0:
        raise ConfigureError(f"there is no service {number}")
    return balancer.services[number]


# --- servers ------------------------------------------------------------------------------------------------------


def find_server(balancer: Balancer, service: int, address: Address, port: int) -> int:
    """Index of the service's server with this address, or -1."""
    wanted = (*to_raw(address), raw_port(port))
    members = service_at(balancer, service)
    for place in range(members.member_count):
        server = balancer.servers[members.members[place]]
        if (server.hi, server.lo, server.port) == wanted:
            return members.members[place]
    return -1


def add_server(
    balancer: Balancer, service: int, address: Address, port: int, weight: int = 1, state: str = "up"
) -> int:
    """Give the service another server. `state` is "up" or "drain". Returns the server's index."""
    owner = service_at(balancer, service)
    if address.version != owner.ports >> 40:
        raise ConfigureError(f"server {address}: its service is IPv{owner.ports >> 40}, and full NAT keeps the family")
    if not 1 <= port <= 65535 or not 0 <= weight <= 65535 or state not in ("up", "drain"):
        raise ConfigureError(f"server {address}:{port}, weight {weight}, state {state}: out of range")
    if find_server(balancer, service, address, port) >= 0:
        raise ConfigureError(f"server {address}:{port} exists already")
    if owner.member_count == MEMBERS:
        raise ConfigureError(f"the service has {MEMBERS} servers already")
    number = _free_server(balancer)
    server = balancer.servers[number]
    for direction in range(2):
        server.packets[direction] = server.octets[direction] = 0
    server.hi, server.lo = to_raw(address)
    server.family, server.port, server.service, server.weight = address.version, raw_port(port), service, weight
    server.conns = server.active = server.connections = 0
    server.identity = hashing.mix(hashing.mix(server.hi, server.lo, 0), server.port, 0)
    server.state = SERVER_UP if state == "up" else SERVER_DRAIN
    owner.members[owner.member_count] = number
    owner.member_count += 1
    refresh(balancer, service)
    return number


def remove_server(balancer: Balancer, number: int) -> None:
    """Take the server away; its connections are ended. Drain it first to let them finish."""
    server = server_at(balancer, number)
    service = balancer.services[server.service]
    members = [service.members[place] for place in range(service.member_count)]
    place = members.index(number)
    for later in range(place + 1, len(members)):
        service.members[later - 1] = members[later]
    service.member_count -= 1
    if place < service.current:
        service.current -= 1
    for direction in range(2):
        service.removed[2 * direction] += server.packets[direction]
        service.removed[2 * direction + 1] += server.octets[direction]
    server.state = SERVER_REMOVED
    refresh(balancer, server.service)
    _start_sweep(balancer)


def change_weight(balancer: Balancer, number: int, weight: int) -> None:
    """The server's share of new connections from now on; 0 for none."""
    if not 0 <= weight <= 65535:
        raise ConfigureError(f"weight {weight}: 0 to 65535")
    server = server_at(balancer, number)
    server.weight = weight
    refresh(balancer, server.service)


def change_state(balancer: Balancer, number: int, state: str) -> None:
    """ "drain": connections go on, new ones go elsewhere. "up" undoes it."""
    if state not in ("up", "drain"):
        raise ConfigureError(f"state {state}: up or drain")
    server = server_at(balancer, number)
    server.state = SERVER_UP if state == "up" else SERVER_DRAIN
    refresh(balancer, server.service)


def server_at(balancer: Balancer, number: int) -> Server:
    """The server of that index."""
    if 0 <= number < balancer.server_limit and balancer.servers[number].state in (SERVER_UP, SERVER_DRAIN):
        return balancer.servers[number]
    raise ConfigureError(f"there is no server {number}")


def _free_server(balancer: Balancer) -> int:
    for number in range(balancer.server_limit):
        server = balancer.servers[number]
        if server.state == SERVER_FREE or (server.state == SERVER_REMOVED and server.conns == 0):
            return number
    raise ConfigureError(f"there are {balancer.server_limit} servers already")


# --- what schedulers remember -------------------------------------------------------------------------------------


def refresh(balancer: Balancer, number: int) -> None:
    """Put right what the service's scheduler knows of its servers, after any change."""
    service = balancer.services[number]
    count = service.member_count
    servers = [balancer.servers[service.members[place]] for place in range(count)]
    weights = [server.weight if server.state == SERVER_UP else 0 for server in servers]
    for place, weight in enumerate(weights):
        service.weights[place] = weight
    largest, step = max(weights, default=0), math.gcd(*weights) or 1
    service.largest, service.step = largest, step
    if service.scheduler == WRR:  # as IPVS: from the first server on, at about the threshold that was reached
        service.current = 0
        threshold = -(-service.threshold // step) * step
        service.threshold = threshold if 0 < threshold <= largest else largest
    elif service.scheduler == MAGLEV:
        _fill_lookup(balancer, service, servers, [weight // step for weight in weights])


def _fill_lookup(balancer: Balancer, service: Service, servers: list[Server], turns: list[int]) -> None:
    """Write the service's spare Maglev table and let the worker use it."""
    size, scratch = balancer.maglev_size, balancer.scratch
    first = balancer.lookups.address + 4 * size * service.index
    spare = first + 2 * size if service.lookup.address == first else first
    for place, (server, turn) in enumerate(zip(servers, turns, strict=True)):
        scratch[place], scratch[MEMBERS + place] = server.identity, turn
    turned, places = (array_at(u32, scratch.address + 4 * MEMBERS * n) for n in (1, 2))
    fill_table(array_at(u16, spare), size, len(servers), scratch, turned, places)
    fence()
    service.lookup = array_at(u16, spare)
