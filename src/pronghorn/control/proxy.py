"""The keys of a service that are about its SYN proxy (balancer/syn_proxy.py), and what must hold for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

if TYPE_CHECKING:
    from pronghorn.control.model import Service

THROUGH = ("full-nat", "nat")
"""Methods whose replies come through the gateway."""

SynProxy = Annotated[
    Literal["off", "always", "auto"],
    Field(
        description="clients prove that they are there before a server, or the table of connections, hears of them: "
        "SYNs are answered with cookies (RFC 4987). auto: while the table is nearly full (7/8) or too many are half "
        "open. For servers with full NAT or NAT, of the service's family"
    ),
]
HalfOpen = Annotated[
    int, Field(ge=1, le=1_000_000_000, description="half-open connections from which on auto asks for cookies")
]
Defer = Annotated[
    bool, Field(description="a server hears of a connection when its client sends data: for clients that speak first")
]


def findings(
    service: Service, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Any, str, str | None]]:
    """What is wrong with the service's SYN proxy, whose key this is: path, value, what is wrong, what is allowed."""
    mode = service.syn_proxy
    if mode == "off":
        return
    if service.protocol != "tcp":
        yield path, mode, "is for TCP alone", '"off"'
    for server in service.servers:
        method = server.method or service.method
        if method not in THROUGH or server.address.family != service.address.family:
            wrong = f"needs servers whose packets come through here untranslated; {server.label} is reached by {method}"
            yield path, mode, wrong, 'with method = "full-nat" or "nat" and servers of the same family'
            return
