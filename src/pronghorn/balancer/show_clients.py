"""Rows for people: clients that stay with their servers. Plain Python; may be read while the worker runs."""

from __future__ import annotations

from dataclasses import dataclass

from pronghorn.balancer.addresses import NAMES, Address, from_raw, raw_port
from pronghorn.balancer.option_tables import TEMPLATE_LIVE
from pronghorn.balancer.show import Endpoint
from pronghorn.balancer.tables import TICK, Balancer
from pronghorn.balancer.templates import next_template
from pronghorn.compiled import sequence
from pronghorn.state.worker import Worker


@dataclass(frozen=True)
class ClientRow:
    """A client, masked, and the server that it goes to."""

    protocol: str  # of the service that chose the server
    service: Endpoint
    group: int  # Options.group
    client: Address
    server: Endpoint
    conns: int
    connections: int  # so far
    expires: float  # seconds until it is forgotten if no connection comes
    worker: int


def client_rows(balancer: Balancer, worker: Worker, limit: int) -> list[ClientRow]:
    """At most `limit` clients."""
    rows: list[ClientRow] = []
    number = next_template(balancer, 0)
    while number >= 0 and len(rows) < limit:
        row = _row(balancer, worker, number)
        if row is not None:
            rows.append(row)
        number = next_template(balancer, number + 1)
    return rows


def _row(balancer: Balancer, worker: Worker, number: int) -> ClientRow | None:
    """None when it has just ended."""
    template = balancer.templates[number]
    service = balancer.services[template.service]
    ports = service.ports
    if ports == 0:
        return None
    left = template.timeout - sequence.difference(worker.now >> TICK & 0xFFFFFFFF, template.seen)
    family = 4 if template.server_hi == 0 and template.server_lo >> 32 == 0 else 6
    row = ClientRow(
        protocol=NAMES.get(ports >> 32 & 0xFF, "tcp"),
        service=(from_raw(ports >> 40, service.hi, service.lo), raw_port(ports >> 16 & 0xFFFF)),
        group=template.group,
        client=from_raw(template.family, template.hi, template.lo),
        server=(from_raw(family, template.server_hi, template.server_lo), raw_port(template.server_port)),
        conns=template.conns,
        connections=template.connections,
        expires=max(0, left << TICK) / 1e9,
        worker=worker.index,
    )
    return row if template.state == TEMPLATE_LIVE and service.ports == ports else None
