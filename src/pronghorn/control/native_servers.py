"""What the engine of this build does about servers: one method per action (plane.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pronghorn.balancer import configure as balancing
from pronghorn.balancer.tables import Balancer
from pronghorn.control.endpoint import Endpoint
from pronghorn.control.model import Server, ServiceKey
from pronghorn.control.reach import Reach, Tunnel
from pronghorn.control.scheduling import Limits, Scheduling, limits_of
from pronghorn.state.worker import Worker


class NativeServers:
    """A part of NativeEngine."""

    server_names: dict[tuple[ServiceKey, Endpoint], str | None]
    reaches: dict[ServiceKey, Reach]
    """What holds for servers of a service that name none."""

    _nested = 0

    def _everywhere(self, do: Callable[[Worker], object], undo: Callable[[Worker], object] | None = None) -> None:
        raise NotImplementedError

    def keeps(self, key: ServiceKey) -> bool:
        raise NotImplementedError

    def _workers(self) -> list[Worker]:
        raise NotImplementedError

    @contextmanager
    def together(self) -> Iterator[None]:
        self._nested += 1
        try:
            yield
        finally:
            self._nested -= 1
            self.make_lookups()

    def make_lookups(self) -> None:
        """Tables of schedulers that are out of date, unless more is to come. It takes long, and is done here while the
        workers run."""
        if self._nested == 0:
            for worker in self._workers():
                balancing.rebuild_lookups(_balancer(worker))

    def add_server(self, key: ServiceKey, server: Server) -> None:
        (address, port), usual = server.address, self.reaches[key]
        method, outer = server.method or usual.method, _outer(server.tunnel or usual.tunnel)

        def add(worker: Worker) -> None:
            number = _service(worker, key)
            asked = (server.weight, server.state, method, outer)
            _limit(worker, balancing.add_server(_balancer(worker), number, address, port, *asked), limits_of(server))

        self._everywhere(
            add, lambda worker: balancing.remove_server(_balancer(worker), _server(worker, key, server.address))
        )
        self.server_names[key, server.address] = server.name

    def remove_server(self, key: ServiceKey, server: Server) -> None:
        address, keep = server.address, self.keeps(key)
        self._everywhere(lambda worker: balancing.remove_server(_balancer(worker), _server(worker, key, address), keep))
        del self.server_names[key, address]

    def rename_server(self, key: ServiceKey, address: Endpoint, name: str | None) -> None:
        self.server_names[key, address] = name

    def change_weight(self, key: ServiceKey, address: Endpoint, weight: int) -> None:
        self._everywhere(
            lambda worker: balancing.change_weight(_balancer(worker), _server(worker, key, address), weight)
        )

    def change_method(self, key: ServiceKey, address: Endpoint | None, reach: Reach) -> None:
        if address is None:
            self.reaches[key] = reach
            return
        at, outer = address, _outer(reach.tunnel)
        self._everywhere(
            lambda worker: balancing.change_method(_balancer(worker), _server(worker, key, at), reach.method, outer)
        )

    def change_limits(self, key: ServiceKey, address: Endpoint, limits: Limits) -> None:
        self._everywhere(lambda worker: _limit(worker, _server(worker, key, address), limits))

    def drain_server(self, key: ServiceKey, address: Endpoint) -> None:
        self._everywhere(
            lambda worker: balancing.change_state(_balancer(worker), _server(worker, key, address), "drain")
        )

    def resume_server(self, key: ServiceKey, address: Endpoint) -> None:
        self._everywhere(lambda worker: balancing.change_state(_balancer(worker), _server(worker, key, address), "up"))


def told(scheduling: Scheduling) -> tuple[str, balancing.Scheduling]:
    """The same as balancer/scheduling.py says it."""
    name, flags, target, slow_start = scheduling
    return name, balancing.Scheduling(flags, target, slow_start)


def _limit(worker: Worker, number: int, limits: Limits) -> None:
    """Each worker may open its part of the connections at first; then balancer/totals.py moves what they do not use."""
    upper, lower = limits
    quota = upper * (worker.index + 1) // worker.workers - upper * worker.index // worker.workers
    balancing.change_limits(_balancer(worker), number, upper, lower, quota)


def _outer(tunnel: Tunnel) -> balancing.Outer:
    return balancing.Outer(tunnel.port, tunnel.key, tunnel.checksum)


def _balancer(worker: Worker) -> Balancer:
    return Balancer(worker.balancer)


def _service(worker: Worker, key: ServiceKey) -> int:
    protocol, (address, port) = key
    return balancing.find_service(_balancer(worker), protocol, address, port)


def _server(worker: Worker, key: ServiceKey, at: Endpoint) -> int:
    return balancing.find_server(_balancer(worker), _service(worker, key), at.address, at.port)
