"""How packets reach servers: what a service says holds for those of its servers that say nothing themselves.

Where packets arrive as they came (direct routing, tunnels), servers have the service's port; full NAT and tunnels
reach servers of the other family too. A change is for new connections: those that there are keep their method, and
those that go through a tunnel go through the new one, if there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pronghorn.control.endpoint import Endpoint
from pronghorn.control.model import Config, Server, Service
from pronghorn.control.reach import Method, Reach, Tunnel

Found = tuple[tuple[str | int, ...], Any, str, str | None]  # path, value, what is wrong, what is allowed


def reach_of(service: Service, server: Server | None = None) -> Reach:
    """How packets reach this server of the service, or those that say nothing."""
    method, tunnel = (server.method, server.tunnel) if server else (None, None)
    return Reach(method or service.method, tunnel or service.tunnel)


def resolve_methods(config: Config) -> Config:
    """The same configuration in which each server says how packets reach it."""
    services = tuple(
        service.model_copy(update={"servers": tuple(_resolved(service, server) for server in service.servers)})
        for service in config.services
    )
    return config.model_copy(update={"services": services})


def _resolved(service: Service, server: Server) -> Server:
    return server.model_copy(update=reach_of(service, server)._asdict())


def keeps_port(method: Method) -> bool:
    """Whether packets arrive as they came."""
    return method not in ("full-nat", "nat")


def mixes(method: Method) -> bool:
    """Whether a server may be of another family than its service."""
    return method not in ("nat", "direct")


def findings(config: Config) -> Iterator[Found]:
    """What must hold between a service and its servers (check.py)."""
    for number, service in enumerate(config.services):
        place: tuple[str | int, ...] = ("services", number)
        for at, server in enumerate(service.servers):
            path, method = (*place, "servers", at), reach_of(service, server).method
            yield from _end(service, server.address, method, (*path, "address"))
            if server.tunnel is not None and not method.startswith("tunnel-"):
                yield (*path, "tunnel"), server.tunnel.model_dump(), f'has no effect with method = "{method}"', None
        if service.sorry_server is not None:
            yield from _end(service, service.sorry_server, service.method, (*place, "sorry_server"))
        if service.tunnel != Tunnel() and not any(method.startswith("tunnel-") for method in _methods(service)):
            yield (*place, "tunnel"), service.tunnel.model_dump(), "has no effect: no server is behind a tunnel", None


def _methods(service: Service) -> set[Method]:
    return {service.method, *(reach_of(service, server).method for server in service.servers)}


def _end(service: Service, end: Endpoint, method: Method, path: tuple[str | int, ...]) -> Iterator[Found]:
    if keeps_port(method) and end.port != service.address.port:
        wrong = f'is not at the service\'s port: with method = "{method}" packets arrive as they came'
        yield path, str(end), wrong, f"port {service.address.port}, or another method"
    if end.family != service.address.family and not mixes(method):
        wrong = f"is IPv{end.family}, the service is IPv{service.address.family}"
        yield path, str(end), wrong, "servers of the service's own family, or another method"


def local_families(service: Service) -> set[int]:
    """Families of the local addresses that its connections to servers come from."""
    ends = [server.address for server in service.servers if reach_of(service, server).method == "full-nat"]
    if service.sorry_server is not None and service.method == "full-nat":
        ends.append(service.sorry_server)
    return {end.family for end in ends}
