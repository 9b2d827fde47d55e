"""Rows for people: services, servers and connections of one worker. Plain Python; may be read while the worker runs.

Counters of several workers add up; `connections` is read in pages, for there may be millions:

    rows, start = connections(balancer, worker, 0, 100)       # start is -1 after the last page
"""

from __future__ import annotations

from dataclasses import dataclass

from pronghorn.balancer.addresses import NAMES, Address, ends, from_raw, raw_port
from pronghorn.balancer.create import TIMEOUTS
from pronghorn.balancer.persistence import count_clients
from pronghorn.balancer.schedulers import FLAGS, HASH_TARGETS, SCHEDULERS
from pronghorn.balancer.tables import (
    METHODS,
    REPLY,
    REQUEST,
    SERVER_DRAIN,
    TICK,
    Balancer,
    Conn,
    Server,
    server_of,
)
from pronghorn.balancer.timers import idle_ticks
from pronghorn.compiled import entry
from pronghorn.state.worker import Worker

STATES = ("free", *TIMEOUTS)
"""Names of ConnRecord.state."""

_METHODS = {number: name for name, number in METHODS.items()}
_TARGETS = {number: name for name, number in HASH_TARGETS.items()}
_SCHEDULERS = {number: name for name, number in SCHEDULERS.items()}

Endpoint = tuple[Address, int]


@dataclass(frozen=True)
class ServerRow:
    """A server and its counters; `in` is towards the server."""

    index: int
    address: Endpoint
    weight: int
    state: str  # up or drain
    method: str
    upper: int  # connections from which on it is overloaded, and below which it is so no longer; 0: none
    lower: int
    overloaded: bool  # in the eyes of this worker
    active: int  # connections that are established, or UDP
    inactive: int  # opening or closing
    connections: int  # so far
    clients: int  # that stay with it
    refused: int  # of these, answered by a reset
    unanswered: int  # and not at all
    packets_in: int
    packets_out: int
    octets_in: int
    octets_out: int


@dataclass(frozen=True)
class ServiceRow:
    """A service with its servers, and what it refused."""

    index: int
    protocol: str
    address: Endpoint
    scheduler: str
    flags: tuple[str, ...]
    hash_target: str
    slow_start: int  # seconds
    no_server: int
    no_port: int
    no_conn: int
    no_room: int
    conns: int
    limit_connections: int  # refused, and so on (limits.py)
    limit_per_client: int
    limit_connection_rate: int
    limit_packet_rate: int
    limit_octet_rate: int
    clients_unknown: int
    addresses_told: int  # to servers, and so on (forwarding/toa.py)
    addresses_no_room: int
    addresses_too_long: int
    half_open: int
    challenged: int  # by the SYN proxy, and so on (syn_proxy.py)
    cookies_good: int
    cookies_bad: int
    servers: tuple[ServerRow, ...]


@dataclass(frozen=True)
class ConnRow:
    """A connection: who talks to whom, and for how long it will be kept."""

    family: int
    protocol: str
    client: Endpoint
    virtual: Endpoint
    local: Endpoint | None  # what the server sees; None where it answers the client itself
    server: Endpoint
    state: str
    worker: int
    age: float  # seconds
    expires: float  # seconds until it is forgotten if nothing comes
    packets_in: int
    packets_out: int
    octets_in: int
    octets_out: int


def services(balancer: Balancer) -> list[ServiceRow]:
    """All services."""
    rows = []
    count_clients(balancer)
    for number in range(balancer.service_limit):
        service = balancer.services[number]
        ports = service.ports
        if ports == 0:
            continue
        limits = balancer.limits[number]
        members = [service.members[place] for place in range(service.member_count)]
        rows.append(
            ServiceRow(
                index=number,
                protocol=NAMES[ports >> 32 & 0xFF],
                address=(from_raw(ports >> 40, service.hi, service.lo), raw_port(ports >> 16 & 0xFFFF)),
                scheduler=_SCHEDULERS[service.scheduler],
                flags=tuple(flag for flag, bit in FLAGS.items() if service.options & bit),
                hash_target=_TARGETS[service.hash_target],
                slow_start=service.slow_start,
                no_server=service.no_server,
                no_port=service.no_port,
                no_conn=service.no_conn,
                no_room=service.no_room,
                conns=service.conns,
                limit_connections=limits.full,
                limit_per_client=limits.crowded,
                limit_connection_rate=limits.connections.refused,
                limit_packet_rate=limits.packets_in.refused + limits.packets_out.refused,
                limit_octet_rate=limits.octets_in.refused + limits.octets_out.refused,
                clients_unknown=balancer.options[number].templates_full,
                addresses_told=balancer.options[number].told,
                addresses_no_room=balancer.options[number].no_room,
                addresses_too_long=balancer.options[number].too_long,
                half_open=service.half_open,
                challenged=balancer.proxies[number].challenged,
                cookies_good=balancer.proxies[number].opened,
                cookies_bad=balancer.proxies[number].bad,
                servers=tuple(_server(balancer, member) for member in members),
            )
        )
    return rows


def _server(balancer: Balancer, index: int) -> ServerRow:
    server = balancer.servers[index]
    active, conns = server.active, server.conns
    return ServerRow(
        index=index,
        address=(from_raw(server.family, server.hi, server.lo), raw_port(server.port)),
        weight=server.weight,
        method=_METHODS[server.method],
        upper=server.upper,
        lower=server.lower,
        overloaded=server.overloaded != 0,
        state="drain" if server.state == SERVER_DRAIN else "up",
        active=active,
        inactive=max(0, conns - active),
        connections=server.connections,
        clients=balancer.server_clients[index],
        refused=server.refused,
        unanswered=server.unanswered,
        packets_in=server.packets[0],
        packets_out=server.packets[1],
        octets_in=server.octets[0],
        octets_out=server.octets[1],
    )


@entry
def next_conn(balancer: Balancer, start: int) -> int:
    """The first connection in use from `start` on, or -1."""
    number, used_again = start, balancer.conn_limit - balancer.fresh[1]
    while number < balancer.conn_limit:
        if balancer.fresh[0] <= number < used_again:
            number = used_again  # nobody has ever been there
        elif balancer.records[number].state != 0:
            return number
        else:
            number += 1
    return -1


def connections(balancer: Balancer, worker: Worker, start: int, limit: int) -> tuple[list[ConnRow], int]:
    """At most `limit` connections from the record `start` on, and where to go on, -1 at the end."""
    rows: list[ConnRow] = []
    number = next_conn(balancer, start)
    while number >= 0 and len(rows) < limit:
        row = connection(balancer, worker, number)
        if row is not None:
            rows.append(row)
        number = next_conn(balancer, number + 1)
    return rows, number


def connection(balancer: Balancer, worker: Worker, number: int) -> ConnRow | None:
    """The connection of that record, or None when it has just ended."""
    conn, record = balancer.conns[number], balancer.records[number]
    state, tick, key = record.state, worker.now >> TICK, conn.keys[REQUEST]
    server = balancer.servers[server_of(conn)]
    client, virtual = ends(balancer, 2 * number + REQUEST)
    left = balancer.services[server.service].timeouts[state] - idle_ticks(balancer, number, tick)
    row = ConnRow(
        family=key >> 40,
        protocol=NAMES.get(key >> 32 & 0xFF, "tcp"),
        client=client,
        virtual=virtual,
        local=ends(balancer, 2 * number + REPLY)[1] if conn.keys[REPLY] else None,
        server=(from_raw(server.family, server.hi, server.lo), _server_port(conn, server)),
        state=STATES[state],
        worker=worker.index,
        age=((tick - record.created & 0xFFFFFFFF) << TICK) / 1e9,
        expires=max(0, left << TICK) / 1e9,
        packets_in=conn.packets[REQUEST] | record.packets_high[REQUEST] << 32,
        packets_out=conn.packets[REPLY] | record.packets_high[REPLY] << 32,
        octets_in=conn.octets[REQUEST] | record.octets_high[REQUEST] << 32,
        octets_out=conn.octets[REPLY] | record.octets_high[REPLY] << 32,
    )
    return row if state != 0 and key == conn.keys[REQUEST] != 0 and record.state == state else None


def _server_port(conn: Conn, server: Server) -> int:
    """Where the server gets the connection."""
    return raw_port(conn.keys[REPLY] & 0xFFFF) if conn.keys[REPLY] else raw_port(server.port)
