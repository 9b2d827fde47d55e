"""Clients that stay with their servers, as views (native_options.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pronghorn.balancer.option_tables import GROUPS
from pronghorn.balancer.show_clients import client_rows
from pronghorn.balancer.tables import Balancer
from pronghorn.control.endpoint import Endpoint
from pronghorn.control.model import ServiceKey
from pronghorn.control.views import ClientView
from pronghorn.state.worker import Worker


def clients(
    workers: Sequence[Worker], names: Mapping[ServiceKey, str], groups: Mapping[int, str], limit: int
) -> list[ClientView]:
    """At most `limit`, worker by worker."""
    found: list[ClientView] = []
    for worker in workers:
        for row in client_rows(Balancer(worker.balancer), worker, limit - len(found)):
            key = ServiceKey((row.protocol, Endpoint(*row.service)))
            view = ClientView(
                service=names.get(key, str(key)),
                group=groups.get(row.group - GROUPS),
                client=str(row.client),
                server=str(Endpoint(*row.server)),
                conns=row.conns,
                connections=row.connections,
                expires=row.expires,
                worker=row.worker,
            )
            found.append(view)
    return found
