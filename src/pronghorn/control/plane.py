"""What the control plane asks of an engine. The engine room implements it; tests have a fake.

Contract of every DataPlane method: it either does all of it or raises and has changed nothing; when it returns, workers
see the change from their next turn on. A message in the exception is shown to the user. References are by name or key:
a port by its name, a route by its prefix, a service by (protocol, address), a server by its address within the service.

Between two actions of a plan a service's address may for a moment be owned by no port, and a route's next router may be
in no network: that loses packets for that moment, connections stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pronghorn.control.endpoint import Address, Endpoint
from pronghorn.control.fields import Interface
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
from pronghorn.control.options import Place
from pronghorn.control.reach import Reach
from pronghorn.control.scheduling import Limits, Scheduling
from pronghorn.control.snapshot import Snapshot
from pronghorn.control.trouble import Trouble
from pronghorn.state.attach import Claim

if TYPE_CHECKING:  # a gateway starts without
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from pronghorn.balancer.set_entries import Member
    from pronghorn.control.views import EntryView, SetView


class Link(Protocol):
    """Descriptors of one program's link (lanes.py)."""

    memory: int
    ours: list[int]  # to read: wake us, one for each queue
    theirs: list[int]  # to write: wake the program, one for each of its queues


class ProgramPlane(Protocol):
    """What is asked for programs. One thread; each method does all of it, or raises and has changed nothing."""

    @property
    def queues(self) -> int:
        """Of each side of a link."""

    @property
    def octets(self) -> int:
        """Of a link's memory."""

    def add_program(self, program: Admission, settings: Programs) -> None:
        """Descriptors are duplicated: the caller may close its own."""

    def remove_program(self, number: int) -> None:
        """Everything that it had is free, its peers hear of it."""

    def change_user(self, number: int, user: int) -> None:
        """It has another one; what it claims from now on is that one's."""

    def claim(self, number: int, claim: Claim) -> int:
        """0 or an errno."""

    def release(self, number: int, claim: Claim) -> int:
        """0 or an errno."""

    def facts(self) -> dict[int, ProgramFacts]:
        """Counters and claims of every program, by number."""


@dataclass(frozen=True)
class Admission:
    """A program as the data plane gets to know it."""

    number: int
    lanes: Link
    addresses: tuple[Address, ...]
    mtu: int
    ports: tuple[int, int]
    family: int  # of processes that have come from one by fork
    user: int


@dataclass(frozen=True)
class ProgramFacts:
    """What the data plane knows of a program. In is from the program, out is to it."""

    packets_in: int = 0
    octets_in: int = 0
    packets_out: int = 0
    octets_out: int = 0
    flows: int = 0
    broken: int = 0
    linked: bool = False
    drops: dict[str, int] = field(default_factory=dict)
    claims: tuple[str, ...] = ()


class DataPlane(Protocol):
    """One method per action."""

    def together(self) -> AbstractContextManager[None]:
        """Changes inside belong together: tables that schedulers make of all servers are made once, at the end. Until
        then servers that have come may get no connections yet; those that have gone get none."""

    def add_port(self, port: Port) -> None:
        """Open the device. `port.addresses` is empty: addresses follow one by one."""

    def remove_port(self, port: Port) -> None:
        """Close the device. It has no addresses and no routes any more."""

    def change_mtu(self, port: str, mtu: int | None) -> None:
        """None: the device's own."""

    def add_address(self, port: str, interface: Interface) -> None:
        """Answer for the address, and reach its network through the port."""

    def remove_address(self, port: str, interface: Interface) -> None: ...

    def add_route(self, route: Route) -> None:
        """`route.port` is always set."""

    def change_route(self, route: Route) -> None:
        """The prefix has a route; from now on it is this one."""

    def remove_route(self, route: Route) -> None: ...

    def add_local_address(self, address: Address) -> None:
        """Connections to servers may come from this address from now on."""

    def remove_local_address(self, address: Address) -> None:
        """No new connections from it; those that use it are closed."""

    def change_local_ports(self, low: int, high: int) -> None: ...

    def change_timeouts(self, timeouts: Timeouts) -> None: ...

    def change_polling(self, busy_poll: bool) -> None: ...

    def change_socket_ports(self, low: int, high: int) -> None:
        """What concerns sockets is asked of an engine that has them (sockets.enabled)."""

    def change_tcp(self, tcp: Tcp) -> None: ...

    def change_udp(self, udp: Udp) -> None: ...

    def change_programs(self, programs: Programs) -> None:
        """For programs that attach from now on; asked of an engine that takes programs (programs.enabled)."""

    def add_service(self, service: Service) -> None:
        """`service.servers` is empty: servers follow one by one."""

    def remove_service(self, service: Service) -> None:
        """It has no servers any more."""

    def rename_service(self, key: ServiceKey, name: str) -> None: ...

    def change_scheduler(self, key: ServiceKey, scheduling: Scheduling) -> None: ...

    def change_method(self, key: ServiceKey, address: Endpoint | None, reach: Reach) -> None:
        """How packets reach a server, from its next connection on. None: how the service is shown, and what holds for
        servers that name no method."""

    def change_listens(self, key: ServiceKey, places: tuple[Place, ...]) -> None:
        """Where the service is found besides its own address and port: at these, and nowhere else."""

    def change_options(self, service: Service) -> None:
        """What it asks beyond the usual (options.py)."""

    def change_health(self, service: Service) -> None:
        """What is done without servers: `on_no_server`, "reject" and "drop"; the rest is done here (health/)."""

    def reset_server(self, key: ServiceKey, address: Endpoint) -> None:
        """End its connections."""

    def change_checks(self, key: ServiceKey, server: Server) -> None:
        """How a server is checked: nothing that an engine has to know."""

    def add_set(self, set: Set) -> None:
        """With its entries."""

    def remove_set(self, set: Set) -> None:
        """Nobody names it any more."""

    def change_set(self, old: Set, new: Set) -> None:
        """Whoever names it asks the new one from now on. Entries that both have never leave it."""

    def change_rules(self, service: Service) -> None:
        """Who may use the service (access_settings.RULES)."""

    def change_guards(self, balancer: Balancer) -> None:
        """Who may at all (access_settings.GUARDS)."""

    def add_server(self, key: ServiceKey, server: Server) -> None: ...

    def remove_server(self, key: ServiceKey, server: Server) -> None:
        """Its connections are closed; drain it first to let them finish."""

    def rename_server(self, key: ServiceKey, address: Endpoint, name: str | None) -> None: ...

    def change_weight(self, key: ServiceKey, address: Endpoint, weight: int) -> None: ...

    def change_limits(self, key: ServiceKey, address: Endpoint, limits: Limits) -> None:
        """How many connections it may have."""

    def drain_server(self, key: ServiceKey, address: Endpoint) -> None:
        """Connections go on, new ones go elsewhere."""

    def resume_server(self, key: ServiceKey, address: Endpoint) -> None:
        """Undo drain_server."""


class SetPlane(Protocol):
    """What commands ask about sets. Raises ValueError, whose text says why not; nothing has changed then."""

    def set_entries(self, name: str) -> Sequence[EntryView]: ...

    def add_entries(self, name: str, wanted: Sequence[Member]) -> int:
        """How many are new."""

    def delete_entries(self, name: str, wanted: Sequence[Member]) -> int:
        """How many were there."""

    def flush_set(self, name: str) -> int:
        """How many there were."""

    def test_entry(self, name: str, wanted: Member) -> EntryView | None: ...

    def sets(self) -> Sequence[SetView]: ...


class Engine(DataPlane, SetPlane, Snapshot, Protocol):
    """A running data plane: takes actions, tells its state."""

    def start(self) -> None:
        """Begin to forward. Called once, after the first configuration was carried out."""

    def program_plane(self) -> ProgramPlane | None:
        """What takes programs; None when the configuration that the engine was started with does not."""

    def close(self) -> None:
        """End the workers, close all ports, give everything back. Called once."""


class EngineError(Trouble):
    """The engine cannot be started; the text says why and what to do."""


class EngineFactory(Protocol):
    """Makes an engine from a configuration without ports, routes and services (Config.empty). Raises EngineError."""

    def __call__(self, starting: Config, /) -> Engine: ...
