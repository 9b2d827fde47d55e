"""What the engine of this build does about options of services, and the clients that it shows (plane.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pronghorn.balancer import change_options as changes
from pronghorn.balancer.change_proxy import change_syn_proxy
from pronghorn.balancer.configure import find_service
from pronghorn.balancer.set_limits import Wanted, change_limits
from pronghorn.balancer.shares import Shares
from pronghorn.balancer.tables import Balancer
from pronghorn.control.model import Service, ServiceKey
from pronghorn.control.options import Place
from pronghorn.engine.engine import Engine
from pronghorn.state.worker import Worker

if TYPE_CHECKING:
    from pronghorn.control.views import ClientView

SHARES_EVERY = 5
"""Looks of the control plane from one division of limits over the workers to the next: a second."""


class NativeOptions:
    """A part of NativeEngine."""

    engine: Engine
    service_names: dict[ServiceKey, str]

    def open_options(self) -> None:
        """Of a new engine."""
        self._groups: dict[str, int] = {}
        self._kept: set[ServiceKey] = set()
        """Services whose removed servers keep their connections."""
        self._limits: dict[ServiceKey, Wanted] = {}
        self._shares, self._looks = Shares(), 0

    def _everywhere(self, do: Callable[[Worker], object], undo: Callable[[Worker], object] | None = None) -> None:
        raise NotImplementedError

    def change_listens(self, key: ServiceKey, places: tuple[Place, ...]) -> None:
        def change(worker: Worker) -> None:
            balancer = Balancer(worker.balancer)
            changes.change_listens(balancer, find_service(balancer, key[0], *key[1]), places)

        self._everywhere(change)

    def change_options(self, service: Service) -> None:
        key, workers = service.key, self.engine.worker_count
        persistence, limits = service.persistence, service.limits
        half_open = max(1, service.syn_proxy_half_open // workers)
        group = None
        if persistence is not None and persistence.group is not None:
            group = self._groups.setdefault(persistence.group, len(self._groups))
        own = {name: value for name, value in service.timeouts if value is not None}
        wanted = Wanted(
            limits.connections,
            limits.per_client,
            limits.connections_per_second,
            limits.packets_per_second,
            limits.octets_per_second,
        )

        before = self._limits.get(key)

        def change(worker: Worker) -> None:
            balancer = Balancer(worker.balancer)
            number = find_service(balancer, key[0], *key[1])
            if persistence is None:
                changes.change_persistence(balancer, number, 0)
            else:
                keep = persistence.quiesced == "keep"
                changes.change_persistence(balancer, number, persistence.timeout, persistence.prefix, group, keep)
            changes.change_service_timeouts(balancer, number, own)
            changes.change_keep_port(balancer, number, service.keep_port)
            changes.change_toa(balancer, number, service.client_address == "toa")
            changes.change_one_packet(balancer, number, service.one_packet)
            if wanted != before:  # else their division over the workers stays what use has made of it
                change_limits(balancer, number, wanted, worker.index, workers)
            change_syn_proxy(balancer, number, service.syn_proxy, service.syn_proxy_defer, half_open)

        self._everywhere(change)
        self._limits[key] = wanted
        (self._kept.add if service.removed == "keep" else self._kept.discard)(key)

    def close_options(self, key: ServiceKey) -> None:
        """The service is removed."""
        self._kept.discard(key)
        self._limits.pop(key, None)

    def keeps(self, key: ServiceKey) -> bool:
        """Whether servers of the service that are removed keep their connections."""
        return key in self._kept

    def look_shares(self) -> None:
        """Divide limits over the workers by their use, now and then."""
        self._looks += 1
        if self._looks % SHARES_EVERY == 0:
            with contextlib.suppress(TimeoutError):  # a worker that is held up: the next second comes
                self._shares.look(self._balancers(), self._call)

    def clients(self, limit: int) -> Sequence[ClientView]:
        from pronghorn.control import native_clients as show

        workers = [self.engine.workers[index] for index in range(self.engine.worker_count)]
        return show.clients(workers, self.service_names, {number: name for name, number in self._groups.items()}, limit)

    def _balancers(self) -> list[Balancer]:
        return [Balancer(self.engine.workers[index].balancer) for index in range(self.engine.worker_count)]

    def _call(self, index: int, change: Callable[[Balancer], None]) -> None:
        self.engine.call(index, lambda worker: change(Balancer(worker.balancer)))
