"""What must hold between the values of a service that concern health (control/check.py calls it)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pronghorn.control.health.settings import Check, octets_of
from pronghorn.control.problems import MISSING

if TYPE_CHECKING:
    from pronghorn.control.model import Config, Service

Found = tuple[tuple[str | int, ...], Any, str, str | None]  # path, value, what is wrong, what is allowed

_HTTP = ("expect", "method", "path", "host", "headers", "body", "status")
_TLS = ("verify", "ca", "server_name")
KNOWS = {
    "tcp": ("send", "expect"),
    "http": _HTTP,
    "https": (*_HTTP, *_TLS),
    "udp": ("send", "expect"),
    "dns": ("query", "record", "rcode", "answer"),
    "ping": (),
    "grpc": ("service", "host", "tls", *_TLS),
    "script": ("command", "environment"),
    "agent": ("send",),
}
"""Keys that each kind of check knows; the others concern all."""

_SPECIAL = {key for keys in KNOWS.values() for key in keys}
NEEDED = {"dns": "query", "script": "command", "agent": "port"}
NEEDS = {"dns": "dns", "grpc": "h2"}
"""Packages of the extra pronghorn[health], by kind of check."""


def findings(config: Config) -> Iterator[Found]:
    """All of them."""
    for number, service in enumerate(config.services):
        place = ("services", number)
        yield from _checks(config, service, place)
        yield from _no_server(config, service, place)


def _checks(config: Config, service: Service, place: tuple[str | int, ...]) -> Iterator[Found]:
    seen: set[str] = set()
    for number, check in enumerate(service.checks):
        path = (*place, "checks", number)
        if check.label in seen:
            yield (*path, "name"), check.label, "another check of this service has this name", "a name of its own"
        seen.add(check.label)
        for key, value in check:
            usual = Check.model_fields[key].default
            if key in _SPECIAL and key not in KNOWS[check.type] and value != usual:
                knows = ", ".join(KNOWS[check.type]) or "none of these"
                yield (*path, key), _text(value), f"has no meaning for a check of type {check.type}", knows
        needed = NEEDED.get(check.type)
        elsewhere = needed == "port" and all(server.check_port for server in service.servers)
        if needed and not getattr(check, needed) and not elsewhere:
            yield (*path, needed), MISSING, f"missing: a check of type {check.type} needs it", None
        for key in ("send", "expect", "body"):
            try:
                octets_of(getattr(check, key))
            except ValueError:
                yield (*path, key), getattr(check, key), "has no hexadecimal digits after hex:", 'like "hex:0d0a"'
        if (package := NEEDS.get(check.type)) and find_spec(package) is None:
            yield (
                (*path, "type"),
                check.type,
                "needs a package that is not there",
                "after `pip install pronghorn[health]`",
            )
        ways = {server.check_via or check.via for server in service.servers}
        if "gateway" in ways and check.type != "script" and not config.programs.enabled:
            wrong = "goes by the gateway's own sockets, and this gateway takes no programs"
            yield (*path, "via"), check.via, wrong, 'with programs.enabled = true, any; without, "kernel"'


def _no_server(config: Config, service: Service, place: tuple[str | int, ...]) -> Iterator[Found]:
    sorry = service.sorry_server
    if (sorry is None) == (service.on_no_server == "sorry"):
        if sorry is None:
            yield (*place, "sorry_server"), MISSING, 'missing: on_no_server = "sorry" needs it', None
        else:
            yield (*place, "sorry_server"), str(sorry), 'has no effect without on_no_server = "sorry"', None
    if sorry is not None and any(server.address == sorry for server in service.servers):
        yield (*place, "sorry_server"), str(sorry), "is one of the service's servers", "another server"
    if service.hysteresis >= service.quorum:
        allowed = f"0..{service.quorum - 1}"
        yield (*place, "hysteresis"), service.hysteresis, "leaves nothing of the quorum", allowed
    if service.on_no_server == "withdraw":
        address = service.address.address
        path, value = (*place, "on_no_server"), service.on_no_server
        own = [i for port in config.ports for i in port.addresses if i.ip == address]
        if any(interface.network.num_addresses > 1 for interface in own):
            length = own[0].network.max_prefixlen
            wrong = f"would take the network of {own[0]} away"
            yield path, value, wrong, f"for an address that a port owns as {address}/{length}"
        if address in config.balancer.local_addresses or address in config.programs.addresses:
            yield path, value, f"would take {address} away from the gateway's own connections", "another address"


def _text(value: Any) -> Any:
    return [str(one) for one in value] if isinstance(value, tuple) else value if isinstance(value, bool) else str(value)
