"""From a destination to a neighbour, and from a neighbour to the wire.

    index = resolve4(worker, ip.dst)                      # may be kept as long as net.generation stays the same
    verdict = neighbour_output(worker, packet, index)     # writes the Ethernet header and queues the frame

The next hop of RFC 4861 section 5.2: the route's router, or the destination itself when it is on the link. A router's
neighbour is remembered in its route.
"""

from __future__ import annotations

from pronghorn.compiled import cold, hot, leaf
from pronghorn.net.addresses import is_broadcast4, owned_find
from pronghorn.net.neighbours import enter, neighbour_add, neighbour_find, set_address
from pronghorn.net.routes import route_find4, route_find6
from pronghorn.net.solicit import ask
from pronghorn.net.state import (
    DELAY,
    DIRECT,
    FAILED,
    FAR_MAC,
    FREE,
    GATEWAY,
    INCOMPLETE,
    MAPPED,
    NONE,
    REACHABLE,
    SECOND,
    STALE,
    Net,
    Route,
    net_of,
)
from pronghorn.net.waiting import frame_output, wait
from pronghorn.state.packet import Packet
from pronghorn.state.verdicts import CONTINUE, NEIGHBOUR_FAILED, NEIGHBOUR_TABLE_FULL, NO_ROUTE
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import is_sender
from pronghorn.wire.ipv6 import is_link_local, is_multicast

UNREACHABLE = -1
"""No route, or a destination that is no single other station."""
TABLE_FULL = -2
"""A route, but no room for the neighbour."""

RETRANSMIT = SECOND  # between questions (RFC 4861 section 10)
FIRST_PROBE = 5 * SECOND  # from first use to the first question: DELAY_FIRST_PROBE_TIME


@hot
def resolve4(worker: Worker, address: int) -> int:
    """Index of the neighbour that packets to the IPv4 address go to; UNREACHABLE or TABLE_FULL (both below 0)."""
    net = net_of(worker)
    found = route_find4(worker, address)
    if found < 0 or not is_sender(address):
        return UNREACHABLE
    route = net.routes[found]
    if route.flags & GATEWAY != 0:
        return _router(worker, net, route)
    index = neighbour_find(net, route.interface, 0, MAPPED | address)
    if index >= 0:
        return index
    if is_broadcast4(worker, route.interface, address):
        return UNREACHABLE
    return _new(worker, net, route.interface, 0, MAPPED | address)


@hot
def resolve6(worker: Worker, hi: int, lo: int) -> int:
    """Index of the neighbour that packets to the IPv6 address go to; UNREACHABLE or TABLE_FULL (both below 0)."""
    net = net_of(worker)
    found = route_find6(worker, hi, lo)
    if found < 0 or is_multicast(hi) or hi == 0:
        return UNREACHABLE
    route = net.routes[found]
    if route.flags & GATEWAY != 0:
        return _router(worker, net, route)
    return neighbour_on(worker, route.interface, hi, lo)


@hot
def neighbour_on(worker: Worker, interface: int, hi: int, lo: int) -> int:
    """The neighbour with this address on this interface, asked for if it is new; as resolve6."""
    net = net_of(worker)
    index = neighbour_find(net, interface, hi, lo)
    return index if index >= 0 else _new(worker, net, interface, hi, lo)


@hot
def resolve_back6(worker: Worker, interface: int, hi: int, lo: int) -> int:
    """Where an answer goes to an address whose packet came in by the interface; link-local stays on its link."""
    return neighbour_on(worker, interface, hi, lo) if is_link_local(hi) else resolve6(worker, hi, lo)


@hot
def _router(worker: Worker, net: Net, route: Route) -> int:
    if route.generation == net.generation:
        return route.neighbour
    index = neighbour_on(worker, route.interface, route.gateway_hi, route.gateway_lo)
    if index >= 0:
        route.neighbour = index
        route.generation = net.generation
    return index


@hot
def _new(worker: Worker, net: Net, interface: int, hi: int, lo: int) -> int:
    """Make an entry and ask for it. Ourselves we do not ask."""
    if owned_find(net, hi, lo) >= 0:
        return UNREACHABLE
    if net.incomplete >= net.incomplete_limit:
        return TABLE_FULL
    index = neighbour_add(net, interface, hi, lo)
    if index < 0:
        return TABLE_FULL
    start(worker, index)
    return index


@hot
def start(worker: Worker, index: int) -> None:
    """Begin to ask for a neighbour whose address is not known; behind a DIRECT interface there is nobody to ask."""
    net = net_of(worker)
    neighbour = net.neighbours[index]
    if net.interfaces[neighbour.interface].flags & DIRECT != 0:
        set_address(net, neighbour, FAR_MAC)
        enter(net, index, REACHABLE, 0)
        return
    neighbour.probes = 0
    enter(net, index, INCOMPLETE, worker.now + RETRANSMIT)
    ask(worker, index)


@leaf
def unresolved(index: int) -> int:
    """The verdict of a packet whose destination resolved to `index` below 0."""
    return NO_ROUTE if index == UNREACHABLE else NEIGHBOUR_TABLE_FULL


@leaf
def neighbour_output(worker: Worker, packet: Packet, index: int) -> int:
    """Send the packet, which begins at packet.network, to the neighbour. Returns its verdict.

    The Ethernet header is written in front of packet.network (14 octets of room), data and length follow. The packet is
    queued, or HELD until the neighbour's address is known.
    """
    neighbour = net_of(worker).neighbours[index]
    if neighbour.state != REACHABLE:
        verdict = _before_output(worker, packet, index)
        if verdict != CONTINUE:
            return verdict
    return frame_output(worker, packet, neighbour)


@cold
def _before_output(worker: Worker, packet: Packet, index: int) -> int:
    """What the neighbour's state asks for before a packet may go (RFC 4861 7.3.3). CONTINUE, or the verdict."""
    net = net_of(worker)
    neighbour = net.neighbours[index]
    state = neighbour.state
    if state >= DELAY:
        return CONTINUE
    if state == STALE:
        enter(net, index, DELAY, worker.now + FIRST_PROBE)
        return CONTINUE
    if state == FAILED:
        if worker.now < neighbour.retry:
            return NEIGHBOUR_FAILED
        if net.incomplete >= net.incomplete_limit:
            return NEIGHBOUR_TABLE_FULL
        start(worker, index)
    if state == FREE:
        return NEIGHBOUR_FAILED
    return wait(worker, packet, index)


@hot
def packet_output(worker: Worker, packet: Packet, index: int) -> int:
    """neighbour_output as an ordinary call, for paths that are not hot, where `index` may be below 0."""
    if index < 0:
        return unresolved(index)
    return neighbour_output(worker, packet, index)


@leaf
def is_known(net: Net, index: int) -> bool:
    """Whether the neighbour can be sent to at once."""
    return index != NONE and net.neighbours[index].state >= REACHABLE
