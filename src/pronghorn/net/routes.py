"""Routes: which way a destination lies. Longest prefix first; of equal prefixes the route that was added first.

A route is either a router's address on an interface, or an interface whose neighbours the destinations are. The prefix
tables (memory/prefix.py) name the record.
"""

from __future__ import annotations

from pronghorn.compiled import leaf
from pronghorn.memory.prefix import PrefixTable, prefix_find, prefix_find4
from pronghorn.net.state import GATEWAY, MAPPED, net_of
from pronghorn.state.worker import Worker


@leaf
def route_find4(worker: Worker, address: int) -> int:
    """Index of the route to the IPv4 address, or -1."""
    return prefix_find4(PrefixTable(net_of(worker).routes4), address)


@leaf
def route_find6(worker: Worker, hi: int, lo: int) -> int:
    """Index of the route to the IPv6 address, or -1."""
    return prefix_find(PrefixTable(net_of(worker).routes6), hi, lo)


@leaf
def route_find(worker: Worker, hi: int, lo: int) -> int:
    """The same for an address of either family."""
    return (
        route_find4(worker, lo & 0xFFFF_FFFF) if hi == 0 and lo >> 32 == MAPPED >> 32 else route_find6(worker, hi, lo)
    )


@leaf
def is_on_link(worker: Worker, interface: int, hi: int, lo: int) -> bool:
    """Whether the address is one of a neighbour on the interface, as the routes have it."""
    found = route_find(worker, hi, lo)
    if found < 0:
        return False
    route = net_of(worker).routes[found]
    return route.flags & GATEWAY == 0 and route.interface == interface
