"""What the tables hold, as plain values for `pronghorn show`. Read between two turns of the worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pronghorn.net.configure import addresses
from pronghorn.net.configure_routes import Address, AnyInterface, Network, address_of, interface_of, network_of
from pronghorn.net.state import CONNECTED, FREE, GATEWAY, NONE, PERMANENT, PRESENT, USED, net_of
from pronghorn.state.worker import Worker

STATES = ("free", "incomplete", "failed", "reachable", "stale", "delay", "probe")
"""Names of Neighbour.state."""


@dataclass(frozen=True)
class NeighbourRow:
    """One neighbour."""

    address: Address
    mac: int | None  # None while nobody knows
    state: str  # of STATES, or permanent
    interface: int
    age: float | None  # seconds since it last answered; None when it never did
    waiting: int  # packets that wait for its address


@dataclass(frozen=True)
class RouteRow:
    """One route."""

    prefix: Network
    via: Address | None  # None: the destinations are neighbours
    interface: int
    origin: str  # address: follows from an address of the interface; route: configured


@dataclass(frozen=True)
class AddressRow:
    """One address of ours."""

    address: AnyInterface
    interface: int
    conflicts: int  # claims of other stations


def neighbour_rows(worker: Worker) -> Iterator[NeighbourRow]:
    """The worker's neighbours, in the order of the table."""
    net = net_of(worker)
    for index in range(net.neighbour_high):
        found = net.neighbours[index]
        if found.state != FREE:
            yield NeighbourRow(
                address=address_of(found.hi, found.lo),
                mac=found.mac or None,
                state="permanent" if found.flags & PERMANENT else STATES[found.state],
                interface=found.interface,
                age=(worker.now - found.confirmed) / 1e9 if found.confirmed else None,
                waiting=found.waiting,
            )


def route_rows(worker: Worker) -> Iterator[RouteRow]:
    """The worker's routes, in the order of the table."""
    net = net_of(worker)
    for index in range(net.route_high):
        route = net.routes[index]
        if route.flags & USED:
            via = address_of(route.gateway_hi, route.gateway_lo) if route.flags & GATEWAY else None
            origin = "address" if route.flags & CONNECTED else "route"
            yield RouteRow(network_of(route), via, route.interface, origin)


def address_rows(worker: Worker) -> Iterator[AddressRow]:
    """The worker's own addresses, link-local ones included."""
    net = net_of(worker)
    for interface in range(net.interface_count):
        if net.interfaces[interface].flags & PRESENT and net.interfaces[interface].addresses != NONE:
            for owned in addresses(worker, interface):
                yield AddressRow(interface_of(owned.hi, owned.lo, owned.length), interface, owned.conflicts)
