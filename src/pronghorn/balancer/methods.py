"""Which methods a server can have, and what they ask of its address. Plain Python."""

from __future__ import annotations

from pronghorn.balancer.addresses import Address, ConfigureError, raw_port
from pronghorn.balancer.tables import DIRECT, METHODS, NAT, Balancer, Server, Service


def method_number(service: Service, address: Address, port: int, method: str) -> int:
    """Server.method, or ConfigureError when the service cannot have a server there that is reached so."""
    if method not in METHODS:
        raise ConfigureError(f"method {method}: known are {', '.join(METHODS)}")
    number, family = METHODS[method], service.ports >> 40
    if address.version != family:
        raise ConfigureError(f"server {address}: its service is IPv{family}, and {method} keeps the family")
    if number == DIRECT and raw_port(port) != service.ports >> 16 & 0xFFFF:
        raise ConfigureError(f"server {address}:{port}: packets reach it as they came, so its port is the service's")
    return number


def set_method(balancer: Balancer, server: Server, way: int) -> None:
    """Let the server, whose service is set, have this method."""
    server.method = way
    if way == NAT:
        balancer.services[server.service].nat = balancer.nat = 1
