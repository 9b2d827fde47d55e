"""The way of a datagram: which neighbour, from which address of ours (RFC 1122 4.1.4, RFC 6724).

A way is kept in the endpoint for its last destination, and is good as long as net.generation is the same; the
neighbour that stands for a group is looked up each time.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import hot
from pronghorn.net.addresses import is_broadcast4, is_local4, is_local6, source4, source6
from pronghorn.net.group_neighbours import group_neighbour
from pronghorn.net.path_mtu import path_limit
from pronghorn.net.resolve import UNREACHABLE, neighbour_on, resolve4, resolve6
from pronghorn.net.routes import route_find
from pronghorn.net.state import MAPPED, PRESENT, Net, net_of
from pronghorn.state.endpoints import BROADCAST_ALLOWED, Endpoints
from pronghorn.state.worker import Worker
from pronghorn.udp.endpoint import EVERYBODY, GROUP, SELF, UNICAST, Endpoint, Way, is_any, is_four, udp_of
from pronghorn.udp.table import endpoint_find
from pronghorn.wire import ipv4, ipv6
from pronghorn.wire.numbers import PROTOCOL_UDP

ENETUNREACH, ENOBUFS, EINVAL, ENETDOWN = errno.ENETUNREACH, errno.ENOBUFS, errno.EINVAL, errno.ENETDOWN
EACCES, EADDRNOTAVAIL, ENODEV = errno.EACCES, errno.EADDRNOTAVAIL, errno.ENODEV


@hot
def find_way(worker: Worker, endpoint: Endpoint, hi: int, lo: int, scope: int) -> tuple[int, Way]:
    """The way to an address; `scope` is an interface plus 1, or 0. (0, way), or (-errno, a way of no use)."""
    generation = net_of(worker).generation
    way = endpoint.way
    if way.generation == generation and way.lo == lo and way.hi == hi and way.scope == scope:
        return 0, way
    way.generation, way.hi, way.lo, way.scope = 0, hi, lo, scope
    result = _lead4(worker, endpoint, way) if is_four(hi, lo) else _lead6(worker, endpoint, way)
    if result == 0:
        result = _choose_source(worker, endpoint, way)
    if result == 0 and way.kind != EVERYBODY:  # SO_BROADCAST is asked for each time
        way.generation = net_of(worker).generation
    return result, way


@hot
def way_mtu(worker: Worker, way: Way) -> int:
    """Octets of IP that the way takes in one piece, as far as known."""
    if way.kind != UNICAST:
        return 0xFFFF if way.kind == SELF else net_of(worker).interfaces[way.interface].mtu
    return path_limit(worker, way.hi, way.lo, net_of(worker).neighbours[way.neighbour].mtu)


@hot
def way_neighbour(worker: Worker, way: Way) -> int:
    """Index of the neighbour of a way that is not SELF; -1: no room for it."""
    if way.kind == UNICAST:
        return way.neighbour
    lo = way.lo if way.kind == GROUP else MAPPED | ipv4.BROADCAST
    return group_neighbour(worker, way.interface, way.hi, lo)


@hot
def _lead4(worker: Worker, endpoint: Endpoint, way: Way) -> int:
    """Kind, interface and neighbour of a way to an IPv4 address."""
    dst = way.lo & 0xFFFF_FFFF
    way.kind = UNICAST
    if is_local4(worker, dst):
        way.kind, way.interface = SELF, _interface_of(worker, way, endpoint)
        return 0
    if ipv4.is_multicast(dst):
        return _lead_group(worker, endpoint, way)
    interface = _interface_of(worker, way, endpoint)
    if dst == ipv4.BROADCAST or _is_broadcast(worker, interface, dst):
        if Endpoints(worker.transports).sockets[endpoint.socket].options & BROADCAST_ALLOWED == 0:
            return -EACCES
        if interface < 0:
            interface = _first_interface(net_of(worker))
        return _lead_everybody(worker, way, EVERYBODY, interface)
    if not ipv4.is_receiver(dst):
        return -EINVAL
    return _settle(worker, way, resolve4(worker, dst))


@hot
def _lead6(worker: Worker, endpoint: Endpoint, way: Way) -> int:
    """The same for IPv6."""
    way.kind = UNICAST
    if is_local6(worker, way.hi, way.lo):
        way.kind, way.interface = SELF, _interface_of(worker, way, endpoint)
        return 0
    if ipv6.is_multicast(way.hi):
        return _lead_group(worker, endpoint, way)
    if way.hi == 0:
        return -ENETUNREACH
    if ipv6.is_link_local(way.hi):
        if way.scope == 0:
            return -EINVAL
        if not _is_present(net_of(worker), way.scope - 1):
            return -ENODEV
        return _settle(worker, way, neighbour_on(worker, way.scope - 1, way.hi, way.lo))
    return _settle(worker, way, resolve6(worker, way.hi, way.lo))


@hot
def lead_out(worker: Worker, endpoint: Endpoint, way: Way, port: int) -> None:
    """A way to an address of ours that others may have too (Net.shared), at `port`: out, if no socket here takes it."""
    if endpoint.protocol != PROTOCOL_UDP:
        return
    udp = udp_of(worker)
    arrival, four = udp.arrival, is_four(way.hi, way.lo)
    arrival.to_hi, arrival.to_lo, arrival.family = way.hi, way.lo, 4 if four else 6
    arrival.source_hi, arrival.source_lo, arrival.source_port = way.source_hi, way.source_lo, endpoint.local_port
    arrival.interface = way.interface
    if endpoint_find(worker, udp, arrival, port, PROTOCOL_UDP) >= 0:
        return
    index = resolve4(worker, way.lo & 0xFFFF_FFFF) if four else resolve6(worker, way.hi, way.lo)
    if _settle(worker, way, index) == 0:
        way.kind, way.generation = UNICAST, 0  # it is looked for anew each time


@hot
def _settle(worker: Worker, way: Way, index: int) -> int:
    """The way is to the neighbour `index`, or why there is none."""
    if index < 0:
        return -ENETUNREACH if index == UNREACHABLE else -ENOBUFS
    way.neighbour, way.interface = index, net_of(worker).neighbours[index].interface
    return 0


@hot
def _lead_group(worker: Worker, endpoint: Endpoint, way: Way) -> int:
    """A group: by the interface that was asked for, that of the route, or the first."""
    interface = way.scope - 1
    if interface < 0 and endpoint.multicast_interface != 0:
        interface = endpoint.multicast_interface - 1
    if interface < 0:
        interface = _interface_of(worker, way, endpoint)
    if interface < 0:
        interface = _first_interface(net_of(worker))
    return _lead_everybody(worker, way, GROUP, interface)


@hot
def _lead_everybody(worker: Worker, way: Way, kind: int, interface: int) -> int:
    if not _is_present(net_of(worker), interface):
        return -ENETUNREACH
    way.kind, way.interface = kind, interface
    return 0


@hot
def _interface_of(worker: Worker, way: Way, endpoint: Endpoint) -> int:
    """The interface of the socket, or the one that the route to the destination names; -1: none."""
    if endpoint.interface != 0:
        return endpoint.interface - 1
    found = route_find(worker, way.hi, way.lo)
    return net_of(worker).routes[found].interface if found >= 0 else -1


@hot
def _is_broadcast(worker: Worker, interface: int, dst: int) -> bool:
    return interface >= 0 and is_broadcast4(worker, interface, dst)


@hot
def _first_interface(net: Net) -> int:
    """The first interface that is there, or -1."""
    for interface in range(net.interface_count):
        if net.interfaces[interface].flags & PRESENT != 0:
            return interface
    return -1


@hot
def _is_present(net: Net, interface: int) -> bool:
    return 0 <= interface < net.interface_count and net.interfaces[interface].flags & PRESENT != 0


@hot
def _choose_source(worker: Worker, endpoint: Endpoint, way: Way) -> int:
    """The bound address, or one of the interface's."""
    own_hi, own_lo = endpoint.local_hi, endpoint.local_lo
    aside = udp_of(worker)
    if aside.source_hi != 0 or aside.source_lo != 0:
        own_hi, own_lo = aside.source_hi, aside.source_lo
    four = is_four(way.hi, way.lo)
    if not is_any(own_hi, own_lo) and not _is_group(own_hi, own_lo):
        if is_four(own_hi, own_lo) != four:
            return -ENETUNREACH
        way.source_hi, way.source_lo = own_hi, own_lo
        return 0
    if way.kind == SELF:
        way.source_hi, way.source_lo = way.hi, way.lo
        return 0
    if four:
        src = source4(worker, way.interface, way.lo & 0xFFFF_FFFF)
        if way.kind == GROUP and endpoint.multicast_lo != 0:
            src = endpoint.multicast_lo & 0xFFFF_FFFF
        if src == 0:
            return -EADDRNOTAVAIL
        way.source_hi, way.source_lo = 0, MAPPED | src
        return 0
    hi, lo = source6(worker, way.interface, way.hi, way.lo)
    way.source_hi, way.source_lo = hi, lo
    return 0


@hot
def _is_group(hi: int, lo: int) -> bool:
    if is_four(hi, lo):
        return lo & 0xF000_0000 >= 0xE000_0000
    return ipv6.is_multicast(hi)
