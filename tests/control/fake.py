"""A data plane that only remembers, and insists on what the real one insists on.

It raises whenever an action refers to something that is not there or is there twice, so a plan in a wrong order fails.
`fail_at` makes the n-th call fail; `looks` are called after every call that worked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec

from pronghorn.control.access_settings import GUARDS, RULES
from pronghorn.control.filter import Filter
from pronghorn.control.methods import resolve_methods
from pronghorn.control.model import (
    Balancer,
    Config,
    Port,
    Programs,
    Route,
    Server,
    Service,
    ServiceKey,
    Set,
    Tcp,
    Timeouts,
    Udp,
)
from pronghorn.control.options import OPTIONS
from pronghorn.control.plane import ProgramPlane
from pronghorn.control.resolve import resolve
from pronghorn.control.scheduling import Limits, Scheduling, limits_of, scheduling_of
from pronghorn.control.views import (
    PortView,
    RouteView,
    ServerView,
    ServiceView,
)
from tests.control.fake_programs import FakePrograms
from tests.control.fake_sets import FakeSets
from tests.control.fake_views import FakeViews


class Broken(Exception):
    """The failure that a test asked for."""


Arguments = ParamSpec("Arguments")


def counted(
    method: Callable[Concatenate[FakeEngine, Arguments], None],
) -> Callable[Concatenate[FakeEngine, Arguments], None]:
    """A call of the data plane: remembered, looked at, and failing when the test asked for that."""

    def call(self: FakeEngine, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        if self.fail_at is not None and len(self.calls) == self.fail_at:
            self.fail_at = None
            raise Broken(f"{method.__name__} was told to fail")
        method(self, *arguments, **named)
        self.calls.append(method.__name__)
        for look in self.looks:
            look()

    return call


class FakeEngine(FakeSets, FakeViews):
    """State as dictionaries; `state()` is comparable and independent of order."""

    def __init__(self, starting: Config) -> None:
        self.open_ports: dict[str, Port] = {}
        self.addresses: dict[Any, tuple[str, Any]] = {}
        self.route_table: dict[Any, Route] = {}
        self.local: set[Any] = set()
        self.local_ports = starting.balancer.local_ports
        self.timeouts = starting.balancer.timeouts
        self.busy_poll = starting.gateway.busy_poll
        self.sockets = starting.sockets
        self.socket_ports, self.tcp_settings, self.udp_settings = self.sockets.local_ports, starting.tcp, starting.udp
        self.programs = starting.programs
        self.set_table = {}
        self.guards: Any = ((), False, False)
        self.dynamic = {}
        self.filters: list[Filter] = []
        self.table: dict[ServiceKey, Service] = {}
        self.servers: dict[tuple[ServiceKey, Any], Server] = {}
        self.calls: list[str] = []
        self.fail_at: int | None = None
        self.looks: list[Callable[[], None]] = []
        self.started = self.closed = False
        self.packets = 0

    def state(self) -> Any:
        return (
            self.open_ports,
            self.addresses,
            self.route_table,
            self.local,
            self.local_ports,
            self.timeouts,
            self.busy_poll,
            self.socket_ports,
            self.tcp_settings,
            self.udp_settings,
            self.programs,
            self.set_table,
            self.guards,
            self.table,
            self.servers,
        )

    @counted
    def add_port(self, port: Port) -> None:
        assert port.name not in self.open_ports
        assert not port.addresses
        assert port.device == "null:" or all(other.device != port.device for other in self.open_ports.values())
        self.open_ports[port.name] = port

    @counted
    def remove_port(self, port: Port) -> None:
        assert not any(owner == port.name for owner, _ in self.addresses.values())
        assert not any(route.port == port.name for route in self.route_table.values())
        assert self.open_ports.pop(port.name) == port

    @counted
    def change_mtu(self, port: str, mtu: int | None) -> None:
        self.open_ports[port] = self.open_ports[port].model_copy(update={"mtu": mtu})

    @counted
    def add_address(self, port: str, interface: Any) -> None:
        assert port in self.open_ports
        assert interface.ip not in self.addresses
        assert all(owner == port or other.network != interface.network for owner, other in self.addresses.values())
        self.addresses[interface.ip] = port, interface

    @counted
    def remove_address(self, port: str, interface: Any) -> None:
        assert self.addresses.pop(interface.ip) == (port, interface)

    @counted
    def add_route(self, route: Route) -> None:
        assert route.port in self.open_ports
        assert route.prefix not in self.route_table
        self.route_table[route.prefix] = route

    @counted
    def change_route(self, route: Route) -> None:
        assert route.port in self.open_ports
        assert route.prefix in self.route_table
        self.route_table[route.prefix] = route

    @counted
    def remove_route(self, route: Route) -> None:
        assert self.route_table.pop(route.prefix) == route

    @counted
    def add_local_address(self, address: Any) -> None:
        assert address not in self.local
        self.local.add(address)

    @counted
    def remove_local_address(self, address: Any) -> None:
        self.local.remove(address)

    @counted
    def change_local_ports(self, low: int, high: int) -> None:
        self.local_ports = low, high

    @counted
    def change_timeouts(self, timeouts: Timeouts) -> None:
        self.timeouts = timeouts

    @counted
    def change_polling(self, busy_poll: bool) -> None:
        self.busy_poll = busy_poll

    @counted
    def change_socket_ports(self, low: int, high: int) -> None:
        assert self.sockets.enabled
        self.socket_ports = low, high

    @counted
    def change_tcp(self, tcp: Tcp) -> None:
        assert self.sockets.enabled
        self.tcp_settings = tcp

    @counted
    def change_udp(self, udp: Udp) -> None:
        assert self.sockets.enabled
        self.udp_settings = udp

    @counted
    def change_programs(self, programs: Programs) -> None:
        assert self.programs.enabled
        self.programs = programs

    @counted
    def add_set(self, set: Set) -> None:
        assert set.name not in self.set_table
        self.set_table[set.name] = set

    @counted
    def remove_set(self, set: Set) -> None:
        assert set.name not in self.guards[0]
        assert all(set.name not in (service.allow, service.deny) for service in self.table.values())
        assert self.set_table.pop(set.name) == set

    @counted
    def change_set(self, old: Set, new: Set) -> None:
        assert self.set_table[old.name] == old
        self.set_table[new.name] = new

    @counted
    def change_rules(self, service: Service) -> None:
        self._has_sets(service)
        rules = {name: getattr(service, name) for name in RULES}
        self.table[service.key] = self.table[service.key].model_copy(update=rules)

    @counted
    def change_guards(self, balancer: Balancer) -> None:
        assert self.set_table.keys() >= set(balancer.black_lists)
        self.guards = tuple(getattr(balancer, name) for name in GUARDS)

    def _has_sets(self, service: Service) -> None:
        assert all(name in self.set_table for name in (service.allow, service.deny) if name)

    def program_plane(self) -> ProgramPlane | None:
        return FakePrograms() if self.programs.enabled else None

    @counted
    def add_service(self, service: Service) -> None:
        assert not service.servers
        assert service.key not in self.table
        self._has_sets(service)
        self.table[service.key] = service

    @counted
    def remove_service(self, service: Service) -> None:
        assert not any(key == service.key for key, _ in self.servers)
        assert self.table.pop(service.key) == service

    @counted
    def rename_service(self, key: ServiceKey, name: str) -> None:
        self.table[key] = self.table[key].model_copy(update={"name": name})

    @counted
    def change_scheduler(self, key: ServiceKey, scheduling: Scheduling) -> None:
        self.table[key] = self.table[key].model_copy(update=scheduling._asdict())

    @counted
    def change_method(self, key: ServiceKey, address: Any, reach: Any) -> None:
        if address is None:
            self.table[key] = self.table[key].model_copy(update=reach._asdict())
        else:
            self._change_server(key, address, **reach._asdict())

    @counted
    def change_listens(self, key: ServiceKey, places: Any) -> None:
        assert all((key[0], (place.address, place.first)) not in self.table for place in places)
        self.table[key] = self.table[key].model_copy(update={"listen": places})

    @counted
    def change_options(self, service: Service) -> None:
        change = {name: getattr(service, name) for name in OPTIONS}
        self.table[service.key] = self.table[service.key].model_copy(update=change)

    @counted
    def change_health(self, service: Service) -> None:
        assert service.key in self.table
        self.table[service.key] = service

    @counted
    def reset_server(self, key: ServiceKey, address: Any) -> None:
        assert (key, address) in self.servers

    @counted
    def change_checks(self, key: ServiceKey, server: Server) -> None:
        self._change_server(key, server.address, check_via=server.check_via, check_port=server.check_port)

    @counted
    def add_server(self, key: ServiceKey, server: Server) -> None:
        assert key in self.table
        assert (key, server.address) not in self.servers
        self.servers[key, server.address] = server

    @counted
    def remove_server(self, key: ServiceKey, server: Server) -> None:
        assert self.servers.pop((key, server.address)) == server

    def _change_server(self, key: ServiceKey, address: Any, **change: Any) -> None:
        self.servers[key, address] = self.servers[key, address].model_copy(update=change)

    @counted
    def rename_server(self, key: ServiceKey, address: Any, name: str | None) -> None:
        self._change_server(key, address, name=name)

    @counted
    def change_weight(self, key: ServiceKey, address: Any, weight: int) -> None:
        self._change_server(key, address, weight=weight)

    @counted
    def change_limits(self, key: ServiceKey, address: Any, limits: Limits) -> None:
        self._change_server(key, address, **limits._asdict())

    @counted
    def drain_server(self, key: ServiceKey, address: Any) -> None:
        assert self.servers[key, address].state == "up"
        self._change_server(key, address, state="drain")

    @counted
    def resume_server(self, key: ServiceKey, address: Any) -> None:
        assert self.servers[key, address].state == "drain"
        self._change_server(key, address, state="up")

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        assert not self.closed
        self.closed = True

    def services(self) -> Sequence[ServiceView]:
        self.packets += 1000
        return [self._service_view(service) for service in self.table.values()]

    def _service_view(self, service: Service) -> ServiceView:
        servers = tuple(
            ServerView(
                address=str(server.address),
                name=server.name,
                weight=server.weight,
                state=server.state,
                method=server.method or service.method,
                **limits_of(server)._asdict(),
                overloaded=0 < server.upper_connections <= 4,
                active=3,
                inactive=1,
                connections=self.packets // 10,
                packets_in=self.packets,
                packets_out=self.packets,
                octets_in=self.packets * 100,
                octets_out=self.packets * 1000,
            )
            for (key, _), server in self.servers.items()
            if key == service.key
        )
        return ServiceView(
            name=service.name,
            protocol=service.protocol,
            address=str(service.address),
            **scheduling_of(service)._asdict(),
            method=service.method,
            servers=servers,
        )

    def ports(self) -> Sequence[PortView]:
        return [
            PortView(
                name=port.name,
                device=port.device,
                link="up",
                mac=port.mac or "02:00:00:00:00:01",
                mtu=port.mtu or 1500,
                queues=1,
                addresses=tuple(str(interface) for owner, interface in self.addresses.values() if owner == port.name),
                rx_packets=self.packets,
                rx_octets=self.packets * 100,
                rx_drops=0,
                tx_packets=self.packets,
                tx_octets=self.packets * 100,
                tx_drops=0,
            )
            for port in self.open_ports.values()
        ]

    def routes(self) -> Sequence[RouteView]:
        return [
            RouteView(prefix=str(route.prefix), via=str(route.via), port=route.port or "", origin="route")
            for route in self.route_table.values()
        ]


def state_of(config: Config) -> Any:
    """The state that a data plane has when a configuration is carried out, computed without plan or apply."""
    engine = FakeEngine(config)
    for port in config.ports:
        engine.open_ports[port.name] = port.model_copy(update={"addresses": ()})
        for interface in port.addresses:
            engine.addresses[interface.ip] = port.name, interface
    for route in config.routes:
        engine.route_table[route.prefix] = resolve(config, route)
    engine.local = set(config.balancer.local_addresses)
    engine.set_table = {one.name: one for one in config.sets}
    engine.guards = tuple(getattr(config.balancer, name) for name in GUARDS)
    for service in resolve_methods(config).services:
        engine.table[service.key] = service.model_copy(update={"servers": ()})
        for server in service.servers:
            engine.servers[service.key, server.address] = server
    return engine.state()
