"""What a running engine shows: plain values, filled in by the engine, printed by `pronghorn show` and sent as JSON.

The engine gives counters, which only grow; fields marked `RateOf` are left at 0 and filled in by rates.py from two
looks at the counters. Every field's meaning stands in its annotation, from which docs/reference/show.md is made.
"""

from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from pronghorn.control.health.views import HealthView


class RateOf(NamedTuple):
    """Marks a field as the change per second of another one."""

    counter: str


@dataclass(frozen=True, kw_only=True)
class ServerView:
    address: Annotated[str, "where it answers"]
    name: Annotated[str | None, "its name, if it has one"] = None
    weight: Annotated[int, "share of new connections"]
    state: Annotated[str, "up or drain, as configured"]
    method: Annotated[str, "how packets reach it, as `method` of a service says"] = "full-nat"
    upper_connections: Annotated[int, "connections from which on it gets no new ones; 0: any number"] = 0
    lower_connections: Annotated[int, "connections below which it gets new ones again; 0: three quarters"] = 0
    overloaded: Annotated[bool, "whether its connections keep new ones away"] = False
    health: Annotated[str, "up, down, probation, drain, maint, unchecked (`pronghorn show health`), or sorry"] = (
        "unchecked"
    )
    active: Annotated[int, "connections that are established (UDP: in use)"]
    inactive: Annotated[int, "connections that are opening or closing"]
    connections: Annotated[int, "connections so far"]
    packets_in: Annotated[int, "packets to the server"]
    packets_out: Annotated[int, "packets from the server"]
    octets_in: Annotated[int, "octets to the server"]
    octets_out: Annotated[int, "octets from the server"]
    clients: Annotated[int, "clients that stay with it"] = 0
    refused: Annotated[int, "connections that the server answered by a reset"] = 0
    unanswered: Annotated[int, "connections whose SYN it did not answer"] = 0
    connection_rate: Annotated[float, "new connections per second", RateOf("connections")] = 0.0
    packet_rate_in: Annotated[float, "packets per second to the server", RateOf("packets_in")] = 0.0
    packet_rate_out: Annotated[float, "packets per second from the server", RateOf("packets_out")] = 0.0
    octet_rate_in: Annotated[float, "octets per second to the server", RateOf("octets_in")] = 0.0
    octet_rate_out: Annotated[float, "octets per second from the server", RateOf("octets_out")] = 0.0

    @property
    def key(self) -> str:
        return self.address


@dataclass(frozen=True, kw_only=True)
class ServiceView:
    name: Annotated[str, "the service's name"]
    protocol: Annotated[str, "tcp, udp or sctp"]
    address: Annotated[str, "where clients connect"]
    scheduler: Annotated[str, "how servers are chosen"]
    scheduler_flags: Annotated[tuple[str, ...], "what its scheduler was told"] = ()
    hash_target: Annotated[str, "what conhash hashes"] = "address"
    slow_start: Annotated[int, "seconds in which a server that comes gets to its whole weight; 0: at once"] = 0
    method: Annotated[str, "how packets reach the servers that name no method"]
    no_server: Annotated[int, "packets refused: no server takes new connections"] = 0
    no_port: Annotated[int, "packets refused: no local port was free"] = 0
    no_conn: Annotated[int, "packets refused: TCP without a connection and no SYN"] = 0
    no_room: Annotated[int, "packets refused: the connection table was full"] = 0
    conns: Annotated[int, "connections now"] = 0
    limit_connections: Annotated[int, "connections refused: it had as many as it may"] = 0
    limit_per_client: Annotated[int, "connections refused: their clients had as many as they may"] = 0
    limit_connection_rate: Annotated[int, "connections refused: more a second than it may have"] = 0
    limit_packet_rate: Annotated[int, "packets dropped: more a second than it may have"] = 0
    limit_octet_rate: Annotated[int, "packets dropped: more octets a second than it may have"] = 0
    clients: Annotated[int, "clients that stay with its servers (`pronghorn show persistence`)"] = 0
    clients_unknown: Annotated[int, "connections of clients that could not be remembered"] = 0
    addresses_told: Annotated[int, "segments that told a server its client's address (`client_address`)"] = 0
    addresses_no_room: Annotated[int, "segments that had no room for it"] = 0
    addresses_too_long: Annotated[int, "segments that would have been too long with it"] = 0
    half_open: Annotated[int, "connections that are not open yet"] = 0
    challenged: Annotated[int, "SYNs that the SYN proxy answered with a cookie"] = 0
    cookies_good: Annotated[int, "connections opened by a cookie that came back"] = 0
    cookies_bad: Annotated[int, "TCP segments of no connection that brought no good cookie"] = 0
    up: Annotated[bool, "whether it has servers enough (its quorum)"] = True
    servers: Annotated[tuple[ServerView, ...], "its servers"]

    @property
    def key(self) -> str:
        return f"{self.protocol} {self.address}"


@dataclass(frozen=True, kw_only=True)
class ConnView:
    family: Annotated[int, "4 or 6"]
    protocol: Annotated[str, "tcp, udp or sctp"]
    client: Annotated[str, "the client's endpoint"]
    virtual: Annotated[str, "the service's endpoint"]
    local: Annotated[str | None, "the gateway's endpoint towards the server; none where the method has no such"]
    server: Annotated[str, "the server's endpoint"]
    state: Annotated[str, "TCP state, or udp"]
    worker: Annotated[int, "the worker that owns it"]
    age: Annotated[float, "seconds since its first packet"]
    expires: Annotated[float, "seconds until it is forgotten if nothing comes"]
    packets_in: Annotated[int, "packets to the server"] = 0
    packets_out: Annotated[int, "packets from the server"] = 0
    octets_in: Annotated[int, "octets to the server"] = 0
    octets_out: Annotated[int, "octets from the server"] = 0


@dataclass(frozen=True, kw_only=True)
class ClientView:
    service: Annotated[str, "the service that chose the server"]
    group: Annotated[str | None, "the group of services that share the client"]
    client: Annotated[str, "its address, as far as it counts"]
    server: Annotated[str, "where its connections go"]
    conns: Annotated[int, "its connections now"]
    connections: Annotated[int, "its connections so far"]
    expires: Annotated[float, "seconds until it is forgotten if no connection comes"]
    worker: Annotated[int, "the worker that remembers it"]


@dataclass(frozen=True, kw_only=True)
class PortView:
    name: Annotated[str, "the port's name"]
    device: Annotated[str, "driver and device"]
    link: Annotated[str, "up, down, or gone: the device was deleted"]
    mac: Annotated[str, "hardware address"]
    mtu: Annotated[int, "octets in a layer-3 packet"]
    queues: Annotated[int, "receive queues"]
    addresses: Annotated[tuple[str, ...], "addresses with their prefix lengths"]
    rx_packets: Annotated[int, "packets received"]
    rx_octets: Annotated[int, "octets received"]
    rx_drops: Annotated[int, "packets the device dropped before the gateway saw them"]
    tx_packets: Annotated[int, "packets sent"]
    tx_octets: Annotated[int, "octets sent"]
    tx_drops: Annotated[int, "packets the device did not take"]
    rx_packet_rate: Annotated[float, "packets received per second", RateOf("rx_packets")] = 0.0
    rx_octet_rate: Annotated[float, "octets received per second", RateOf("rx_octets")] = 0.0
    tx_packet_rate: Annotated[float, "packets sent per second", RateOf("tx_packets")] = 0.0
    tx_octet_rate: Annotated[float, "octets sent per second", RateOf("tx_octets")] = 0.0
    facts: Annotated[dict[str, int | str], "what the driver says of itself"] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    index: Annotated[int, "the worker's number"]
    core: Annotated[int | None, "the core it is pinned to"]
    busy: Annotated[float, "seconds spent on turns that found work"]
    turns: Annotated[int, "turns of its loop"]
    packets: Annotated[int, "packets handled"]
    conns: Annotated[int, "balanced connections it owns"]
    pool_size: Annotated[int, "packet buffers"]
    pool_free: Annotated[int, "packet buffers free now"]
    pool_low: Annotated[int, "fewest packet buffers that were ever free"]
    load: Annotated[float, "share of the time that was busy, 0..1", RateOf("busy")] = 0.0
    turn_rate: Annotated[float, "turns per second", RateOf("turns")] = 0.0
    packet_rate: Annotated[float, "packets per second", RateOf("packets")] = 0.0

    @property
    def key(self) -> str:
        return str(self.index)


@dataclass(frozen=True, kw_only=True)
class NeighbourView:
    address: Annotated[str, "the neighbour's address"]
    mac: Annotated[str | None, "its hardware address, if known"]
    state: Annotated[str, "reachable, stale, delay, probe, incomplete (RFC 4861 section 7.3.2), failed or permanent"]
    port: Annotated[str, "where it is"]
    age: Annotated[float | None, "seconds since it was last confirmed, if it ever was"]


@dataclass(frozen=True, kw_only=True)
class RouteView:
    prefix: Annotated[str, "the destinations"]
    via: Annotated[str | None, "the next router; none for a port's own network"]
    port: Annotated[str, "the way out"]
    origin: Annotated[str, "address (a port's own network) or route (configured)"]


@dataclass(frozen=True, kw_only=True)
class DropView:
    verdict: Annotated[str, "the verdict's name"]
    severity: Annotated[str, "policy (refused on purpose), input (the sender's doing), resource (no room), defect"]
    sentence: Annotated[str, "what it means"]
    count: Annotated[int, "packets that ended so"]
    rate: Annotated[float, "packets per second", RateOf("count")] = 0.0

    @property
    def key(self) -> str:
        return self.verdict


@dataclass(frozen=True, kw_only=True)
class TcpView:
    family: Annotated[int, "of its packets, 4 or 6; of a listening socket also 10: both"]
    local: Annotated[str, "this end"]
    remote: Annotated[str | None, "the other end; none of a listening socket"]
    state: Annotated[str, "as ss(8) calls it"]
    worker: Annotated[int, "the worker that owns it"]
    receive_queue: Annotated[int, "octets that wait to be read; listening: connections that wait to be accepted"]
    send_queue: Annotated[int, "octets that are not acknowledged; listening: how many connections may wait"]
    half_open: Annotated[int, "listening: connections whose handshake is not over"] = 0
    congestion: Annotated[str | None, "the congestion control"] = None
    recovery: Annotated[str | None, "open, disorder, cwr, recovery or loss: Linux's tcpi_ca_state"] = None
    cwnd: Annotated[int, "congestion window, octets"] = 0
    ssthresh: Annotated[int | None, "slow-start threshold, octets; none before the first reduction"] = None
    in_flight: Annotated[int, "octets on their way (RFC 6675's pipe)"] = 0
    sacked: Annotated[int, "octets in flight that have arrived out of order"] = 0
    lost: Annotated[int, "octets in flight that are considered lost"] = 0
    mss: Annotated[int, "octets of payload in a full segment"] = 0
    srtt: Annotated[float, "smoothed round-trip time, ms"] = 0.0
    rttvar: Annotated[float, "its mean deviation, ms"] = 0.0
    min_rtt: Annotated[float, "least round-trip time of the last minutes, ms"] = 0.0
    rto: Annotated[float, "retransmission time-out, back-off included, ms"] = 0.0
    backoff: Annotated[int, "time-outs in a row"] = 0
    retransmits: Annotated[int, "segments sent again so far"] = 0
    send_window: Annotated[int, "octets that the other side takes"] = 0
    receive_window: Annotated[int, "octets that the other side may still send"] = 0
    receive_limit: Annotated[int, "octets that may wait to be read; grows as the application reads"] = 0
    pacing_rate: Annotated[int | None, "octets per second; none: not paced"] = None
    timer: Annotated[
        str | None, "what is due next: on (retransmission), probe, reorder, persist, ack, alarm, time-wait"
    ] = None
    timer_left: Annotated[float, "seconds until then"] = 0.0
    options: Annotated[tuple[str, ...], "what both sides agreed on: ts, sack, wscale, ecn, fastopen"] = ()
    octets_in: Annotated[int, "octets received in order"] = 0
    octets_out: Annotated[int, "octets acknowledged by the other side; SYN and FIN count, as in Linux"] = 0
    segments_in: Annotated[int, "segments received"] = 0
    segments_out: Annotated[int, "segments sent"] = 0


@dataclass(frozen=True, kw_only=True)
class UdpView:
    protocol: Annotated[str, "udp, or icmp and icmpv6 (echo sockets: their port is the identifier)"]
    family: Annotated[int, "4, 6 or 10: both"]
    local: Annotated[str, "this end"]
    remote: Annotated[str | None, "the other end of a connected socket"]
    worker: Annotated[int, "the worker that owns it"]
    receive_queue: Annotated[int, "octets that wait to be read, overhead included"]
    waiting: Annotated[int, "datagrams that wait to be read"]
    receive_limit: Annotated[int, "octets that may wait to be read"]
    send_limit: Annotated[int, "octets that may wait to be sent"]
    drops: Annotated[int, "datagrams that found no room"]


@dataclass(frozen=True, kw_only=True)
class SnmpView:
    group: Annotated[str, "Ip, Icmp, Icmp6, Tcp, Udp or TcpExt"]
    name: Annotated[str, "as in Linux's /proc/net/snmp and /proc/net/netstat"]
    value: Annotated[int, "the counter; RtoAlgorithm, RtoMin, RtoMax, MaxConn and CurrEstab are none"]
    rate: Annotated[float, "its growth per second", RateOf("value")] = 0.0

    @property
    def key(self) -> str:
        return self.group + self.name


@dataclass(frozen=True, kw_only=True)
class ProgramView:
    number: Annotated[int, "the gateway's number for it"]
    name: Annotated[str, "the program's, as it says itself"]
    pid: Annotated[int, "its process"]
    user: Annotated[str, "whose it is"]
    parent: Annotated[int, "the attached process that it has come from by fork; 0: none"]
    age: Annotated[float, "seconds since it attached"]
    linked: Annotated[bool, "frames pass both ways"]
    addresses: Annotated[tuple[str, ...], "its own addresses"]
    ports: Annotated[str, "its ports for outgoing connections"]
    claims: Annotated[tuple[str, ...], "what it listens at or has bound"]
    flows: Annotated[int, "its connections and peers now"]
    packets_in: Annotated[int, "packets that it sent"]
    packets_out: Annotated[int, "packets that were sent to it"]
    octets_in: Annotated[int, "octets that it sent"]
    octets_out: Annotated[int, "octets that were sent to it"]
    dropped: Annotated[int, "of its packets, and of those for it, dropped ones"]
    drops: Annotated[dict[str, int], "these by verdict"]
    broken: Annotated[int, "times that it broke the rules of the link"]
    packet_rate_in: Annotated[float, "packets per second that it sends", RateOf("packets_in")] = 0.0
    packet_rate_out: Annotated[float, "packets per second to it", RateOf("packets_out")] = 0.0
    octet_rate_in: Annotated[float, "octets per second that it sends", RateOf("octets_in")] = 0.0
    octet_rate_out: Annotated[float, "octets per second to it", RateOf("octets_out")] = 0.0
    drop_rate: Annotated[float, "dropped packets per second", RateOf("dropped")] = 0.0

    @property
    def key(self) -> str:
        return f"{self.number} {self.pid}"


@dataclass(frozen=True, kw_only=True)
class EntryView:
    entry: Annotated[str, "what it is"]
    timeout: Annotated[int | None, "seconds that are left; null: it stays"] = None
    comment: Annotated[str, "what was said about it"] = ""
    nomatch: Annotated[bool, "an exception: it says that this is not in the set"] = False
    packets: Annotated[int, "packets that it has decided about"] = 0
    octets: Annotated[int, "octets of these"] = 0


@dataclass(frozen=True, kw_only=True)
class SetView:
    name: Annotated[str, "the set's name"]
    kind: Annotated[str, "what its entries are"]
    entries: Annotated[int, "how many there are"]
    max_entries: Annotated[int, "how many there can be"]
    timeout: Annotated[int, "seconds that entries last which say nothing else; 0: for ever"] = 0
    used_by: Annotated[tuple[str, ...], "who asks it"] = ()
    packets: Annotated[int, "packets that its entries have decided about"] = 0
    octets: Annotated[int, "octets of these"] = 0
    packet_rate: Annotated[float, "of these packets, per second", RateOf("packets")] = 0.0

    @property
    def key(self) -> str:
        return self.name


KINDS: dict[str, type] = {
    "services": ServiceView,
    "conns": ConnView,
    "persistence": ClientView,
    "ports": PortView,
    "workers": WorkerView,
    "neighbours": NeighbourView,
    "routes": RouteView,
    "drops": DropView,
    "tcp": TcpView,
    "udp": UdpView,
    "snmp": SnmpView,
    "programs": ProgramView,
    "health": HealthView,
    "sets": SetView,
}
