"""What the engine of this build does about health: that which happens to packets. The rest is health/plane.py's."""

from __future__ import annotations

from collections.abc import Callable

from pronghorn.balancer import health
from pronghorn.balancer.configure import find_server, find_service
from pronghorn.balancer.tables import Balancer
from pronghorn.control.endpoint import Endpoint
from pronghorn.control.model import Server, Service, ServiceKey
from pronghorn.state.worker import Worker


class NativeHealth:
    """A part of NativeEngine."""

    def _everywhere(self, do: Callable[[Worker], object], undo: Callable[[Worker], object] | None = None) -> None:
        raise NotImplementedError

    def change_health(self, service: Service) -> None:
        reject = service.on_no_server == "reject"
        self._everywhere(
            lambda worker: health.change_reject(Balancer(worker.balancer), _number(worker, service.key), reject)
        )

    def reset_server(self, key: ServiceKey, address: Endpoint) -> None:
        def reset(worker: Worker) -> None:
            balancer = Balancer(worker.balancer)
            health.reset_server(balancer, find_server(balancer, _number(worker, key), *address))

        self._everywhere(reset)

    def change_checks(self, key: ServiceKey, server: Server) -> None:
        """Nothing that an engine has to know."""


def _number(worker: Worker, key: ServiceKey) -> int:
    protocol, at = key
    return find_service(Balancer(worker.balancer), protocol, *at)
