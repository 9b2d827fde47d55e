"""Which methods a server can have, and what they ask of its address. Plain Python."""

from __future__ import annotations

from pronghorn.balancer.addresses import Address, ConfigureError, from_raw, raw_port
from pronghorn.balancer.tables import DIRECT, METHODS, NAT, TUNNEL_IPIP, Balancer, Service
from pronghorn.balancer.tunnel_headers import Outer, write_header
from pronghorn.wire.numbers import PROTOCOL_SCTP


def method_number(service: Service, address: Address, port: int, method: str) -> int:
    """Server.method, or ConfigureError when the service cannot have a server there that is reached so."""
    if method not in METHODS:
        raise ConfigureError(f"method {method}: known are {', '.join(METHODS)}")
    number, family = METHODS[method], service.ports >> 40
    if address.version != family and number in (NAT, DIRECT):
        raise ConfigureError(f"server {address}: its service is IPv{family}, and {method} keeps the family")
    if address.version != family and number < DIRECT and service.ports >> 32 & 0xFF == PROTOCOL_SCTP:
        raise ConfigureError(f"server {address}: SCTP is not translated between IPv{family} and IPv{address.version}")
    if number >= DIRECT and raw_port(port) != service.ports >> 16 & 0xFFFF:
        raise ConfigureError(f"server {address}:{port}: packets reach it as they came, so its port is the service's")
    return number


def set_method(balancer: Balancer, number: int, way: int, outer: Outer | None) -> None:
    """Let the server, whose address and service are set, have this method from its next connection on.

    A tunnel that it had stays for the connections that go through it, until there is another one.
    """
    server = balancer.servers[number]
    service = balancer.services[server.service]
    if way >= TUNNEL_IPIP:
        address = from_raw(server.family, server.hi, server.lo)
        write_header(balancer.tunnels[number], way, service.ports >> 40, address, outer or Outer())
    server.method = way
    server.generation = 0  # the way to it is looked up anew
    if way == NAT:
        service.nat = balancer.nat = 1
