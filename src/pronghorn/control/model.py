"""The configuration of a gateway: one declarative model, written as TOML.

Rules it keeps: a key means one thing and has one default, which stands here and nowhere else; an unknown key is an
error; a value is never corrected in silence. What concerns one value is checked by its kind (fields.py), what concerns
several by check.py. docs/reference/configuration.md is generated from this file. A configuration never changes once
read: a change makes a new one (edit.py), and plan.py says how to get there.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pronghorn.control.endpoint import Address, Endpoint
from pronghorn.control.fields import (
    AddressField,
    DeviceField,
    EndpointField,
    Interface,
    InterfaceField,
    MacField,
    NameField,
    Network,
    NetworkField,
    NotStrict,
    PathField,
    PortRangeField,
    WorkersField,
)

__all__ = ["Address", "Balancer", "Config", "Endpoint", "GatewaySettings", "Interface", "Network", "Port", "Route"]
__all__ += ["Server", "Service", "ServiceKey", "Timeouts"]

T = TypeVar("T")
Many = Annotated[tuple[T, ...], NotStrict]
Seconds = Annotated[int, Field(ge=1, le=2_000_000)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class GatewaySettings(_Section):
    """The gateway itself. Except for busy_poll these are read at start; a change needs a restart."""

    name: NameField = Field(default="gateway", description="names the gateway, its control socket and its arena")
    workers: WorkersField = Field(default=1, description="how many workers, or the cores they are pinned to")
    packets: int = Field(default=16_384, ge=1_024, le=16_777_216, description="packet buffers of each worker")
    arena: PathField | None = Field(
        default=None,
        description="a file for all state instead of private memory; a restarted gateway begins a new one",
    )
    huge_pages: bool = Field(
        default=True, description="use huge pages when the machine has some; ordinary pages otherwise"
    )
    busy_poll: bool = Field(default=False, description="workers never sleep: lowest latency, 100 % of their cores")


class Port(_Section):
    """A device with receive and transmit queues, and the addresses that the gateway answers for on it."""

    name: NameField = Field(description="how routes and tables call the port")
    device: DeviceField = Field(description="the driver and the device it opens")
    addresses: Many[InterfaceField] = Field(
        default=(), description="addresses owned on this port, with the length of their network (/32, /128: none)"
    )
    mtu: int | None = Field(
        default=None, ge=68, le=65_535, description="octets in a layer-3 packet; the device's own if absent"
    )
    mac: MacField | None = Field(default=None, description="the hardware address; the device's own if absent")


class Route(_Section):
    """Where packets go that are for none of the ports' own networks. The longest prefix wins."""

    prefix: NetworkField = Field(description="the destinations")
    via: AddressField | None = Field(
        default=None, description="the next router; without it the destinations are neighbours"
    )
    port: NameField | None = Field(
        default=None, description="the port; without it the one whose network contains `via`"
    )


class Timeouts(_Section):
    """How long an idle balanced connection is kept, in seconds, by the state of its TCP connection; `udp` for UDP.

    The defaults are those of the Linux kernel's IPVS, except time_wait, which is 60 s as in the kernel's own TCP.
    """

    syn_sent: Seconds = Field(default=120, description="the client's SYN was forwarded, nothing came back")
    syn_received: Seconds = Field(default=60, description="the server answered, the client did not confirm")
    established: Seconds = Field(default=900, description="open in both directions")
    fin_wait: Seconds = Field(default=120, description="the client closed its direction")
    close_wait: Seconds = Field(default=60, description="the server closed its direction")
    last_ack: Seconds = Field(default=30, description="both closed, the last acknowledgement is missing")
    time_wait: Seconds = Field(default=60, description="closed by both in good order")
    closed: Seconds = Field(default=10, description="reset")
    udp: Seconds = Field(default=300, description="a UDP flow (RFC 4787, REQ-5)")


class Balancer(_Section):
    """What all balanced services share."""

    local_addresses: Many[AddressField] = Field(
        default=(), description="full NAT's source addresses towards the servers; each must be owned by a port"
    )
    local_ports: PortRangeField = Field(default=(1025, 65535), description="full NAT's source ports")
    timeouts: Timeouts = Field(default=Timeouts(), description="see below")


class Server(_Section):
    """A real server of a service."""

    address: EndpointField = Field(description="where it answers")
    name: NameField | None = Field(default=None, description="a name for tables and commands; the address otherwise")
    weight: int = Field(default=1, ge=0, le=65_535, description="its share of new connections; 0: no new ones")
    state: Literal["up", "drain"] = Field(default="up", description="drain: keeps its connections, gets no new ones")

    @property
    def label(self) -> str:
        return self.name or str(self.address)


class ServiceKey(tuple[str, Endpoint]):
    """What makes a service that service: its protocol and address. Names and schedulers may change around it."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self[0]} {self[1]}"


class Service(_Section):
    """A virtual service: what clients connect to."""

    name: NameField = Field(description="how tables and commands call the service")
    protocol: Literal["tcp", "udp"] = Field(default="tcp", description="the layer-4 protocol")
    address: EndpointField = Field(description="where clients connect; must be owned by a port")
    scheduler: Literal["rr", "wrr", "maglev"] = Field(
        default="wrr", description="how a server is chosen: in turn, in turn by weight, by Maglev's hash of the client"
    )
    forwarding: Literal["full_nat"] = Field(default="full_nat", description="how packets reach the server")
    servers: Many[Server] = Field(default=(), description="see below")

    @property
    def key(self) -> ServiceKey:
        return ServiceKey((self.protocol, self.address))


class Config(_Section):
    """The whole configuration."""

    gateway: GatewaySettings = Field(default=GatewaySettings(), description="the gateway itself")
    ports: Many[Port] = Field(default=(), description="the devices")
    routes: Many[Route] = Field(default=(), description="the way to other networks")
    balancer: Balancer = Field(default=Balancer(), description="what all services share")
    services: Many[Service] = Field(default=(), description="what is balanced")

    def empty(self) -> "Config":
        """The configuration of a gateway that was just started: its own settings, no ports, no services."""
        shared = self.balancer.model_copy(update={"local_addresses": ()})
        return Config(gateway=self.gateway, balancer=shared)
