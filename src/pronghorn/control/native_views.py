"""What the engine of this build shows: rows of its rooms' tables, added up over the workers, as views.

Read from the control thread while the workers run: numbers of one row may be some packets apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pronghorn.balancer import show
from pronghorn.balancer.tables import Balancer
from pronghorn.control.endpoint import Endpoint
from pronghorn.control.model import Port, ServiceKey
from pronghorn.control.reach import Reach
from pronghorn.control.views import (
    ConnView,
    DropView,
    NeighbourView,
    PortView,
    RouteView,
    ServerView,
    ServiceView,
    WorkerView,
)
from pronghorn.engine.engine import Engine
from pronghorn.engine.loop import Loop
from pronghorn.memory.pool import pool_free_count
from pronghorn.net.show import neighbour_rows, route_rows
from pronghorn.state.verdicts import VERDICTS, Severity
from pronghorn.state.worker import Worker

_UNSEEN = ("ring_full", "rx_dropped", "rx_ring_full")
"""What kernels call frames that a port lost before its driver could count them (Driver.statistics)."""

BEST_FIRST = ("permanent", "reachable", "delay", "probe", "stale", "incomplete", "failed")
"""States of a neighbour."""

_COUNTERS = (
    "active",
    "inactive",
    "connections",
    "clients",
    "refused",
    "unanswered",
    "packets_in",
    "packets_out",
    "octets_in",
    "octets_out",
)
_REFUSALS = (
    "no_server",
    "no_port",
    "no_conn",
    "no_room",
    "conns",
    "limit_connections",
    "limit_per_client",
    "limit_connection_rate",
    "limit_packet_rate",
    "limit_octet_rate",
    "clients_unknown",
    "addresses_told",
    "addresses_no_room",
    "addresses_too_long",
    "half_open",
    "challenged",
    "cookies_good",
    "cookies_bad",
)


def services(
    workers: Sequence[Worker],
    names: Mapping[ServiceKey, str],
    server_names: Mapping[tuple[ServiceKey, Endpoint], str | None],
    reaches: Mapping[ServiceKey, Reach],
) -> list[ServiceView]:
    """In the order in which they were added."""
    rows: dict[ServiceKey, list[show.ServiceRow]] = {key: [] for key in names}
    for worker in workers:
        for row in show.services(Balancer(worker.balancer)):
            rows.setdefault(ServiceKey((row.protocol, Endpoint(*row.address))), []).append(row)
    return [
        ServiceView(
            name=names[key],
            protocol=key[0],
            address=str(key[1]),
            scheduler=same[0].scheduler,
            scheduler_flags=same[0].flags,
            hash_target=same[0].hash_target,
            slow_start=same[0].slow_start,
            method=reaches[key].method,
            clients=sum(server.clients for row in same for server in row.servers),
            servers=_servers(key, same, server_names),
            **{name: sum(getattr(row, name) for row in same) for name in _REFUSALS},
        )
        for key, same in rows.items()
        if same and key in names
    ]


def _servers(
    key: ServiceKey,
    rows: Iterable[show.ServiceRow],
    names: Mapping[tuple[ServiceKey, Endpoint], str | None],
) -> tuple[ServerView, ...]:
    found: dict[Endpoint, list[show.ServerRow]] = {}
    for row in rows:
        for server in row.servers:
            found.setdefault(Endpoint(*server.address), []).append(server)
    return tuple(
        ServerView(
            address=str(address),
            name=names.get((key, address)),
            weight=same[0].weight,
            state=same[0].state,
            method=same[0].method,
            upper_connections=same[0].upper,
            lower_connections=same[0].lower,
            overloaded=_is_overloaded(same),
            **{name: sum(getattr(row, name) for row in same) for name in _COUNTERS},
        )
        for address, same in found.items()
    )


def _is_overloaded(rows: Sequence[show.ServerRow]) -> bool:
    """What balancer/thresholds.py makes of the connections of all workers. A worker takes its mark off when it next
    looks."""
    upper, lower, total = rows[0].upper, rows[0].lower, sum(row.active + row.inactive for row in rows)
    if upper == 0 or not any(row.overloaded for row in rows):
        return upper != 0 and total >= upper
    return total >= lower if lower else total * 4 >= upper * 3


def conns(workers: Iterable[Worker], limit: int) -> list[ConnView]:
    """At most `limit`, worker by worker."""
    found: list[ConnView] = []
    for worker in workers:
        start = 0
        while start >= 0 and len(found) < limit:
            rows, start = show.connections(Balancer(worker.balancer), worker, start, limit - len(found))
            found += [_conn(row) for row in rows]
    return found


def _conn(row: show.ConnRow) -> ConnView:
    return ConnView(
        family=row.family,
        protocol=row.protocol,
        client=str(Endpoint(*row.client)),
        virtual=str(Endpoint(*row.virtual)),
        local=str(Endpoint(*row.local)) if row.local else None,
        server=str(Endpoint(*row.server)),
        state=row.state,
        worker=row.worker,
        age=row.age,
        expires=row.expires,
        packets_in=row.packets_in,
        packets_out=row.packets_out,
        octets_in=row.octets_in,
        octets_out=row.octets_out,
    )


def port(engine: Engine, index: int, model: Port, addresses: Sequence[str], link: str) -> PortView:
    device = engine.ports[index]
    queues = [engine.workers[number].queues[index] for number in range(engine.worker_count)]
    facts = engine.drivers[index].statistics()
    unseen = sum(int(facts.get(name, 0)) for name in _UNSEEN)
    return PortView(
        name=model.name,
        device=model.device,
        link=link,
        mac=_mac(device.mac),
        mtu=model.mtu or device.mtu,
        queues=device.queues,
        addresses=tuple(addresses),
        rx_packets=sum(queue.rx_packets for queue in queues),
        rx_octets=sum(queue.rx_octets for queue in queues),
        rx_drops=sum(queue.rx_errors for queue in queues) + unseen,
        tx_packets=sum(queue.tx_packets for queue in queues),
        tx_octets=sum(queue.tx_octets for queue in queues),
        tx_drops=sum(queue.tx_full for queue in queues),
        facts=dict(facts),
    )


def workers(engine: Engine, cores: Sequence[int]) -> list[WorkerView]:
    free = pool_free_count(engine.pool)
    found = []
    for index, core in enumerate(cores):
        worker = engine.workers[index]
        found.append(
            WorkerView(
                index=index,
                core=core,
                busy=worker.busy_cycles * Loop(worker.loop).scale / 2**32 / 1e9,
                turns=worker.turns,
                packets=worker.received,
                conns=Balancer(worker.balancer).count,
                pool_size=engine.packet_count,
                pool_free=free,
                pool_low=engine.pool.low,
            )
        )
    return found


def neighbours(workers: Iterable[Worker], port_names: Mapping[int, str]) -> list[NeighbourView]:
    """Workers learn by themselves; the best of what they know of a neighbour is shown."""
    found: dict[tuple[str, str], NeighbourView] = {}
    for worker in workers:
        for row in neighbour_rows(worker):
            view = NeighbourView(
                address=str(row.address),
                mac=_mac(row.mac) if row.mac is not None else None,
                state=row.state,
                port=port_names.get(row.interface, "?"),
                age=row.age,
            )
            known = found.get((view.port, view.address))
            if known is None or BEST_FIRST.index(view.state) < BEST_FIRST.index(known.state):
                found[view.port, view.address] = view
    return list(found.values())


def routes(worker: Worker, port_names: Mapping[int, str]) -> list[RouteView]:
    """All workers have the same."""
    return [
        RouteView(
            prefix=str(row.prefix),
            via=str(row.via) if row.via is not None else None,
            port=port_names.get(row.interface, "?"),
            origin=row.origin,
        )
        for row in route_rows(worker)
    ]


def drops(workers: Sequence[Worker]) -> list[DropView]:
    """Every verdict that is no packet's purpose and was counted."""
    counts = {number: sum(worker.verdicts[number] for worker in workers) for number in VERDICTS}
    return [
        DropView(
            verdict=VERDICTS[number].name,
            severity=str(VERDICTS[number].severity),
            sentence=VERDICTS[number].sentence,
            count=count,
        )
        for number, count in counts.items()
        if count and VERDICTS[number].severity != Severity.NORMAL
    ]


def _mac(number: int) -> str:
    return number.to_bytes(6, "big").hex(":")
