"""How packets reach servers: what a service says holds for those of its servers that say nothing themselves.

Direct routing changes no packet, so servers have the service's port and family. A change of the method is for new
connections: those that there are keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pronghorn.control.model import Config, Server, Service

Found = tuple[tuple[str | int, ...], Any, str, str | None]  # path, value, what is wrong, what is allowed

KEEPS_PORT = ("direct",)
"""Methods by which packets arrive as they came."""


def method_of(service: Service, server: Server) -> str:
    """How packets reach this server of the service."""
    return server.method or service.method


def resolve_methods(config: Config) -> Config:
    """The same configuration in which each server says its method."""
    services = tuple(
        service.model_copy(
            update={
                "servers": tuple(
                    server.model_copy(update={"method": method_of(service, server)}) for server in service.servers
                )
            }
        )
        for service in config.services
    )
    return config.model_copy(update={"services": services})


def findings(config: Config) -> Iterator[Found]:
    """What must hold between a service and its servers (check.py)."""
    for number, service in enumerate(config.services):
        place: tuple[str | int, ...] = ("services", number)
        for at, server in enumerate(service.servers):
            path = (*place, "servers", at, "address")
            yield from _same_port(service, str(server.address), server.address.port, method_of(service, server), path)
        if service.sorry_server is not None:
            path = (*place, "sorry_server")
            yield from _same_port(service, str(service.sorry_server), service.sorry_server.port, service.method, path)


def _same_port(service: Service, value: str, port: int, method: str, path: tuple[str | int, ...]) -> Iterator[Found]:
    if method in KEEPS_PORT and port != service.address.port:
        wrong = f'is not at the service\'s port: with method = "{method}" packets arrive as they came'
        yield path, value, wrong, f"port {service.address.port}, or another method"


def needs_local(service: Service) -> bool:
    """Whether some of its connections come from a local address."""
    sorry = service.sorry_server is not None and service.method == "full-nat"
    return sorry or any(method_of(service, server) == "full-nat" for server in service.servers)
