"""Small changes to a configuration: each function takes one and returns another. What results is checked like a file.

Services are called by name, servers by name or address.
"""

from collections.abc import Mapping
from typing import Any

from pronghorn.control.model import Config, Server, Service
from pronghorn.control.part import read_server, read_service
from pronghorn.control.problems import meant
from pronghorn.control.trouble import Trouble


class NotThere(Trouble):
    """A command names something that the configuration does not have."""


class AlreadyThere(Trouble):
    """A command adds something that the configuration has already."""


def find_service(config: Config, name: str) -> Service:
    for service in config.services:
        if service.name == name:
            return service
    raise NotThere(_nothing("service", name, [service.name for service in config.services]))


def find_server(service: Service, label: str) -> Server:
    for server in service.servers:
        if label in (server.name, str(server.address)):
            return server
    known = [server.label for server in service.servers]
    raise NotThere(_nothing(f"server of {service.name}", label, known))


def add_service(config: Config, service: Service) -> Config:
    if any(other.name == service.name for other in config.services):
        raise AlreadyThere(f"there is a service {service.name} already; remove it first, or choose another name")
    return config.model_copy(update={"services": (*config.services, service)})


def change_service(config: Config, name: str, change: Mapping[str, Any]) -> Config:
    service = find_service(config, name)
    return _replace(config, service, read_service(service.model_dump(mode="json") | dict(change)))


def remove_service(config: Config, name: str) -> Config:
    service = find_service(config, name)
    return config.model_copy(update={"services": tuple(other for other in config.services if other is not service)})


def add_server(config: Config, name: str, server: Server) -> Config:
    service = find_service(config, name)
    if any(other.address == server.address for other in service.servers):
        raise AlreadyThere(f"{name} has a server {server.address} already; change its weight or state instead")
    return _replace(config, service, service.model_copy(update={"servers": (*service.servers, server)}))


def change_server(config: Config, name: str, label: str, change: Mapping[str, Any]) -> Config:
    service = find_service(config, name)
    server = find_server(service, label)
    changed = read_server(server.model_dump(mode="json") | dict(change))
    servers = tuple(changed if other is server else other for other in service.servers)
    return _replace(config, service, service.model_copy(update={"servers": servers}))


def remove_server(config: Config, name: str, label: str) -> Config:
    service = find_service(config, name)
    server = find_server(service, label)
    servers = tuple(other for other in service.servers if other is not server)
    return _replace(config, service, service.model_copy(update={"servers": servers}))


def _replace(config: Config, old: Service, new: Service) -> Config:
    services = tuple(new if service is old else service for service in config.services)
    return config.model_copy(update={"services": services})


def _nothing(what: str, name: str, known: list[str]) -> str:
    near = meant(name, known)
    hint = f'; did you mean "{near}"?' if near else f"; there are: {', '.join(known)}" if known else "; there are none"
    return f'there is no {what} "{name}"{hint}'
