"""The engine of this build behind the control plane's interface (plane.py): one method per action.

Every worker has its own tables, so every change is made on each of them, between two of its turns. When one refuses a
new thing, those that have taken it give it back. Names are for people: they are kept here, the engine has numbers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pronghorn.balancer import configure as balancing
from pronghorn.balancer.growth import grow
from pronghorn.balancer.tables import Balancer
from pronghorn.control.endpoint import Address, Endpoint
from pronghorn.control.fields import Interface
from pronghorn.control.links import Links
from pronghorn.control.methods import reach_of
from pronghorn.control.model import Config, Port, Programs, Route, Service, ServiceKey, Tcp, Timeouts, Udp
from pronghorn.control.native_access import NativeAccess
from pronghorn.control.native_health import NativeHealth
from pronghorn.control.native_options import NativeOptions
from pronghorn.control.native_servers import NativeServers, told
from pronghorn.control.native_sockets import (
    arena_limit,
    change_socket_ports,
    change_tcp,
    change_udp,
    create_sockets,
)
from pronghorn.control.native_totals import Totals
from pronghorn.control.plane import EngineError, ProgramPlane
from pronghorn.control.scheduling import Scheduling, scheduling_of
from pronghorn.engine.engine import Engine
from pronghorn.engine.layout import SPIN
from pronghorn.engine.loop import Loop
from pronghorn.engine.run import worker_start
from pronghorn.engine.transports_growth import GROW_EVERY, Growth
from pronghorn.memory.arena import Arena
from pronghorn.memory.arena_file import discard_arena
from pronghorn.memory.directory import ArenaError
from pronghorn.net import configure as network
from pronghorn.net import configure_routes as routing
from pronghorn.net.create import create_net
from pronghorn.net.group_nodes import nodes_report
from pronghorn.ports.catalogue import driver_for
from pronghorn.state.worker import Worker

if TYPE_CHECKING:  # imported when somebody looks: a gateway starts without
    from pronghorn.control.filter import Filter
    from pronghorn.control.native_socket_views import SocketViews
    from pronghorn.control.views import (
        ConnView,
        DropView,
        NeighbourView,
        PortView,
        RouteView,
        ServiceView,
        SnmpView,
        TcpView,
        UdpView,
        WorkerView,
    )

BUSY = 1 << 62  # never
LARGE_PACKETS = 256  # 64 KB buffers of each worker, for unsegmented frames of packet: and tap:


def open_engine(starting: Config) -> NativeEngine:
    """An engine without ports and services. Raises EngineError."""
    try:
        return NativeEngine(starting)
    except (OSError, ArenaError) as error:
        raise EngineError(f"the engine cannot be started: {error}") from error


class NativeEngine(NativeAccess, NativeHealth, NativeOptions, NativeServers):
    """Follows plane.Engine."""

    def __init__(self, starting: Config) -> None:
        settings, balancer = starting.gateway, starting.balancer
        available = sorted(os.sched_getaffinity(0))
        chosen = settings.workers
        cores = list(chosen) if isinstance(chosen, tuple) else [available[n % len(available)] for n in range(chosen)]
        missing = [core for core in cores if core not in available]
        if missing:
            raise EngineError(f"gateway.workers = {cores}: this process may not run on {missing}, only on {available}")
        self.cores = cores
        self.ports_by_name: dict[str, tuple[int, Port]] = {}
        self.addresses: list[tuple[str, Interface]] = []
        self.links = Links()
        self.service_names: dict[ServiceKey, str] = {}
        self.reaches = {}
        self.server_names: dict[tuple[ServiceKey, Endpoint], str | None] = {}
        if settings.arena is not None:
            discard_arena(settings.arena)  # that of a gateway which has ended; its state is not taken over yet
        limit = arena_limit(len(cores), starting.sockets)
        self._growths: list[Growth] = []  # of endpoints' tables
        arena = Arena.create(settings.name, settings.arena, limit, huge="auto" if settings.huge_pages else "never")
        self.engine = Engine(len(cores), settings.packets * len(cores), LARGE_PACKETS * len(cores), arena=arena)
        for index in range(len(cores)):
            worker = self.engine.workers[index]
            worker_start(worker)  # tables are made for a time
            create_net(arena, worker)
            nodes_report(worker)
            balancing.create_balancer(arena, worker)
            grow(arena, worker)
            if starting.sockets.enabled:
                create_sockets(arena, worker, starting)
                self._growths.append(Growth(arena, worker))
                self._growths[-1].grow()
        self._sockets = _socket_views(arena) if starting.sockets.enabled else None
        self._programs = _programs(self.engine, starting.programs) if starting.programs.enabled else None
        self._buffer_memory = starting.sockets.buffer_memory
        self._totals = Totals(self.engine, len(cores))
        self._closing = threading.Event()
        self._grower = threading.Thread(target=self._keep_ahead, name="memory", daemon=True)
        self.open_access()
        self.open_options()
        self.change_timeouts(balancer.timeouts)
        self.change_local_ports(*balancer.local_ports)
        self.change_polling(settings.busy_poll)

    def start(self) -> None:
        self.engine.start(self.cores)
        self._grower.start()

    def close(self) -> None:
        self._closing.set()
        if self._grower.is_alive():
            self._grower.join()
        self.engine.close()

    def _keep_ahead(self) -> None:
        """Tables of connections get their memory here, before the workers need it; workers hear of each other; links
        are watched."""
        while not self._closing.wait(GROW_EVERY):
            self.links.look()
            self._totals.look()
            self.look_shares()
            self.expire_entries()
            for index in range(len(self.cores)):
                grow(self.engine.arena, self.engine.workers[index])
            for growth in self._growths:
                growth.grow()

    def _everywhere(self, do: Callable[[Worker], object], undo: Callable[[Worker], object] | None = None) -> None:
        """On every worker, or on none when there is an `undo` and one refuses."""
        for index in range(len(self.cores)):
            try:
                self.engine.call(index, do)
            except Exception:
                for earlier in range(index):
                    if undo is not None:
                        self.engine.call(earlier, undo)
                raise
        self.make_lookups()

    # --- ports, addresses, routes -------------------------------------------------------------------------------------

    def add_port(self, port: Port) -> None:
        index = self.engine.add_port(driver_for(port.device))
        try:
            if port.mac is not None:
                self.engine.ports[index].mac = int(port.mac.replace(":", ""), 16)
            mtu = self._mtu(port, index)

            def add(worker: Worker) -> None:
                network.add_interface(worker, index)
                network.change_mtu(worker, index, mtu)

            self._everywhere(add, lambda worker: network.remove_interface(worker, index))
        except Exception:
            self.engine.remove_port(index)
            raise
        self.ports_by_name[port.name] = index, port
        self.links.opened(port.name, port.device, self.engine.drivers[index])
        self.port_moved(port.name, index)

    def remove_port(self, port: Port) -> None:
        self.port_moved(port.name, None)
        index, _ = self.ports_by_name.pop(port.name)
        self.links.closed(port.name)
        self._everywhere(lambda worker: network.remove_interface(worker, index))
        self.engine.remove_port(index)

    def change_mtu(self, port: str, mtu: int | None) -> None:
        index, model = self.ports_by_name[port]
        changed = model.model_copy(update={"mtu": mtu})
        octets = self._mtu(changed, index)
        self._everywhere(lambda worker: network.change_mtu(worker, index, octets))
        self.ports_by_name[port] = index, changed

    def _mtu(self, port: Port, index: int) -> int:
        device = self.engine.drivers[index].mtu
        if port.mtu is not None and port.mtu > device:
            raise EngineError(f"port {port.name}: MTU {port.mtu} is more than the {device} of {port.device}")
        return port.mtu or device

    def add_address(self, port: str, interface: Interface) -> None:
        index, _ = self.ports_by_name[port]
        self._everywhere(
            lambda worker: network.add_address(worker, index, interface),
            lambda worker: network.remove_address(worker, index, interface),
        )
        self.addresses.append((port, interface))

    def remove_address(self, port: str, interface: Interface) -> None:
        index, _ = self.ports_by_name[port]
        self._everywhere(lambda worker: network.remove_address(worker, index, interface))
        self.addresses.remove((port, interface))

    def add_route(self, route: Route) -> None:
        index = self._out(route)
        self._everywhere(
            lambda worker: routing.add_route(worker, route.prefix, index, route.via),
            lambda worker: routing.remove_route(worker, route.prefix, index, route.via),
        )

    def change_route(self, route: Route) -> None:
        index = self._out(route)
        self._everywhere(lambda worker: routing.replace_route(worker, route.prefix, index, route.via))

    def remove_route(self, route: Route) -> None:
        index = self._out(route)
        self._everywhere(lambda worker: routing.remove_route(worker, route.prefix, index, route.via))

    def _out(self, route: Route) -> int:
        assert route.port is not None
        return self.ports_by_name[route.port][0]

    # --- what services share ------------------------------------------------------------------------------------------

    def add_local_address(self, address: Address) -> None:
        self._everywhere(
            lambda worker: balancing.add_local_address(_balancer(worker), address),
            lambda worker: balancing.remove_local_address(_balancer(worker), address),
        )

    def remove_local_address(self, address: Address) -> None:
        self._everywhere(lambda worker: balancing.remove_local_address(_balancer(worker), address))

    def change_local_ports(self, low: int, high: int) -> None:
        self._everywhere(lambda worker: balancing.change_local_ports(_balancer(worker), worker, low, high))

    def change_timeouts(self, timeouts: Timeouts) -> None:
        seconds = timeouts.model_dump()
        self._everywhere(lambda worker: balancing.change_timeouts(_balancer(worker), seconds))

    def change_polling(self, busy_poll: bool) -> None:
        def change(worker: Worker) -> None:
            Loop(worker.loop).spin = BUSY if busy_poll else SPIN

        self._everywhere(change)

    def change_socket_ports(self, low: int, high: int) -> None:
        self._everywhere(lambda worker: change_socket_ports(worker, low, high))

    def change_tcp(self, tcp: Tcp) -> None:
        self._everywhere(lambda worker: change_tcp(worker, tcp, self._buffer_memory))

    def change_udp(self, udp: Udp) -> None:
        self._everywhere(lambda worker: change_udp(worker, udp))

    def change_programs(self, programs: Programs) -> None:
        pass  # they are asked for what holds when they attach (keeper.py)

    def program_plane(self) -> ProgramPlane | None:
        return self._programs

    # --- services (native_servers.py: their servers) ------------------------------------------------------------------

    def add_service(self, service: Service) -> None:
        key, at = service.key, service.address

        def add(worker: Worker) -> None:
            balancing.add_service(_balancer(worker), key[0], at.address, at.port, *told(scheduling_of(service)))

        self._everywhere(add, lambda worker: balancing.remove_service(_balancer(worker), _service(worker, key)))
        try:
            self.open_service(service)
            self.change_options(service)
        except Exception:
            self._everywhere(lambda worker: balancing.remove_service(_balancer(worker), _service(worker, key)))
            raise
        self.service_names[key], self.reaches[key] = service.name, reach_of(service)

    def remove_service(self, service: Service) -> None:
        key = service.key
        self.close_service(key)
        self.close_options(key)
        self._everywhere(lambda worker: balancing.remove_service(_balancer(worker), _service(worker, key)))
        del self.service_names[key], self.reaches[key]

    def rename_service(self, key: ServiceKey, name: str) -> None:
        self.service_names[key] = name

    def change_scheduler(self, key: ServiceKey, scheduling: Scheduling) -> None:
        wanted = told(scheduling)
        self._everywhere(lambda worker: balancing.change_scheduler(_balancer(worker), _service(worker, key), *wanted))

    # --- what it shows ------------------------------------------------------------------------------------------------

    def services(self) -> Sequence[ServiceView]:
        from pronghorn.control import native_views as show

        return show.services(self._workers(), self.service_names, self.server_names, self.reaches)

    def conns(self, limit: int) -> Sequence[ConnView]:
        from pronghorn.control import native_views as show

        return show.conns(self._workers(), limit)

    def ports(self) -> Sequence[PortView]:
        from pronghorn.control import native_views as show

        return [
            show.port(
                self.engine,
                index,
                model,
                [str(own) for name, own in self.addresses if name == model.name],
                self.links.of(model.name, self.engine.drivers[index]),
            )
            for index, model in self.ports_by_name.values()
        ]

    def workers(self) -> Sequence[WorkerView]:
        from pronghorn.control import native_views as show

        return show.workers(self.engine, self.cores)

    def neighbours(self) -> Sequence[NeighbourView]:
        from pronghorn.control import native_views as show

        return show.neighbours(self._workers(), self._port_names())

    def routes(self) -> Sequence[RouteView]:
        from pronghorn.control import native_views as show

        return show.routes(self.engine.workers[0], self._port_names())

    def drops(self) -> Sequence[DropView]:
        from pronghorn.control import native_views as show

        return show.drops(self._workers())

    def tcp(self, wanted: Filter) -> Sequence[TcpView]:
        return self._sockets.tcp(self._workers(), wanted) if self._sockets else []

    def udp(self, wanted: Filter) -> Sequence[UdpView]:
        return self._sockets.udp(self._workers(), wanted) if self._sockets else []

    def snmp(self) -> Sequence[SnmpView]:
        from pronghorn.control.native_snmp import snmp

        return snmp(self._workers(), [index for index, _ in self.ports_by_name.values()])

    def _workers(self) -> list[Worker]:
        return [self.engine.workers[index] for index in range(len(self.cores))]

    def _port_number(self, name: str) -> int | None:
        return self.ports_by_name[name][0] if name in self.ports_by_name else None

    def _port_names(self) -> dict[int, str]:
        return {index: name for name, (index, _) in self.ports_by_name.items()}


def _socket_views(arena: Arena) -> SocketViews:
    from pronghorn.control.native_socket_views import SocketViews

    return SocketViews(arena)


def _programs(engine: Engine, settings: Programs) -> ProgramPlane:
    from pronghorn.control.native_programs import NativePrograms

    return NativePrograms(engine, settings)


def _balancer(worker: Worker) -> Balancer:
    return Balancer(worker.balancer)


def _service(worker: Worker, key: ServiceKey) -> int:
    protocol, (address, port) = key
    return balancing.find_service(_balancer(worker), protocol, address, port)
