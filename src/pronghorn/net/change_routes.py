"""Routes and permanent neighbours come and go: the tables' side, compiled, for Python (configure_routes.py) and for C.

An address is two halves as state.py says, and a prefix length counts 128 bits. A function does all of it and returns
a number that is not negative, or changes nothing and returns why not. Callers add to Net.generation, `route_add` and
those of change.py aside.

A DIRECT interface has no Ethernet addresses behind it: all its stations are reached through one permanent neighbour
of each family (0.0.0.0 and fe80::), which its routes name as their router.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.compiled.hashing import wrap
from pronghorn.memory.prefix import PrefixTable, prefix_add, prefix_exact, prefix_remove
from pronghorn.net.addresses import owned_find
from pronghorn.net.neighbours import enter, neighbour_add, neighbour_find, set_address
from pronghorn.net.state import (
    DIRECT,
    GATEWAY,
    LINK_LOCAL_HI,
    MAPPED,
    NONE,
    PERMANENT,
    PRESENT,
    REACHABLE,
    USED,
    Net,
    net_of,
)
from pronghorn.net.waiting import send_waiting
from pronghorn.state.worker import Worker

# why a change cannot be
NO_INTERFACE = -1  # there is no such interface
HAS_INTERFACE = -2  # the port has an interface already
BAD_ADDRESS = -3  # it cannot be the address of an interface: a group, loopback, unspecified or reserved
BAD_LENGTH = -4  # a prefix has 0 to 32 bits, of IPv6 0 to 128
OTHER_LENGTH = -5  # the address is there with another prefix length
OTHER_INTERFACE = -6  # the address belongs to another interface
OWN_ADDRESS = -7  # the gateway is this engine itself
TWO_FAMILIES = -8  # prefix and gateway are of different families
NOT_THERE = -9  # there is no such address or route
ADDRESSES_FULL = -10  # the table of own addresses is full; the following are likewise
ROUTES_FULL = -11
PREFIXES_FULL = -12
NEIGHBOURS_FULL = -13
BAD_MTU = -14  # at least 1280 octets, at most what the port was made for


@leaf
def is_four(hi: int, lo: int) -> bool:
    """Whether the halves are an IPv4 address."""
    return hi == 0 and lo >> 32 == MAPPED >> 32


@leaf
def is_present(net: Net, interface: int) -> bool:
    """Whether there is an interface of this number."""
    return 0 <= interface < net.interface_limit and net.interfaces[interface].flags & PRESENT != 0


@leaf
def prefix_hi(hi: int, length: int) -> int:
    """The first half of an address, bits beyond `length` (0 to 128) cleared."""
    if length >= 64:
        return hi
    return hi & -1 << 64 - length if length > 0 else 0


@leaf
def prefix_lo(lo: int, length: int) -> int:
    """The second half of an address, bits beyond `length` (0 to 128) cleared."""
    if length >= 128:
        return lo
    return lo & -1 << 128 - length if length > 64 else 0


# --- routes -------------------------------------------------------------------------------------------------------


@hot
def route_first(net: Net, hi: int, lo: int, length: int) -> int:
    """Index of the first route to exactly this prefix, or -1."""
    if is_four(hi, lo) and length >= 96:
        return prefix_exact(PrefixTable(net.routes4), wrap(lo << 32), 0, length - 96)
    return prefix_exact(PrefixTable(net.routes6), hi, lo, length)


@hot
def _name(net: Net, hi: int, lo: int, length: int, index: int) -> bool:
    """Let the prefix lead to the route `index`."""
    if is_four(hi, lo) and length >= 96:
        return prefix_add(PrefixTable(net.routes4), wrap(lo << 32), 0, length - 96, index)
    return prefix_add(PrefixTable(net.routes6), hi, lo, length, index)


@hot
def _unname(net: Net, hi: int, lo: int, length: int) -> None:
    """Let the prefix lead nowhere."""
    if is_four(hi, lo) and length >= 96:
        prefix_remove(PrefixTable(net.routes4), wrap(lo << 32), 0, length - 96)
    else:
        prefix_remove(PrefixTable(net.routes6), hi, lo, length)


@leaf
def _is_direct(net: Net, interface: int, flags: int) -> bool:
    """Whether a route with these flags gets a router because its interface is DIRECT."""
    return flags & GATEWAY == 0 and net.interfaces[interface].flags & DIRECT != 0


@hot
def route_put(
    net: Net, hi: int, lo: int, length: int, interface: int, gateway_hi: int, gateway_lo: int, flags: int
) -> int:
    """Add a route behind those to the same prefix; `flags` of Route.flags. Its index, or why not."""
    if _is_direct(net, interface, flags):
        four = is_four(hi, lo)
        gateway_hi, gateway_lo = 0 if four else LINK_LOCAL_HI, MAPPED if four else 0
        flags |= GATEWAY
    fresh = net.route_free == NONE
    index = net.route_high if fresh else net.route_free
    if index == net.route_limit:
        return ROUTES_FULL
    first = route_first(net, hi, lo, length)
    if first < 0 and not _name(net, hi, lo, length, index):
        return PREFIXES_FULL
    route = net.routes[index]
    if fresh:
        net.route_high = index + 1
    else:
        net.route_free = route.next
    route.hi, route.lo, route.length, route.interface = hi, lo, length, interface
    route.gateway_hi, route.gateway_lo, route.flags = gateway_hi, gateway_lo, USED | flags
    route.generation, route.neighbour, route.next = 0, NONE, NONE
    if first >= 0:
        last = net.routes[first]
        while last.next != NONE:
            last = net.routes[last.next]
        last.next = index
    return index


@hot
def route_exact(
    net: Net, hi: int, lo: int, length: int, interface: int, gateway_hi: int, gateway_lo: int, flags: int
) -> int:
    """Index of the route with exactly these properties, or NOT_THERE."""
    index = route_first(net, hi, lo, length)
    own_gateway = flags & GATEWAY != 0
    if _is_direct(net, interface, flags):
        flags |= GATEWAY
    while index >= 0 and index != NONE:
        route = net.routes[index]
        same = not own_gateway or (route.gateway_hi == gateway_hi and route.gateway_lo == gateway_lo)
        if route.flags == USED | flags and route.interface == interface and same:
            return index
        index = route.next
    return NOT_THERE


@hot
def route_drop(net: Net, index: int) -> None:
    """Remove the route."""
    route = net.routes[index]
    first = route_first(net, route.hi, route.lo, route.length)
    if first != index:
        before = net.routes[first]
        while before.next != index:
            before = net.routes[before.next]
        before.next = route.next
    elif route.next == NONE:
        _unname(net, route.hi, route.lo, route.length)
    else:
        _name(net, route.hi, route.lo, route.length, route.next)
    route.flags = 0
    route.next = net.route_free
    net.route_free = index


@hot
def route_add(
    worker: Worker, hi: int, lo: int, length: int, interface: int, gateway_hi: int, gateway_lo: int, flags: int
) -> int:
    """Send packets to the prefix out of the interface: to a router (GATEWAY in `flags`), or as to neighbours."""
    net = net_of(worker)
    if not is_present(net, interface):
        return NO_INTERFACE
    if flags & GATEWAY != 0:
        if is_four(hi, lo) != is_four(gateway_hi, gateway_lo):
            return TWO_FAMILIES
        if owned_find(net, gateway_hi, gateway_lo) >= 0:
            return OWN_ADDRESS
    index = route_put(net, hi, lo, length, interface, gateway_hi, gateway_lo, flags)
    if index >= 0:
        net.generation += 1
    return index


# --- neighbours ---------------------------------------------------------------------------------------------------


@hot
def neighbour_set(worker: Worker, interface: int, hi: int, lo: int, mac: int) -> int:
    """Set a neighbour for good: it is neither learnt nor asked for. Its index, or why not."""
    net = net_of(worker)
    if not is_present(net, interface):
        return NO_INTERFACE
    index = neighbour_find(net, interface, hi, lo)
    if index < 0:
        index = neighbour_add(net, interface, hi, lo)
    if index < 0:
        return NEIGHBOURS_FULL
    set_address(net, net.neighbours[index], mac)
    net.neighbours[index].flags = PERMANENT
    enter(net, index, REACHABLE, 0)
    send_waiting(worker, index)
    return index
