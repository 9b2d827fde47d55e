"""The control side of routes and permanent neighbours; as configure.py, over change_routes.py."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from pronghorn.net.change_routes import (
    OWN_ADDRESS,
    PREFIXES_FULL,
    ROUTES_FULL,
    TWO_FAMILIES,
    neighbour_set,
    route_add,
    route_drop,
    route_exact,
    route_first,
)
from pronghorn.net.forget import forget_neighbour
from pronghorn.net.neighbours import neighbour_find
from pronghorn.net.state import CONNECTED, FREE, GATEWAY, MAPPED, NONE, PRESENT, Interface, Net, Route, net_of
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
    done = route_add(worker, *_key(prefix), interface, *_way(gateway))
    if done < 0:
        raise NetError(
            {
                TWO_FAMILIES: f"{prefix} via {gateway}: two different families",
                OWN_ADDRESS: f"{prefix} via {gateway}: that is this engine itself",
                ROUTES_FULL: f"no room for another route: this engine was made for {net.route_limit}",
                PREFIXES_FULL: f"no room for the prefix {prefix}",
            }[done]
        )


def replace_route(worker: Worker, prefix: Network, interface: int, gateway: Address | None = None) -> None:
    """Make this the only route to the prefix, those that follow from addresses aside."""
    net = net_of(worker)
    add_route(worker, prefix, interface, gateway)
    chain, index = [], route_first(net, *_key(prefix))
    while index != NONE:
        chain.append(index)
        index = net.routes[index].next
    for index in chain[:-1]:
        if not net.routes[index].flags & CONNECTED:
            route_drop(net, index)


def remove_route(worker: Worker, prefix: Network, interface: int, gateway: Address | None = None) -> None:
    """Undo add_route."""
    net = net_of(worker)
    index = route_exact(net, *_key(prefix), interface, *_way(gateway))
    if index < 0:
        raise NetError(f"there is no such route to {prefix}")
    route_drop(net, index)
    net.generation += 1


def _key(prefix: Network) -> tuple[int, int, int]:
    """The prefix as the tables hold it: its address, and bits out of 128."""
    return *halves(prefix.network_address), prefix.prefixlen + (96 if prefix.version == 4 else 0)


def _way(gateway: Address | None) -> tuple[int, int, int]:
    """The router's address, and Route.flags that say whether there is one."""
    return (0, 0, 0) if gateway is None else (*halves(gateway), GATEWAY)


def network_of(route: Route) -> Network:
    """The prefix of a route's record."""
    address = address_of(route.hi, route.lo)
    if isinstance(address, IPv4Address):
        return IPv4Network((address, route.length - 96))
    return IPv6Network((address, route.length))


def add_neighbour(worker: Worker, interface: int, address: Address, mac: int) -> None:
    """Set a neighbour for good: it is neither learnt nor asked for. Replaces what was known."""
    net = net_of(worker)
    present(net, interface)
    if neighbour_set(worker, interface, *halves(address), mac) < 0:
        raise NetError(f"no room for another neighbour: this engine was made for {net.neighbour_limit}")


def remove_neighbour(worker: Worker, interface: int, address: Address) -> None:
    """Forget what is known of a neighbour, permanent or learnt."""
    index = neighbour_find(net_of(worker), interface, *halves(address))
    if index < 0 or net_of(worker).neighbours[index].state == FREE:
        raise NetError(f"{address} is no neighbour on interface {interface}")
    forget_neighbour(worker, index)
