"""What services ask beyond the usual: `[services.persistence]`, `[services.timeouts]`, `[services.limits]` and keys
beside them; what must hold between these (check.py), and whether two services differ in them (plan.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pronghorn.control.fields import NameField

if TYPE_CHECKING:
    from pronghorn.control.model import Config, Service

Found = tuple[tuple[str | int, ...], Any, str, str | None]  # path, value, what is wrong, what is allowed

OPTIONS = ("persistence", "timeouts", "limits", "quiesced", "removed", "one_packet")

Fate = Literal["keep", "end"]
Seconds = Annotated[int, Field(ge=1, le=2_000_000)]
Rate = Annotated[int, Field(ge=0, le=1_000_000_000_000)]

THROUGH = ("full-nat", "nat")
"""Methods whose replies come through the gateway."""


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
        if service.one_packet:
            yield from _one_packet(service, (*place, "one_packet"))


def _one_packet(service: Service, path: tuple[str | int, ...]) -> Iterator[Found]:
    if service.protocol != "udp":
        yield path, True, "is for UDP alone", "false"
    for server in service.servers:
        method = server.method or service.method
        if method in THROUGH:
            wrong = f"needs servers that answer clients themselves; {server.label} is reached by {method}"
            yield path, True, wrong, 'with method = "direct" or a tunnel'
            return
