"""The control plane's hand in the SYN proxy (syn_proxy.py). Plain Python, between the worker's turns."""

from __future__ import annotations

from pronghorn.balancer.addresses import ConfigureError
from pronghorn.balancer.configure import service_at
from pronghorn.balancer.proxy_tables import PROXY_MODES, PROXY_OFF
from pronghorn.balancer.tables import ASKS_COOKIE, Balancer
from pronghorn.wire.numbers import PROTOCOL_TCP

HALF_OPEN = 1024
"""Half-open connections of a worker from which on "auto" asks for cookies."""


def change_syn_proxy(
    balancer: Balancer, number: int, mode: str, defer: bool = False, half_open: int = HALF_OPEN
) -> None:
    """When SYNs for the service are answered with a cookie: "off", "always", or "auto": while the table is short of
    room or the service has `half_open` (1 up) half-open connections of this worker. `defer`: servers hear of a
    connection when its client sends data. Connections that there are keep their way.

    Servers that answer clients themselves, or are of another family than the service, get none of those connections.
    """
    service, proxy = service_at(balancer, number), balancer.proxies[number]
    if mode not in PROXY_MODES or not 1 <= half_open < 1 << 31:
        raise ConfigureError(f"SYN proxy {mode}, {half_open} half-open connections: out of range")
    if PROXY_MODES[mode] != PROXY_OFF and service.ports >> 32 & 0xFF != PROTOCOL_TCP:
        raise ConfigureError("SYN proxy: of TCP alone")
    proxy.mode, proxy.defer, proxy.limit = PROXY_MODES[mode], int(defer), half_open
    service.asks = service.asks & ~ASKS_COOKIE | (ASKS_COOKIE if proxy.mode != PROXY_OFF else 0)
