"""Interfaces and addresses come and go: the tables' side, compiled, for Python (configure.py) and for C.

As change_routes.py: a function does all of it, or changes nothing and returns why not.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.compiled.hashing import mix, wrap
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_remove
from pronghorn.net.addresses import interface_address, owned_find
from pronghorn.net.change_routes import (
    ADDRESSES_FULL,
    BAD_ADDRESS,
    HAS_INTERFACE,
    NO_INTERFACE,
    NOT_THERE,
    OTHER_INTERFACE,
    OTHER_LENGTH,
    is_four,
    is_present,
    neighbour_set,
    prefix_hi,
    prefix_lo,
    route_drop,
    route_exact,
    route_put,
)
from pronghorn.net.forget import forget_neighbour, forget_neighbours
from pronghorn.net.group_nodes import node_join, node_leave
from pronghorn.net.neighbours import neighbour_find
from pronghorn.net.state import (
    CONNECTED,
    DIRECT,
    FAR_MAC,
    LINK_LOCAL_HI,
    MAPPED,
    NONE,
    PRESENT,
    USED,
    Interface,
    Net,
    net_of,
)
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import is_sender
from pronghorn.wire.ipv6 import is_multicast

ANNOUNCEMENTS = 2
"""RFC 5227 2.3 (ANNOUNCE_NUM): by worker 0, for all."""


@leaf
def eui64(mac: int) -> int:
    """Lower half of the link-local address that a hardware address gives (RFC 4291 appendix A)."""
    return wrap((mac >> 24 ^ 0x020000) << 40 | 0xFFFE000000 | mac & 0xFFFFFF)


# --- interfaces ---------------------------------------------------------------------------------------------------


@hot
def interface_add(worker: Worker, port: int, flags: int) -> int:
    """Make the interface of a port, with the port's MAC and MTU and `flags` of Interface.flags. Its number, the port's;
    port.interface is set."""
    net = net_of(worker)
    if port < 0 or port >= net.interface_limit:
        return NO_INTERFACE
    own, device = net.interfaces[port], worker.ports[port]
    if own.flags & PRESENT != 0:
        return HAS_INTERFACE
    own.mac, own.mtu, own.port = device.mac, device.mtu, port
    own.link_local = eui64(device.mac)
    own.source_hi, own.source_lo, own.source4, own.addresses = 0, 0, 0, NONE
    own.flags = PRESENT | flags
    net.interface_count = max(net.interface_count, port + 1)
    device.interface = port
    done = _own(worker, port, LINK_LOCAL_HI, own.link_local, 64)
    if done >= 0 and flags & DIRECT != 0:
        done = min(
            neighbour_set(worker, port, 0, MAPPED, FAR_MAC), neighbour_set(worker, port, LINK_LOCAL_HI, 0, FAR_MAC)
        )
    if done < 0:
        interface_remove(worker, port)
        return done
    net.generation += 1
    return port


@hot
def interface_remove(worker: Worker, interface: int) -> int:
    """Remove the interface with its addresses, routes and neighbours. Packets that waited end as NEIGHBOUR_FAILED."""
    net = net_of(worker)
    if not is_present(net, interface):
        return NO_INTERFACE
    own = net.interfaces[interface]
    for index in range(net.route_high):
        route = net.routes[index]
        if route.flags & USED != 0 and route.interface == interface:
            route_drop(net, index)
    while own.addresses != NONE:
        _disown(worker, own, own.addresses)
    forget_neighbours(worker, interface)
    own.flags = 0
    net.generation += 1
    return interface


@hot
def mtu_change(worker: Worker, interface: int, mtu: int) -> int:
    """Set the interface's MTU in octets of layer 3."""
    net = net_of(worker)
    if not is_present(net, interface):
        return NO_INTERFACE
    net.interfaces[interface].mtu = mtu
    for index in range(net.neighbour_high):
        if net.neighbours[index].interface == interface:
            net.neighbours[index].mtu = mtu
    return interface


# --- addresses ----------------------------------------------------------------------------------------------------


@leaf
def _can_be_ours(hi: int, lo: int) -> bool:
    return is_sender(lo & 0xFFFF_FFFF) if is_four(hi, lo) else hi != 0 and not is_multicast(hi)


@hot
def address_add(worker: Worker, interface: int, hi: int, lo: int, length: int) -> int:
    """Own the address and reach its network, the first `length` (of 128) bits, through the interface. Twice the same
    address is counted twice."""
    net = net_of(worker)
    if not is_present(net, interface):
        return NO_INTERFACE
    if not _can_be_ours(hi, lo):
        return BAD_ADDRESS
    index = interface_address(net, interface, hi, lo)
    if index >= 0:
        if net.owned[index].length != length:
            return OTHER_LENGTH
        net.owned[index].uses += 1
        return index
    if owned_find(net, hi, lo) >= 0 and hi != LINK_LOCAL_HI:
        return OTHER_INTERFACE
    index = _own(worker, interface, hi, lo, length)
    if index < 0:
        return index
    own = net.interfaces[interface]
    if length < 128:
        done = route_put(net, prefix_hi(hi, length), prefix_lo(lo, length), length, interface, 0, 0, CONNECTED)
        if done < 0:
            _disown(worker, own, index)
            return done
    stranger = neighbour_find(net, interface, hi, lo)
    if stranger >= 0:
        forget_neighbour(worker, stranger)
    _choose_sources(net, own)
    net.generation += 1
    return index


@hot
def address_remove(worker: Worker, interface: int, hi: int, lo: int, length: int) -> int:
    """Undo one address_add. The last one removes the route to its network too."""
    net = net_of(worker)
    if not is_present(net, interface):
        return NO_INTERFACE
    own = net.interfaces[interface]
    index = interface_address(net, interface, hi, lo)
    if index < 0:
        return NOT_THERE
    if net.owned[index].uses > 1:
        net.owned[index].uses -= 1
        return index
    if length < 128:
        route = route_exact(net, prefix_hi(hi, length), prefix_lo(lo, length), length, interface, 0, 0, CONNECTED)
        if route < 0:
            return OTHER_LENGTH
        route_drop(net, route)
    _disown(worker, own, index)
    _choose_sources(net, own)
    net.generation += 1
    return index


@hot
def _own(worker: Worker, interface: int, hi: int, lo: int, length: int) -> int:
    """A record for the address, last among the interface's own. Its index, or ADDRESSES_FULL."""
    net = net_of(worker)
    fresh = net.owned_free == NONE
    index = net.owned_high if fresh else net.owned_free
    hashes = HashIndex(net.owned_index)
    if index == net.owned_limit or not hash_add(hashes, mix(hi, lo, hashes.secret), index):
        return ADDRESSES_FULL
    owned, own = net.owned[index], net.interfaces[interface]
    if fresh:
        net.owned_high = index + 1
    else:
        net.owned_free = owned.next
    owned.hi, owned.lo, owned.length, owned.interface, owned.uses = hi, lo, length, interface, 1
    owned.announce_at, owned.defended, owned.conflicts, owned.next = 0, 0, 0, NONE
    owned.announcements = ANNOUNCEMENTS if worker.index == 0 and own.flags & DIRECT == 0 else 0
    net.announcing += 1 if owned.announcements != 0 else 0
    node_join(worker, interface, hi, lo)
    if own.addresses == NONE:
        own.addresses = index
        return index
    last = net.owned[own.addresses]
    while last.next != NONE:
        last = net.owned[last.next]
    last.next = index
    return index


@hot
def _disown(worker: Worker, own: Interface, index: int) -> None:
    """Free the record of an address of the interface."""
    net = net_of(worker)
    owned = net.owned[index]
    node_leave(worker, owned.interface, owned.hi, owned.lo)
    hashes = HashIndex(net.owned_index)
    hash_remove(hashes, mix(owned.hi, owned.lo, hashes.secret), index)
    if own.addresses == index:
        own.addresses = owned.next
    else:
        before = net.owned[own.addresses]
        while before.next != index:
            before = net.owned[before.next]
        before.next = owned.next
    net.announcing -= 1 if owned.announcements != 0 else 0
    owned.uses, owned.announcements = 0, 0
    owned.next = net.owned_free
    net.owned_free = index


@hot
def _choose_sources(net: Net, own: Interface) -> None:
    """The addresses to speak from: the first of IPv4, and the first of IPv6 beyond the link."""
    own.source4, own.source_hi, own.source_lo = 0, 0, 0
    index = own.addresses
    while index != NONE:
        owned = net.owned[index]
        if owned.hi == 0:
            if own.source4 == 0:
                own.source4 = owned.lo & 0xFFFF_FFFF
        elif owned.hi != LINK_LOCAL_HI and own.source_hi == 0:
            own.source_hi, own.source_lo = owned.hi, owned.lo
        index = owned.next
