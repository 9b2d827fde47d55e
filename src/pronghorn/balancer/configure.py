"""The control plane's hand in services and servers. Plain Python, between the worker's turns.

    balancer = create_balancer(arena, worker, conns=1_000_000)
    add_local_address(balancer, IPv4Address("192.0.2.10"))
    service = add_service(balancer, "tcp", IPv4Address("203.0.113.1"), 80, "wrr")
    server = add_server(balancer, service, IPv4Address("192.0.2.80"), 8080, weight=2)

Services and servers are named by their index afterwards; `find_service` and `find_server` tell it. Every function does
all of what it says or raises ConfigureError and has changed nothing. Nothing here waits: connections of what is removed
are ended by the worker's sweep, and an index is free again when its last connection has gone. After changes,
`rebuild_lookups` makes the tables of Maglev services anew.
"""

from __future__ import annotations

from pronghorn.balancer.addresses import (
    PROTOCOLS,
    Address,
    ConfigureError,
    from_raw,
    raw_port,
    service_ports,
    to_raw,
)
from pronghorn.balancer.create import change_timeouts, create_balancer, usual_options
from pronghorn.balancer.listens import drop_listens
from pronghorn.balancer.local_addresses import add_local_address, change_local_ports, remove_local_address, start_sweep
from pronghorn.balancer.lookups import rebuild_lookups
from pronghorn.balancer.methods import method_number, set_method
from pronghorn.balancer.schedulers import SCHEDULERS
from pronghorn.balancer.schedulers.mh import identity_of
from pronghorn.balancer.scheduling import USUAL, Scheduling, set_limits, set_scheduling, start_slowly
from pronghorn.balancer.services import (
    end_leaving,
    forget_member,
    refresh_weights,
    search_exact,
    search_free_server,
    search_free_service,
    search_server,
    service_hash,
)
from pronghorn.balancer.set_limits import has_packet_rates
from pronghorn.balancer.tables import (
    MEMBERS,
    SERVER_DRAIN,
    SERVER_LEAVING,
    SERVER_REMOVED,
    SERVER_UP,
    WRR,
    Access,
    Balancer,
    Server,
    Service,
)
from pronghorn.balancer.templates import drop_templates
from pronghorn.balancer.tunnel_headers import Outer
from pronghorn.compiled import fill
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_remove

__all__ = [
    "ConfigureError",
    "Outer",
    "Scheduling",
    "add_local_address",
    "add_server",
    "add_service",
    "change_limits",
    "change_local_ports",
    "change_method",
    "change_scheduler",
    "change_state",
    "change_timeouts",
    "change_weight",
    "create_balancer",
    "find_server",
    "find_service",
    "rebuild_lookups",
    "remove_local_address",
    "remove_server",
    "remove_service",
]

# --- services -----------------------------------------------------------------------------------------------------


def find_service(balancer: Balancer, protocol: str, address: Address, port: int) -> int:
    """Its index, or -1."""
    return search_exact(balancer, *to_raw(address), service_ports(protocol, address, port))


def add_service(
    balancer: Balancer, protocol: str, address: Address, port: int, scheduler: str, scheduling: Scheduling = USUAL
) -> int:
    """Balance what comes for protocol ("tcp", "udp" or "sctp"), address and port. Returns the service's index."""
    if protocol not in PROTOCOLS or scheduler not in SCHEDULERS or not 1 <= port <= 65535:
        raise ConfigureError(f"service {protocol} {address}:{port}, scheduler {scheduler}: unknown or out of range")
    if find_service(balancer, protocol, address, port) >= 0:
        raise ConfigureError(f"service {protocol} {address}:{port} exists already")
    number = search_free_service(balancer)
    if number < 0:
        raise ConfigureError(f"there are {balancer.service_limit} services already")
    service = balancer.services[number]
    set_scheduling(balancer, service, scheduler, scheduling)
    service.hi, service.lo = to_raw(address)
    service.ports = service_ports(protocol, address, port)
    service.member_count = service.current = service.threshold = service.ring = 0
    service.no_server = service.no_port = service.no_conn = service.no_room = service.reject = service.nat = 0
    service.asks = 0
    fill(balancer.access[number].address, 0, Access.SIZE)
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
    if balancer.options[number].leaving != 0:
        end_leaving(balancer, number)
        start_sweep(balancer)
    index = HashIndex(balancer.service_index)
    hash_remove(index, service_hash(service.hi, service.lo, service.ports, index.secret), number)
    service.ports = service.ring = 0
    drop_templates(balancer, number)
    drop_listens(balancer, number)
    usual_options(balancer, number)


def change_scheduler(balancer: Balancer, number: int, scheduler: str, scheduling: Scheduling = USUAL) -> None:
    """Schedule new connections by another method."""
    if scheduler not in SCHEDULERS:
        raise ConfigureError(f"scheduler {scheduler}: known are {', '.join(SCHEDULERS)}")
    set_scheduling(balancer, service_at(balancer, number), scheduler, scheduling)
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
    return search_server(balancer, service_at(balancer, service), *wanted)


def add_server(
    balancer: Balancer,
    service: int,
    address: Address,
    port: int,
    weight: int = 1,
    state: str = "up",
    method: str = "full-nat",
    outer: Outer | None = None,
) -> int:
    """Give the service another server. `state` is "up" or "drain", `method` of METHODS, `outer` of tunnels. Returns its
    index."""
    owner = service_at(balancer, service)
    if not 1 <= port <= 65535 or not 0 <= weight <= 65535 or state not in ("up", "drain"):
        raise ConfigureError(f"server {address}:{port}, weight {weight}, state {state}: out of range")
    way = method_number(owner, address, port, method)
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
    server.conns = server.active = server.connections = server.generation = 0
    server.refused = server.unanswered = 0
    balancer.tunnels[number].octets = 0
    set_method(balancer, number, way, outer)
    set_limits(server, 0, 0, 0)
    server.overloaded = server.others_overloaded = server.others_conns = server.others_active = server.part = 0
    start_slowly(owner, server)
    server.identity = identity_of(server.hi, server.lo, server.port)
    server.state = SERVER_UP if state == "up" else SERVER_DRAIN
    server.keep_port = balancer.options[service].keep_port
    server.watched = int(has_packet_rates(balancer.limits[service]))
    owner.members[owner.member_count] = number
    owner.member_count += 1
    refresh(balancer, service)
    return number


def remove_server(balancer: Balancer, number: int, keep: bool = False) -> None:
    """Take the server away; its connections are ended, or kept until they end or their service is removed."""
    server = server_at(balancer, number)
    service = balancer.services[server.service]
    if forget_member(service, number) < service.current:
        service.current -= 1
    for direction in range(2):
        service.removed[2 * direction] += server.packets[direction]
        service.removed[2 * direction + 1] += server.octets[direction]
    server.state = SERVER_LEAVING if keep else SERVER_REMOVED
    server.watched |= int(not keep)
    balancer.options[server.service].leaving |= int(keep)
    balancer.next_server = min(balancer.next_server, number)
    refresh(balancer, server.service)
    if not keep:
        start_sweep(balancer)


def change_weight(balancer: Balancer, number: int, weight: int) -> None:
    """The server's share of new connections from now on; 0 for none."""
    if not 0 <= weight <= 65535:
        raise ConfigureError(f"weight {weight}: 0 to 65535")
    server = server_at(balancer, number)
    if server.weight == 0 and weight != 0:
        start_slowly(balancer.services[server.service], server)
    server.weight = weight
    refresh(balancer, server.service)


def change_state(balancer: Balancer, number: int, state: str) -> None:
    """ "drain": connections go on, new ones go elsewhere. "up" undoes it."""
    if state not in ("up", "drain"):
        raise ConfigureError(f"state {state}: up or drain")
    server = server_at(balancer, number)
    if server.state == SERVER_DRAIN and state == "up":
        start_slowly(balancer.services[server.service], server)
    server.state = SERVER_UP if state == "up" else SERVER_DRAIN
    refresh(balancer, server.service)


def change_limits(balancer: Balancer, number: int, upper: int, lower: int = 0, quota: int | None = None) -> None:
    """Connections of all workers from which on the server gets no more, and below which it gets some again (0: three
    quarters). `quota`: how many of them this worker may open; all of them where it is the only one."""
    set_limits(server_at(balancer, number), upper, lower, upper if quota is None else quota)


def change_method(balancer: Balancer, number: int, method: str, outer: Outer | None = None) -> None:
    """How packets reach the server, from its next connection on; those that there are keep their way."""
    server = server_at(balancer, number)
    address = from_raw(server.family, server.hi, server.lo)
    way = method_number(balancer.services[server.service], address, raw_port(server.port), method)
    set_method(balancer, number, way, outer)


def server_at(balancer: Balancer, number: int) -> Server:
    """The server of that index."""
    if 0 <= number < balancer.server_limit and balancer.servers[number].state in (SERVER_UP, SERVER_DRAIN):
        return balancer.servers[number]
    raise ConfigureError(f"there is no server {number}")


def _free_server(balancer: Balancer) -> int:
    number = search_free_server(balancer)
    if number < 0:
        raise ConfigureError(f"there are {balancer.server_limit} servers already")
    return number


# --- what schedulers remember -------------------------------------------------------------------------------------


def refresh(balancer: Balancer, number: int) -> None:
    """Put right what the service's scheduler knows of its servers, after any change; wrr's round begins anew."""
    service = balancer.services[number]
    if service.scheduler == WRR:
        service.current = service.threshold = 0
    refresh_weights(balancer, service)
    service.stale = 1
