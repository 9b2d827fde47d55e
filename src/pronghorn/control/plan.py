"""From the running configuration to the wanted one: `plan` returns the actions, in an order in which every step works.

Three phases:

1. *Give way*: what stands in the way of something new goes first - a port whose name or device another one takes, an
   address or network that moves, and the routes and addresses on such a port.
2. *Make*: everything new, from the ground up (ports, addresses, routes, local addresses, services, servers), and every
   change that adds capacity.
3. *Break*: everything that is no longer wanted, from the top down.

So whatever both configurations contain stays all the while, and a service that has usable servers before and after
never has none in between. A service is known by protocol and address, a server by its address: renaming one costs
nothing. Pure: nothing is read but the two arguments, which have passed check.py.
"""

from collections.abc import Iterator

from pronghorn.control import access_settings, options
from pronghorn.control import actions as do
from pronghorn.control.actions import Action
from pronghorn.control.fields import Interface
from pronghorn.control.health.changes import differs, server_differs
from pronghorn.control.methods import reach_of, resolve_methods
from pronghorn.control.model import Config, Port, Route, Server, Service
from pronghorn.control.resolve import resolve
from pronghorn.control.scheduling import limits_of, scheduling_of
from pronghorn.control.trouble import Trouble

FIXED = {  # keys read at start only
    "gateway": ("name", "workers", "packets", "arena", "huge_pages"),
    "sockets": ("enabled", "sockets", "datagram_sockets", "connections", "buffer_memory"),
    "programs": ("enabled", "most"),
}


class RestartNeeded(Trouble):
    """The wanted configuration differs in something that a running gateway cannot change."""

    def __init__(self, changes: list[str]) -> None:
        self.changes = changes
        super().__init__(f"cannot change while the gateway runs: {', '.join(changes)}; restart it to change them")


def plan(running: Config, wanted: Config) -> list[Action]:
    """The actions that lead from one to the other. Raises RestartNeeded."""
    changes = [
        f"{section}.{name} ({before} -> {after})"
        for section, names in FIXED.items()
        for name in names
        if (before := getattr(getattr(running, section), name)) != (after := getattr(getattr(wanted, section), name))
    ]
    if changes:
        raise RestartNeeded(changes)
    running, wanted = resolve_methods(running), resolve_methods(wanted)
    network = _Network(running, wanted)
    return [
        *network.give_way(),
        *network.make(),
        *_make_sets(running, wanted),
        *_share(running, wanted),
        *_leave_places(running, wanted),
        *_make_services(running, wanted),
        *_break_services(running, wanted),
        *_take_places(running, wanted),
        *_unshare(running, wanted),
        *_break_sets(running, wanted),
        *network.break_off(),
    ]


_PortKey = tuple[str, str, str | None]  # what makes a port that port; its MTU may change
_Owned = tuple[_PortKey, Interface]


class _Network:
    """Ports, addresses and routes of both configurations, and which of the old ones stand in the way of new ones."""

    def __init__(self, running: Config, wanted: Config) -> None:
        self.old_ports, self.new_ports = _ports(running), _ports(wanted)
        self.old_addresses, self.new_addresses = _addresses(running), _addresses(wanted)
        self.old_routes, self.new_routes = _routes(running), _routes(wanted)
        coming = [key for key in self.new_ports if key not in self.old_ports]
        self.ports_in_way = [
            key for key in self.old_ports if key not in self.new_ports and any(_clash(key, other) for other in coming)
        ]
        arriving = [owned for owned in self.new_addresses if owned not in self.old_addresses]
        self.addresses_in_way = [
            owned
            for owned in self.old_addresses
            if owned[0] in self.ports_in_way
            or (owned not in self.new_addresses and any(_overlap(owned, other) for other in arriving))
        ]
        names = {key[0] for key in self.ports_in_way}
        self.routes_in_way = [prefix for prefix, route in self.old_routes.items() if route.port in names]

    def give_way(self) -> Iterator[Action]:
        for prefix in self.routes_in_way:
            yield do.RemoveRoute(self.old_routes[prefix])
        for port, interface in self.addresses_in_way:
            yield do.RemoveAddress(port[0], interface)
        for key in self.ports_in_way:
            yield do.RemovePort(self.old_ports[key])

    def make(self) -> Iterator[Action]:
        for key, port in self.new_ports.items():
            if key not in self.old_ports:
                yield do.AddPort(port)
            elif self.old_ports[key].mtu != port.mtu:
                yield do.ChangeMtu(port.name, self.old_ports[key].mtu, port.mtu)
        for owned in self.new_addresses:
            if owned not in self.old_addresses:
                yield do.AddAddress(owned[0][0], owned[1])
        for prefix, route in self.new_routes.items():
            old = self.old_routes.get(prefix)
            if old is None or prefix in self.routes_in_way:
                yield do.AddRoute(route)
            elif old != route:
                yield do.ChangeRoute(old, route)

    def break_off(self) -> Iterator[Action]:
        for prefix, route in self.old_routes.items():
            if prefix not in self.new_routes and prefix not in self.routes_in_way:
                yield do.RemoveRoute(route)
        for owned in self.old_addresses:
            if owned not in self.new_addresses and owned not in self.addresses_in_way:
                yield do.RemoveAddress(owned[0][0], owned[1])
        for key, port in self.old_ports.items():
            if key not in self.new_ports and key not in self.ports_in_way:
                yield do.RemovePort(port)


def _ports(config: Config) -> dict[_PortKey, Port]:
    bare = [port.model_copy(update={"addresses": ()}) for port in config.ports]
    return {(port.name, port.device, port.mac): port for port in bare}


def _addresses(config: Config) -> dict[_Owned, None]:
    return {
        ((port.name, port.device, port.mac), interface): None for port in config.ports for interface in port.addresses
    }


def _routes(config: Config) -> dict[object, Route]:
    return {route.prefix: resolve(config, route) for route in config.routes}


def _clash(old: _PortKey, new: _PortKey) -> bool:
    return old[0] == new[0] or (old[1] == new[1] and old[1] != "null:")


def _overlap(old: _Owned, new: _Owned) -> bool:
    same_network = old[1].network == new[1].network and old[0] != new[0]
    return old[1].ip == new[1].ip or same_network


def _share(running: Config, wanted: Config) -> Iterator[Action]:
    old, new = running.balancer, wanted.balancer
    if running.gateway.busy_poll != wanted.gateway.busy_poll:
        yield do.ChangePolling(wanted.gateway.busy_poll)
    if old.timeouts != new.timeouts:
        yield do.ChangeTimeouts(old.timeouts, new.timeouts)
    if old.local_ports != new.local_ports:
        yield do.ChangeLocalPorts(old.local_ports, new.local_ports)
    for address in new.local_addresses:
        if address not in old.local_addresses:
            yield do.AddLocalAddress(address)
    if any(getattr(old, key) != getattr(new, key) for key in access_settings.GUARDS):
        yield do.ChangeGuards(old, new)
    if wanted.sockets.enabled:
        yield from _change_sockets(running, wanted)
    if running.programs != wanted.programs:
        yield do.ChangePrograms(running.programs, wanted.programs)


def _change_sockets(running: Config, wanted: Config) -> Iterator[Action]:
    if running.sockets.local_ports != wanted.sockets.local_ports:
        yield do.ChangeSocketPorts(running.sockets.local_ports, wanted.sockets.local_ports)
    if running.tcp != wanted.tcp:
        yield do.ChangeTcp(running.tcp, wanted.tcp)
    if running.udp != wanted.udp:
        yield do.ChangeUdp(running.udp, wanted.udp)


def _make_sets(running: Config, wanted: Config) -> Iterator[Action]:
    old_sets = {one.name: one for one in running.sets}
    for one in wanted.sets:
        old = old_sets.get(one.name)
        if old is None:
            yield do.AddSet(one)
        elif old != one:
            yield do.ChangeSet(old, one)


def _break_sets(running: Config, wanted: Config) -> Iterator[Action]:
    kept = {one.name for one in wanted.sets}
    return (do.RemoveSet(one) for one in running.sets if one.name not in kept)


def _unshare(running: Config, wanted: Config) -> Iterator[Action]:
    for address in running.balancer.local_addresses:
        if address not in wanted.balancer.local_addresses:
            yield do.RemoveLocalAddress(address)


def _leave_places(running: Config, wanted: Config) -> Iterator[Action]:
    """Before anything is made, for another service may be found there then."""
    new = {service.key: service.listen for service in wanted.services}
    for service in running.services:
        kept = tuple(place for place in service.listen if place in new.get(service.key, ()))
        if kept != service.listen:
            yield do.ChangeListens(service.key, service.listen, kept)


def _take_places(running: Config, wanted: Config) -> Iterator[Action]:
    """After everything has gone that may have been found there."""
    old = {service.key: service.listen for service in running.services}
    for service in wanted.services:
        kept = tuple(place for place in old.get(service.key, ()) if place in service.listen)
        if kept != service.listen:
            yield do.ChangeListens(service.key, kept, service.listen)


def _make_services(running: Config, wanted: Config) -> Iterator[Action]:
    old_services = {service.key: service for service in running.services}
    for service in wanted.services:
        old = old_services.get(service.key)
        if old is None:
            yield do.AddService(service.model_copy(update={"servers": (), "listen": ()}))
            yield from (do.AddServer(service.key, server) for server in service.servers)
            continue
        if old.name != service.name:
            yield do.RenameService(service.key, old.name, service.name)
        if scheduling_of(old) != scheduling_of(service):
            yield do.ChangeScheduler(service.key, scheduling_of(old), scheduling_of(service))
        if reach_of(old) != reach_of(service):
            yield do.ChangeMethod(service.key, None, reach_of(old), reach_of(service))
        if access_settings.differs(old, service):
            yield do.ChangeRules(*(one.model_copy(update={"servers": ()}) for one in (old, service)))
        if options.differs(old, service):
            yield do.ChangeOptions(*(one.model_copy(update={"servers": ()}) for one in (old, service)))
        if differs(old, service):
            yield do.ChangeHealth(*(one.model_copy(update={"servers": ()}) for one in (old, service)))
        for server in service.servers:
            yield from _strengthen(service, _server(old, server), server)


def _strengthen(service: Service, old: Server | None, new: Server) -> Iterator[Action]:
    """What gives a service more capacity: a new server, more weight, a higher limit, an end to draining."""
    if old is None:
        yield do.AddServer(service.key, new)
        return
    if old.name != new.name:
        yield do.RenameServer(service.key, new.address, old.name, new.name)
    if server_differs(old, new):
        yield do.ChangeChecks(service.key, old, new)
    if reach_of(service, old) != reach_of(service, new):
        yield do.ChangeMethod(service.key, new.address, reach_of(service, old), reach_of(service, new))
    if new.weight > old.weight:
        yield do.ChangeWeight(service.key, new.address, old.weight, new.weight)
    if limits_of(new).is_more_than(limits_of(old)):
        yield do.ChangeLimits(service.key, new.address, limits_of(old), limits_of(new))
    if (old.state, new.state) == ("drain", "up"):
        yield do.ResumeServer(service.key, new.address)


def _break_services(running: Config, wanted: Config) -> Iterator[Action]:
    new_services = {service.key: service for service in wanted.services}
    for service in running.services:
        new = new_services.get(service.key)
        for server in service.servers:
            yield from _weaken(service, server, _server(new, server) if new else None)
        if new is None:
            yield do.RemoveService(service.model_copy(update={"servers": (), "listen": ()}))


def _weaken(service: Service, old: Server, new: Server | None) -> Iterator[Action]:
    """The counterpart of _strengthen."""
    if new is None:
        yield do.RemoveServer(service.key, old)
        return
    if new.weight < old.weight:
        yield do.ChangeWeight(service.key, old.address, old.weight, new.weight)
    if limits_of(old).is_more_than(limits_of(new)):
        yield do.ChangeLimits(service.key, old.address, limits_of(old), limits_of(new))
    if (old.state, new.state) == ("up", "drain"):
        yield do.DrainServer(service.key, old.address)


def _server(service: Service, like: Server) -> Server | None:
    return next((server for server in service.servers if server.address == like.address), None)
