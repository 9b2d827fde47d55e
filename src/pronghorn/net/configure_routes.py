"""The control side of routes and permanent neighbours; as configure.py."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from pronghorn.memory.prefix import PrefixTable, prefix_add, prefix_exact, prefix_remove
from pronghorn.net.addresses import owned_find
from pronghorn.net.forget import forget_neighbour
from pronghorn.net.neighbours import enter, neighbour_add, neighbour_find, set_address
from pronghorn.net.state import (
    CONNECTED,
    FREE,
    GATEWAY,
    MAPPED,
    NONE,
    PERMANENT,
    PRESENT,
    REACHABLE,
    USED,
    Interface,
    Net,
    Route,
    net_of,
)
from pronghorn.net.waiting import send_waiting
from pronghorn.state.worker import Worker
from pronghorn.wire.text import signed, unsigned

Address = IPv4Address | IPv6Address
AnyInterface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

_HALF = (1 << 64) - 1


class NetError(Exception):
    """A change that cannot be; the text says why."""


def halves(address: Address) -> tuple[int, int]:
    """The address as the tables hold it."""
    if isinstance(address, IPv4Address):
        return 0, MAPPED | int(address)
    return signed(int(address) >> 64), signed(int(address) & _HALF)


def address_of(hi: int, lo: int) -> Address:
    """Back from the tables."""
    if hi == 0 and lo >> 32 == MAPPED >> 32:
        return IPv4Address(lo & 0xFFFFFFFF)
    return IPv6Address(unsigned(hi) << 64 | unsigned(lo))


def interface_of(hi: int, lo: int, length: int) -> AnyInterface:
    """The address with the length (of 128 bits) of its network."""
    address = address_of(hi, lo)
    if isinstance(address, IPv4Address):
        return IPv4Interface((address, length - 96))
    return IPv6Interface((address, length))


def present(net: Net, interface: int) -> Interface:
    """The interface; NetError when there is none."""
    if interface >= net.interface_limit or not net.interfaces[interface].flags & PRESENT:
        raise NetError(f"there is no interface {interface}")
    return net.interfaces[interface]


def add_route(worker: Worker, prefix: Network, interface: int, gateway: Address | None = None) -> None:
    """Send packets to the prefix to the router `gateway`, or to themselves as neighbours when it is None."""
    net = net_of(worker)
    present(net, interface)
    if gateway is not None and gateway.version != prefix.version:
        raise NetError(f"{prefix} via {gateway}: two different families")
    if gateway is not None and owned_find(net, *halves(gateway)) >= 0:
        raise NetError(f"{prefix} via {gateway}: that is this engine itself")
    put_route(net, prefix, interface, gateway, 0)
    net.generation += 1


def replace_route(worker: Worker, prefix: Network, interface: int, gateway: Address | None = None) -> None:
    """Make this the only route to the prefix, those that follow from addresses aside."""
    net = net_of(worker)
    add_route(worker, prefix, interface, gateway)
    chain, index = [], prefix_exact(*_table(net, prefix))
    while index != NONE:
        chain.append(index)
        index = net.routes[index].next
    for index in chain[:-1]:
        if not net.routes[index].flags & CONNECTED:
            drop_route(net, index)


def remove_route(worker: Worker, prefix: Network, interface: int, gateway: Address | None = None) -> None:
    """Undo add_route."""
    net = net_of(worker)
    drop_route(net, find_route(net, prefix, interface, gateway, 0))
    net.generation += 1


def _table(net: Net, prefix: Network) -> tuple[PrefixTable, int, int, int]:
    """The prefix table and the key in it."""
    if isinstance(prefix, IPv4Network):
        return PrefixTable(net.routes4), signed(int(prefix.network_address) << 32), 0, prefix.prefixlen
    return PrefixTable(net.routes6), *halves(prefix.network_address), prefix.prefixlen


def put_route(net: Net, prefix: Network, interface: int, gateway: Address | None, origin: int) -> None:
    fresh = net.route_free == NONE
    index = net.route_high if fresh else net.route_free
    if index == net.route_limit:
        raise NetError(f"no room for another route: this engine was made for {net.route_limit}")
    table, hi, lo, length = _table(net, prefix)
    first = prefix_exact(table, hi, lo, length)
    if first < 0 and not prefix_add(table, hi, lo, length, index):
        raise NetError(f"no room for the prefix {prefix}")
    route = net.routes[index]
    if fresh:
        net.route_high = index + 1
    else:
        net.route_free = route.next
    route.hi, route.lo = halves(prefix.network_address)
    route.length = length + (96 if prefix.version == 4 else 0)
    route.gateway_hi, route.gateway_lo = halves(gateway) if gateway is not None else (0, 0)
    route.flags = USED | origin | (GATEWAY if gateway is not None else 0)
    route.interface, route.generation, route.neighbour, route.next = interface, 0, NONE, NONE
    if first >= 0:
        last = net.routes[first]
        while last.next != NONE:
            last = net.routes[last.next]
        last.next = index


def find_route(net: Net, prefix: Network, interface: int, gateway: Address | None, origin: int) -> int:
    """Index of the route with exactly these properties."""
    wanted = USED | origin | (GATEWAY if gateway is not None else 0)
    index = prefix_exact(*_table(net, prefix))
    while index not in (-1, NONE):
        route = net.routes[index]
        same = gateway is None or (route.gateway_hi, route.gateway_lo) == halves(gateway)
        if route.flags == wanted and route.interface == interface and same:
            return index
        index = route.next
    raise NetError(f"there is no such route to {prefix}")


def network_of(route: Route) -> Network:
    """The prefix of a route's record."""
    address = address_of(route.hi, route.lo)
    if isinstance(address, IPv4Address):
        return IPv4Network((address, route.length - 96))
    return IPv6Network((address, route.length))


def drop_route(net: Net, index: int) -> None:
    route = net.routes[index]
    table, hi, lo, length = _table(net, network_of(route))
    first = prefix_exact(table, hi, lo, length)
    if first != index:
        before = net.routes[first]
        while before.next != index:
            before = net.routes[before.next]
        before.next = route.next
    elif route.next == NONE:
        prefix_remove(table, hi, lo, length)
    else:
        prefix_add(table, hi, lo, length, route.next)
    route.flags = 0
    route.next, net.route_free = net.route_free, index


def add_neighbour(worker: Worker, interface: int, address: Address, mac: int) -> None:
    """Set a neighbour for good: it is neither learnt nor asked for. Replaces what was known."""
    net = net_of(worker)
    present(net, interface)
    hi, lo = halves(address)
    index = neighbour_find(net, interface, hi, lo)
    if index < 0:
        index = neighbour_add(net, interface, hi, lo)
    if index < 0:
        raise NetError(f"no room for another neighbour: this engine was made for {net.neighbour_limit}")
    set_address(net, net.neighbours[index], mac)
    net.neighbours[index].flags = PERMANENT
    enter(net, index, REACHABLE, 0)
    send_waiting(worker, index)


def remove_neighbour(worker: Worker, interface: int, address: Address) -> None:
    """Forget what is known of a neighbour, permanent or learnt."""
    index = neighbour_find(net_of(worker), interface, *halves(address))
    if index < 0 or net_of(worker).neighbours[index].state == FREE:
        raise NetError(f"{address} is no neighbour on interface {interface}")
    forget_neighbour(worker, index)
