"""Health as views."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pronghorn.control.health.track import Track
from pronghorn.control.health.views import CheckView, HealthView

if TYPE_CHECKING:
    from pronghorn.control.health.manager import Entry, Health
    from pronghorn.control.health.roster import Real, Virtual
    from pronghorn.control.views import ServiceView


def views(health: Health, now: float) -> list[HealthView]:
    """Every server, in the order of the configuration."""
    return [
        _server(health, virtual, real, now)
        for virtual in health.plane.services.values()
        for real in virtual.servers.values()
    ]


def _server(health: Health, virtual: Virtual, real: Real, now: float) -> HealthView:
    service, address = virtual.service, real.server.address
    entries = [health.entries[service.key, address, check.label] for check in service.checks]
    note = next((entry.track.words["note"] for entry in entries if "note" in entry.track.words), None)
    return HealthView(
        service=service.name,
        server=real.server.label,
        address=str(address),
        state=health.state_of(virtual, real),
        age=max(now - real.since, 0.0) if real.since else None,
        reason=real.reason or note,
        weight=real.server.weight,
        share=real.given.weight if real.given.state == "up" else 0,
        ups=real.ups,
        downs=real.downs,
        passive_downs=real.watch.downs if real.watch is not None else 0,
        service_up=virtual.enough,
        withdrawn=service.address.address in health.plane.withdrawn,
        checks=tuple(_check(entry, entry.track, now) for entry in entries),
    )


def _check(entry: Entry, track: Track, now: float) -> CheckView:
    check = entry.order.check
    return CheckView(
        name=check.label,
        type=check.type,
        via=entry.way,
        port=entry.order.port,
        state=("up" if track.up else "down") if track.checked else "new",
        age=max(now - track.since, 0.0),
        ok=track.ok,
        failed=track.failed,
        streak=track.streak,
        ups=track.ups,
        downs=track.downs,
        last=max(now - track.checked, 0.0) if track.checked else None,
        took=track.took * 1e3,
        error=track.error or None,
    )


def services(health: Health, shown: Sequence[ServiceView]) -> list[ServiceView]:
    """The engine's services, with configured weights and states, and what is known of their servers' health."""
    found = {str(virtual.service.key): virtual for virtual in health.plane.services.values()}
    return [_service(health, found.get(view.key), view) for view in shown]


def _service(health: Health, virtual: Virtual | None, view: ServiceView) -> ServiceView:
    if virtual is None:
        return view
    servers = []
    known = {str(address): real for address, real in virtual.servers.items()}
    for server in view.servers:
        real = known.get(server.address)
        if real is None:
            sorry = virtual.sorry is not None and str(virtual.sorry.address) == server.address
            servers.append(dataclasses.replace(server, health="sorry" if sorry else "unchecked"))
            continue
        weight, state = real.server.weight, real.server.state
        known_health = health.state_of(virtual, real)
        servers.append(dataclasses.replace(server, health=known_health, weight=weight, state=state))
    return dataclasses.replace(view, servers=tuple(servers), up=virtual.enough)
