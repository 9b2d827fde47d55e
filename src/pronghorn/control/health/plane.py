"""Between the actions of a plan and the engine: what a plan says of servers and addresses is the configuration; what
the engine gets is that and what is known of their health.

A server that cannot be used is drained in the engine; an address is withdrawn by not owning it. Whatever an action says
meanwhile is remembered.
Everything else is the engine's.
"""

from __future__ import annotations

from typing import Any

from pronghorn.control.endpoint import Endpoint
from pronghorn.control.fields import Interface
from pronghorn.control.health.roster import Real, Virtual, withdrawn
from pronghorn.control.model import Server, Service, ServiceKey
from pronghorn.control.options import OPTIONS, Place
from pronghorn.control.plane import Engine
from pronghorn.control.reach import Reach
from pronghorn.control.scheduling import Limits, Scheduling


class HealthPlane:
    """Follows plane.DataPlane; methods that are not here are the engine's own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.services: dict[ServiceKey, Virtual] = {}
        self.withdrawn: dict[Any, tuple[str, Interface]] = {}  # by address
        self._owned: dict[Any, tuple[str, Interface]] = {}
        self._left: dict[tuple[ServiceKey, Endpoint], Real] = {}  # removed in this plan, and perhaps added again

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    # --- what a plan says ---------------------------------------------------------------------------------------------

    def add_address(self, port: str, interface: Interface) -> None:
        self.engine.add_address(port, interface)
        self._owned[interface.ip] = port, interface

    def remove_address(self, port: str, interface: Interface) -> None:
        if self.withdrawn.pop(interface.ip, None) is None:
            self.engine.remove_address(port, interface)
        self._owned.pop(interface.ip, None)

    def add_service(self, service: Service) -> None:
        self.engine.add_service(service)
        try:
            self.engine.change_health(service)
        except BaseException:
            self.engine.remove_service(service)
            raise
        self.services[service.key] = Virtual(service)

    def remove_service(self, service: Service) -> None:
        virtual = self.services[service.key]
        if virtual.sorry is not None:
            self.engine.remove_server(service.key, virtual.sorry)
            virtual.sorry = None
        self.engine.remove_service(service)
        del self.services[service.key]

    def rename_service(self, key: ServiceKey, name: str) -> None:
        self.engine.rename_service(key, name)
        self._of_service(key, name=name)

    def change_scheduler(self, key: ServiceKey, scheduling: Scheduling) -> None:
        self.engine.change_scheduler(key, scheduling)
        self._of_service(key, **scheduling._asdict())

    def change_method(self, key: ServiceKey, address: Endpoint | None, reach: Reach) -> None:
        self.engine.change_method(key, address, reach)
        if address is None:
            self._of_service(key, **reach._asdict())
        else:
            self._of_server(key, address, **reach._asdict())

    def change_health(self, service: Service) -> None:
        """What is checked, and what becomes of it without servers."""
        self.engine.change_health(service)
        virtual = self.services[service.key]
        if virtual.sorry is not None and virtual.sorry.address != service.sorry_server:
            self.engine.remove_server(service.key, virtual.sorry)
            virtual.sorry = None
        virtual.service = service

    def change_listens(self, key: ServiceKey, places: tuple[Place, ...]) -> None:
        self.engine.change_listens(key, places)
        self._of_service(key, listen=places)

    def change_options(self, service: Service) -> None:
        """What it asks beyond the usual."""
        self.engine.change_options(service)
        self._of_service(service.key, **{name: getattr(service, name) for name in OPTIONS})

    def change_checks(self, key: ServiceKey, server: Server) -> None:
        """How this server is checked."""
        self.engine.change_checks(key, server)
        self._of_server(key, server.address, check_via=server.check_via, check_port=server.check_port)

    def add_server(self, key: ServiceKey, server: Server) -> None:
        virtual = self.services[key]
        real = self._left.pop((key, server.address), None) or Real(server, server)
        real.server = server
        given = virtual.wanted(real)
        self.engine.add_server(key, given)
        real.given = given
        virtual.servers[server.address] = real

    def remove_server(self, key: ServiceKey, server: Server) -> None:
        real = self.services[key].servers[server.address]
        self.engine.remove_server(key, real.given)
        self._left[key, server.address] = self.services[key].servers.pop(server.address)

    def rename_server(self, key: ServiceKey, address: Endpoint, name: str | None) -> None:
        self.engine.rename_server(key, address, name)
        self._of_server(key, address, name=name)

    def change_weight(self, key: ServiceKey, address: Endpoint, weight: int) -> None:
        self._configure(key, address, weight=weight)
        if weight == 0:
            self._quiesced(key, address)

    def change_limits(self, key: ServiceKey, address: Endpoint, limits: Limits) -> None:
        self.engine.change_limits(key, address, limits)
        self._of_server(key, address, **limits._asdict())

    def drain_server(self, key: ServiceKey, address: Endpoint) -> None:
        self._configure(key, address, state="drain")
        self._quiesced(key, address)

    def _quiesced(self, key: ServiceKey, address: Endpoint) -> None:
        """The configuration lets the server have no new connections: end those that it has, where that is wanted."""
        if self.services[key].service.quiesced == "end":
            self.engine.reset_server(key, address)

    def resume_server(self, key: ServiceKey, address: Endpoint) -> None:
        self._configure(key, address, state="up")

    def _configure(self, key: ServiceKey, address: Endpoint, **change: Any) -> None:
        virtual = self.services[key]
        real = virtual.servers[address]
        before, real.server = real.server, real.server.model_copy(update=change)
        try:
            self.give(key, real)
        except BaseException:
            real.server = before
            raise

    def _of_service(self, key: ServiceKey, **change: Any) -> None:
        virtual = self.services[key]
        virtual.service = virtual.service.model_copy(update=change)

    def _of_server(self, key: ServiceKey, address: Endpoint, **change: Any) -> None:
        """In the configuration and in what the engine has alike."""
        real = self.services[key].servers[address]
        real.server, real.given = (one.model_copy(update=change) for one in (real.server, real.given))

    # --- what health says ---------------------------------------------------------------------------------------------

    def settled(self) -> None:
        """A plan is over."""
        self._left.clear()

    def give(self, key: ServiceKey, real: Real) -> None:
        """Let the engine have of a server what it is to have."""
        wanted, address = self.services[key].wanted(real), real.server.address
        if wanted.weight != real.given.weight:
            self.engine.change_weight(key, address, wanted.weight)
            real.given = real.given.model_copy(update={"weight": wanted.weight})
        if wanted.state != real.given.state:
            (self.engine.drain_server if wanted.state == "drain" else self.engine.resume_server)(key, address)
            real.given = real.given.model_copy(update={"state": wanted.state})

    def apologise(self, key: ServiceKey) -> None:
        """Sorry server before servers when it takes over, and after them when it is not needed any more."""
        virtual = self.services[key]
        if virtual.apologises:
            self._sorry(key, virtual, "up")
        for real in virtual.servers.values():
            self.give(key, real)
        if not virtual.apologises and virtual.sorry is not None:
            self._sorry(key, virtual, "drain")

    def _sorry(self, key: ServiceKey, virtual: Virtual, state: str) -> None:
        address, has = virtual.service.sorry_server, virtual.sorry
        if has is None and address is not None:
            has = Server(address=address, state="up")
            self.engine.add_server(key, has)
        elif has is not None and has.state != state:
            (self.engine.drain_server if state == "drain" else self.engine.resume_server)(key, has.address)
            has = has.model_copy(update={"state": state})
        virtual.sorry = has

    def announce(self) -> list[tuple[Any, bool]]:
        """Own the addresses that are to be answered for, and no others; those that have changed: gone, back."""
        wanted = withdrawn(self.services.values())
        changed = []
        for address in [address for address in self.withdrawn if address not in wanted]:
            self.engine.add_address(*self.withdrawn[address])
            del self.withdrawn[address]
            changed.append((address, True))
        for address in wanted:
            if address not in self.withdrawn and address in self._owned:
                self.engine.remove_address(*self._owned[address])
                self.withdrawn[address] = self._owned[address]
                changed.append((address, False))
        return changed
