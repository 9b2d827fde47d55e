"""The configuration of a gateway: one declarative model, written as TOML.

Rules it keeps: a key means one thing and has one default, which stands here and nowhere else; an unknown key is an
error; a value is never corrected in silence. What concerns one value is checked by its kind (fields.py), what concerns
several by check.py. docs/reference/configuration.md is generated from this file. A configuration never changes once
read: a change makes a new one (edit.py), and plan.py says how to get there.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pronghorn.control.access_settings import Set
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
from pronghorn.control.health.settings import Check, Passive, Text
from pronghorn.control.options import ClientAddress, Fate, KeepPort, Listens, OwnTimeouts, Persistence, ServiceLimits
from pronghorn.control.proxy import Defer, HalfOpen, SynProxy
from pronghorn.control.reach import MEANING, Method, Tunnel
from pronghorn.control.scheduling import CHOICE, Flags, HashTarget, Lower, Scheduler, SlowStart, Upper

__all__ = ["Address", "Balancer", "Check", "Config", "Endpoint", "GatewaySettings", "Interface", "Network"]
__all__ += ["Passive", "Port", "Programs", "Route", "Server", "Service", "ServiceKey", "Set"]
__all__ += ["Sockets", "Tcp", "Timeouts", "Udp"]

ADDRESSES = 16
"""Addresses of a program: what a Welcome has room for (state/attach.py)."""

T = TypeVar("T")
Many = Annotated[tuple[T, ...], NotStrict]
Seconds = Annotated[int, Field(ge=1, le=2_000_000)]
Percent = Annotated[int, Field(ge=1, le=100)]
Buffer = Annotated[int, Field(ge=2304, le=8_388_608)]


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
    black_lists: Many[NameField] = Field(
        default=(), description="sets whose members' TCP and UDP packets end here, whatever they are for"
    )
    defence_tcp_drop: bool = Field(
        default=False, description="TCP to an address of services ends here unless it is for one of their ports"
    )
    defence_udp_drop: bool = Field(default=False, description="the same for UDP")


class Sockets(_Section):
    """TCP and UDP endpoints in the gateway itself. Except for local_ports these are read at start.

    Limits are those of one worker. Tables reserve addresses for as much; memory comes as it is used. No program can
    open a socket in a gateway yet: endpoints serve engines inside Python and C programs so far.
    """

    enabled: bool = Field(default=False, description="the gateway has endpoints; without, it balances and answers ICMP")
    sockets: int = Field(default=65_536, ge=16, le=16_777_215, description="open sockets of each worker")
    datagram_sockets: int = Field(
        default=4_096, ge=1, le=16_777_215, description="of these, sockets of UDP and ICMP echo"
    )
    connections: int = Field(
        default=1_048_576,
        ge=16,
        le=16_777_216,
        description="TCP connections of each worker; those in TIME-WAIT are kept apart",
    )
    buffer_memory: int = Field(
        default=1_073_741_824,
        ge=16_777_216,
        le=68_719_476_736,
        description="octets of each worker for what waits to be sent, acknowledged or read",
    )
    local_ports: PortRangeField = Field(
        default=(32768, 60999), description="ports of sockets that did not ask for one (Linux's ip_local_port_range)"
    )


class Tcp(_Section):
    """How TCP endpoints behave unless a socket asks otherwise; needs `sockets.enabled`. The defaults are Linux's.

    A change holds for new connections; keep-alive, retries, `fin_timeout` and `time_wait` also for open ones whose
    sockets have set none of their own.
    """

    congestion: Literal["cubic", "reno", "bbr"] = Field(default="cubic", description="the congestion control")
    initial_window: int = Field(
        default=10, ge=1, le=1_000, description="segments in flight before the first acknowledgement (RFC 6928)"
    )
    ecn: Literal["off", "on", "passive"] = Field(
        default="passive",
        description="explicit congestion notification (RFC 3168); passive: where the other side asks for it",
    )
    syncookies: Literal["off", "full", "always"] = Field(
        default="full", description="SYN cookies (RFC 4987); full: when a listener's backlog is full"
    )
    fast_open: Literal["off", "client", "server", "both"] = Field(
        default="client", description="who may send data with SYN (RFC 7413), where sockets ask for it"
    )
    timestamps: bool = Field(default=True, description="offer timestamps (RFC 7323)")
    sack: bool = Field(default=True, description="offer selective acknowledgements (RFC 2018)")
    window_scaling: bool = Field(default=True, description="offer windows of more than 65,535 octets (RFC 7323)")
    time_wait: int = Field(
        default=60, ge=1, le=3_600, description="seconds that a closed connection stays in TIME-WAIT"
    )
    time_wait_limit: int = Field(
        default=262_144,
        ge=0,
        le=262_144,
        description="connections in TIME-WAIT of each worker, and no more than connections; the oldest go early",
    )
    mtu_probing: bool = Field(
        default=False, description="search for what a path takes where large segments vanish unreported (RFC 4821)"
    )
    time_wait_reuse: bool = Field(
        default=True, description="a new connection may take the ports of one in TIME-WAIT (RFC 6191)"
    )
    receive_buffer: Buffer = Field(
        default=65_535, description="octets that may wait to be read at first; grows as the application reads"
    )
    receive_max: Buffer = Field(default=6_291_456, description="octets up to which it grows (tcp_rmem)")
    send_buffer: Buffer = Field(
        default=87_040, description="octets that may wait to be acknowledged at first; grows with the window"
    )
    send_max: Buffer = Field(default=4_194_304, description="octets up to which it grows (tcp_wmem)")
    memory_low: Percent = Field(
        default=50, description="percent of `buffer_memory` in use below which memory pressure ends (tcp_mem)"
    )
    memory_pressure: Percent = Field(default=75, description="percent above which buffers no longer grow")
    memory_high: Percent = Field(default=94, description="percent above which nothing more is taken")
    keep_idle: int = Field(default=7_200, ge=1, le=32_767, description="seconds of silence before keep-alive probes")
    keep_interval: int = Field(default=75, ge=1, le=32_767, description="seconds between keep-alive probes")
    keep_count: int = Field(
        default=9, ge=1, le=127, description="keep-alive probes without an answer that end a connection"
    )
    syn_retries: int = Field(default=6, ge=1, le=127, description="times that a SYN is sent again")
    retries: int = Field(
        default=15, ge=1, le=255, description="time-outs in a row that end a connection (tcp_retries2)"
    )
    fin_timeout: int = Field(
        default=60, ge=1, le=2_000_000, description="seconds that a closed socket waits for the other side's FIN"
    )
    challenge_limit: int = Field(
        default=1_000,
        ge=1,
        le=1_000_000_000,
        description="challenge acknowledgements a second of each worker (RFC 5961)",
    )


class Udp(_Section):
    """How UDP endpoints behave unless a socket asks otherwise; needs `sockets.enabled`. Changes are for new sockets."""

    receive_buffer: Buffer = Field(
        default=212_992, description="octets that may wait to be read (net.core.rmem_default)"
    )
    send_buffer: Buffer = Field(default=212_992, description="octets that may wait to be sent (net.core.wmem_default)")


class Programs(_Section):
    """Programs on stacks of their own that attach to the gateway (`pronghorn run`), and share its addresses.

    Except for `enabled` and `most` a change holds for programs that attach from then on.
    """

    enabled: bool = Field(default=False, description="programs may attach")
    most: int = Field(default=64, ge=1, le=192, description="processes that are attached at a time; read at start")
    addresses: Annotated[Many[AddressField], Field(max_length=ADDRESSES)] = Field(
        default=(),
        description="the programs' own addresses, each owned by a port; empty: all of the ports', 16 at most, that are "
        "not in balancer.local_addresses",
    )
    ports: PortRangeField = Field(
        default=(16384, 32767), description="for outgoing connections and unbound datagrams of programs"
    )
    ports_each: int = Field(default=256, ge=1, le=32_768, description="how many of them a process has")
    packets_per_second: int = Field(
        default=0, ge=0, le=1_000_000_000, description="that a process may send; 0: as many as it can"
    )
    octets_per_second: int = Field(
        default=0, ge=0, le=1_000_000_000_000, description="that a process may send; 0: as many as it can"
    )
    flows: int = Field(
        default=0,
        ge=0,
        le=16_777_216,
        description="connections and peers of a process; 0: half of what there is room for",
    )
    privileged_ports: bool = Field(
        default=False,
        description="ports below 1024 are for every program, not for root's and the gateway's user's alone",
    )
    users: Many[NameField] = Field(
        default=(),
        description="whose programs may attach, by name or number; root's and the gateway's user's always may",
    )
    groups: Many[NameField] = Field(default=(), description="programs with one of these as their group may attach too")


class Server(_Section):
    """A real server of a service."""

    address: EndpointField = Field(description="where it answers")
    name: NameField | None = Field(default=None, description="a name for tables and commands; the address otherwise")
    weight: int = Field(default=1, ge=0, le=65_535, description="its share of new connections; 0: no new ones")
    state: Literal["up", "drain"] = Field(default="up", description="drain: keeps its connections, gets no new ones")
    upper_connections: Upper = 0
    lower_connections: Lower = 0
    method: Method | None = Field(default=None, description="how packets reach it; as the service says if absent")
    tunnel: Tunnel | None = Field(default=None, description="the service's if absent")
    check_via: Literal["gateway", "kernel"] | None = Field(
        default=None, description="whose sockets its checks use; what each check says if absent"
    )
    check_port: int | None = Field(
        default=None, ge=1, le=65_535, description="where checks ask that name no port; the server's own if absent"
    )

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
    protocol: Literal["tcp", "udp", "sctp"] = Field(default="tcp", description="the layer-4 protocol")
    address: EndpointField = Field(description="where clients connect; must be owned by a port")
    scheduler: Scheduler = Field(default="wrr", description=CHOICE)
    scheduler_flags: Flags = ()
    hash_target: HashTarget = "address"
    slow_start: SlowStart = 0
    method: Method = Field(default="full-nat", description=MEANING)
    tunnel: Tunnel = Field(default=Tunnel(), description="see below")
    on_no_server: Literal["drop", "reject", "withdraw", "sorry"] = Field(
        default="drop",
        description="what becomes of new connections when no server takes any, or too few do (quorum); reject: TCP "
        "reset, ICMP port unreachable; withdraw: the address, as soon as none of its services has servers, is not "
        "answered for any more; sorry: `sorry_server` gets them",
    )
    sorry_server: EndpointField | None = Field(default=None, description="who answers when no server does")
    quorum: int = Field(
        default=1, ge=1, le=1_000_000_000, description="weights of usable servers that are enough, added up"
    )
    hysteresis: int = Field(
        default=0, ge=0, le=999_999_999, description="how much less than the quorum it may become, and more it must"
    )
    on_up: Many[Text] = Field(default=(), description="a command and its arguments, run when there are enough again")
    on_down: Many[Text] = Field(default=(), description="the same, run when there are not enough")
    unhealthy: Literal["keep", "reset"] = Field(
        default="keep", description="what becomes of the connections of a server that goes down"
    )
    deny: NameField | None = Field(default=None, description="a set: who is in it cannot connect")
    allow: NameField | None = Field(default=None, description="a set: who is not in it cannot connect")
    source_connections: int = Field(
        default=0, ge=0, le=1_000_000, description="connections a second of each source (IPv6: /64); 0: any number"
    )
    source_connections_burst: int = Field(default=10, ge=1, le=1_000_000, description="of these, at one time")
    source_packets: int = Field(
        default=0, ge=0, le=100_000_000, description="packets a second of each source; 0: any number"
    )
    source_packets_burst: int = Field(default=100, ge=1, le=1_000_000, description="of these, at one time")
    quiesced: Fate = Field(
        default="keep", description="what becomes of connections of a server that drains or weighs 0"
    )
    removed: Fate = Field(default="end", description="what becomes of them when it is removed")
    listen: Listens = ()
    keep_port: KeepPort = False
    client_address: ClientAddress = "none"
    syn_proxy: SynProxy = "off"
    syn_proxy_half_open: HalfOpen = 1024
    syn_proxy_defer: Defer = False
    one_packet: bool = Field(default=False, description="schedule every datagram by itself; method direct or a tunnel")
    persistence: Persistence | None = Field(default=None, description="see below")
    timeouts: OwnTimeouts = Field(default=OwnTimeouts(), description="see below")
    limits: ServiceLimits = Field(default=ServiceLimits(), description="see below")
    checks: Many[Check] = Field(default=(), description="see below")
    passive: Passive | None = Field(default=None, description="see below")
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
    sets: Many[Set] = Field(default=(), description="who may, and who may not")
    sockets: Sockets = Field(default=Sockets(), description="endpoints in the gateway itself")
    tcp: Tcp = Field(default=Tcp(), description="how TCP endpoints behave")
    udp: Udp = Field(default=Udp(), description="how UDP endpoints behave")
    programs: Programs = Field(default=Programs(), description="programs that attach")

    def empty(self) -> "Config":
        """The configuration of a gateway that was just started: its own settings, no ports, no services."""
        shared = self.balancer.model_copy(
            update={"local_addresses": (), "black_lists": (), "defence_tcp_drop": False, "defence_udp_drop": False}
        )
        kept = {name: getattr(self, name) for name in ("gateway", "sockets", "tcp", "udp")}
        return Config(balancer=shared, programs=self.programs.model_copy(update={"addresses": ()}), **kept)
