"""Endpoints: where a service listens and where a server answers.

Written as "192.0.2.1:80" or "[2001:db8::1]:80" (RFC 3986 section 3.2.2). An IPv6 address without brackets is refused:
"2001:db8::1:80" has two readings. Names are refused as well: the data plane asks no resolver.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

Address = IPv4Address | IPv6Address

FORM = '"ADDRESS:PORT", such as "198.51.100.1:80" or "[2001:db8::1]:80", port 1..65535'


class Endpoint(NamedTuple):
    """An address of either family and a layer-4 port. Its text form is one-to-one."""

    address: Address
    port: int

    @property
    def family(self) -> int:
        return self.address.version

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Read an endpoint. Raises ValueError with a sentence that says what is wrong with it."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        address = parse_address(host[1:-1])
        if address.version != 6:
            raise ValueError("brackets are for IPv6 addresses")
    elif not colon or "]" in text:
        raise ValueError("the port is missing")
    elif ":" in host:
        raise ValueError(f'an IPv6 address needs brackets before the port, such as "[{host}]:{port}"')
    else:
        address = parse_address(host)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f'"{port}" is not a port')
    return Endpoint(address, int(port))


def parse_address(text: str) -> Address:
    """Read an address that packets can be sent to: not unspecified, not multicast, no zone."""
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f'"{text}" is not an IPv4 or IPv6 address') from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("a zone (%) has no meaning here")
    if address.is_unspecified or address.is_multicast or address == IPv4Address("255.255.255.255"):
        raise ValueError(f"{address} is not the address of one host")
    return address
