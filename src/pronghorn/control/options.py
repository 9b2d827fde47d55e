"""What services ask beyond the usual: `[services.persistence]`, `[services.timeouts]`, `[services.limits]` and keys
beside them; what must hold between these (check.py), and whether two services differ in them (plan.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from pronghorn.control import proxy
from pronghorn.control.endpoint import Address, parse_endpoint
from pronghorn.control.fields import NameField, NotStrict, _from_text
from pronghorn.control.proxy import THROUGH

if TYPE_CHECKING:
    from pronghorn.control.model import Config, Service

Found = tuple[tuple[str | int, ...], Any, str, str | None]  # path, value, what is wrong, what is allowed

OPTIONS = (
    "persistence", "timeouts", "limits", "quiesced", "removed", "one_packet", "keep_port", "syn_proxy",
    "syn_proxy_half_open", "syn_proxy_defer", "client_address",
)  # fmt: skip

Fate = Literal["keep", "end"]
Seconds = Annotated[int, Field(ge=1, le=2_000_000)]
Rate = Annotated[int, Field(ge=0, le=1_000_000_000_000)]


class Place(NamedTuple):
    """An address and some of its ports; 0 and 0: any."""

    address: Address
    first: int
    last: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        ports = f"{self.first}-{self.last}" if self.last > self.first else str(self.first)
        return f"{host}:{ports if self.first else '*'}"


def _read_place(text: str) -> Place:
    """ADDRESS:PORT, ADDRESS:LOW-HIGH or ADDRESS:*."""
    host, _, ports = text.rpartition(":")
    low, dash, high = ports.partition("-")
    if ports == "*":
        return Place(parse_endpoint(f"{host}:1").address, 0, 0)
    first = parse_endpoint(f"{host}:{low}")
    last = parse_endpoint(f"{host}:{high}").port if dash else first.port
    if last < first.port:
        raise ValueError("ends before it begins")
    if last - first.port >= MOST_PORTS:
        raise ValueError(f"is more than {MOST_PORTS} ports")
    return Place(first.address, first.port, last)


MOST_PORTS = 4096
"""Of all places of a service; any port of an address counts as one."""

PlaceField = Annotated[
    Place,
    _from_text(_read_place),
    PlainSerializer(str, return_type=str),
    Field(json_schema_extra={"allowed": '"ADDRESS:PORT", "ADDRESS:LOW-HIGH" (4096 ports at most) or "ADDRESS:*"'}),
]
Listens = Annotated[
    tuple[PlaceField, ...],
    NotStrict,
    Field(
        description="more addresses and ports of the same service, with one scheduler and one set of limits for all; "
        "an address with * gets what no other service is for"
    ),
]
ClientAddress = Annotated[
    Literal["none", "toa"],
    Field(
        description="how servers of method full-nat and the client's family learn its address; toa: TCP option 254, "
        "as DPVS adds it, on the client's segments until the server has answered one"
    ),
]
KeepPort = Annotated[bool, Field(description="servers get connections at the port that the client asked for")]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Persistence(_Section):
    """A client's connections go to the server that it had, until it has been silent for a time: IPVS's -p and -M.

    A client whose server drains or was removed gets another. Each worker remembers up to 131,072 clients.
    """

    timeout: Seconds = Field(default=300, description="seconds after its last new connection that a client is known")
    prefix: int | None = Field(
        default=None, ge=0, le=128, description="bits of an address that are a client; all of them if absent"
    )
    group: NameField | None = Field(
        default=None, description="services that name the same group share their clients: http and https of one site"
    )
    quiesced: Literal["drop", "keep"] = Field(
        default="drop",
        description="keep: a server of weight 0 keeps getting new connections of clients that it has (IPVS's "
        "expire_quiescent_template = 0)",
    )


class OwnTimeouts(_Section):
    """How long idle connections of this service are kept, in seconds; as `[balancer.timeouts]` says where absent."""

    syn_sent: Seconds | None = Field(default=None, description="as in `[balancer.timeouts]`, and so on")
    syn_received: Seconds | None = Field(default=None, description="")
    established: Seconds | None = Field(default=None, description="")
    fin_wait: Seconds | None = Field(default=None, description="")
    close_wait: Seconds | None = Field(default=None, description="")
    last_ack: Seconds | None = Field(default=None, description="")
    time_wait: Seconds | None = Field(default=None, description="")
    closed: Seconds | None = Field(default=None, description="")
    udp: Seconds | None = Field(default=None, description="")


class ServiceLimits(_Section):
    """What the service may have, all workers together; 0: as much as there is. What is beyond is dropped and counted.

    Rates may be exceeded for a moment by a tenth of a second's worth, or by one packet.
    """

    connections: int = Field(default=0, ge=0, le=1_000_000_000, description="connections at a time")
    per_client: int = Field(
        default=0, ge=0, le=16_000_000, description="connections of a client at a time: of an address, or an IPv6 /64"
    )
    connections_per_second: Rate = Field(default=0, description="new connections a second")
    packets_per_second: Rate = Field(default=0, description="packets a second, in each direction")
    octets_per_second: Rate = Field(default=0, description="octets of frames a second, in each direction")


def differs(old: Service, new: Service) -> bool:
    """Whether two services do."""
    return any(getattr(old, name) != getattr(new, name) for name in OPTIONS)


def findings(config: Config) -> Iterator[Found]:
    """What must hold between options of services."""
    yield from _places(config)
    groups: dict[tuple[str, int], tuple[str, int | None]] = {}
    for number, service in enumerate(config.services):
        place: tuple[str | int, ...] = ("services", number)
        family = service.address.family
        if service.persistence is not None:
            prefix, group = service.persistence.prefix, service.persistence.group
            if prefix is not None and prefix > 32 and family == 4:
                yield (*place, "persistence", "prefix"), prefix, "is longer than an IPv4 address", "0..32"
            if group is not None:
                first, same = groups.setdefault((group, family), (service.name, prefix))
                if same != prefix:
                    wrong = f'is not that of service "{first}" of the same group'
                    yield (*place, "persistence", "prefix"), prefix, wrong, "one prefix for a group"
        if service.client_address == "toa" and service.protocol != "tcp":
            yield (*place, "client_address"), "toa", "is for TCP alone", '"none"'
        if service.client_address == "toa" and service.syn_proxy != "off":
            yield (*place, "client_address"), "toa", "does not go with syn_proxy yet", '"none"'
        yield from proxy.findings(service, (*place, "syn_proxy"))
        if service.one_packet:
            yield from _one_packet(service, (*place, "one_packet"))


def _places(config: Config) -> Iterator[Found]:
    """A port belongs to one service; places are of the service's family, at addresses that a port owns."""
    owned = {interface.ip for port in config.ports for interface in port.addresses}
    taken: dict[tuple[str, Address], list[tuple[int, int, str]]] = {}
    for service in config.services:
        at = service.address
        taken.setdefault((service.protocol, at.address), []).append((at.port, at.port, service.name))
    for number, service in enumerate(config.services):
        if sum(place.last - place.first + 1 for place in service.listen) > MOST_PORTS:
            yield ("services", number, "listen"), len(service.listen), f"has more than {MOST_PORTS} ports", None
        for at_, place in enumerate(service.listen):
            path = ("services", number, "listen", at_)
            if place.address not in owned:
                yield path, str(place), f"no port owns {place.address}", "an address listed in ports.addresses"
            if place.address.version != service.address.family:
                yield path, str(place), f"is IPv{place.address.version}", "addresses of the service's own family"
            others = taken.setdefault((service.protocol, place.address), [])
            clash = [name for low, high, name in others if low <= place.last and place.first <= high]
            if clash:
                yield path, str(place), f'has a port that service "{clash[0]}" has already', "ports of its own"
            others.append((place.first, place.last, service.name))


def _one_packet(service: Service, path: tuple[str | int, ...]) -> Iterator[Found]:
    if service.protocol != "udp":
        yield path, True, "is for UDP alone", "false"
    for server in service.servers:
        method = server.method or service.method
        if method in THROUGH:
            wrong = f"needs servers that answer clients themselves; {server.label} is reached by {method}"
            yield path, True, wrong, 'with method = "direct" or a tunnel'
            return
