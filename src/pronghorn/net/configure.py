"""The control side: interfaces, addresses, routes and permanent neighbours come and go. Plain Python.

Called between two turns of the worker, for each worker. Each function does all of it or raises NetError and has
changed nothing. Whatever could make an index that somebody keeps wrong changes Net.generation.

    add_interface(worker, port)                                # its number is the port's; it owns fe80::/64 plus MAC
    add_address(worker, interface, ip_interface("192.0.2.1/24"))   # and the route to 192.0.2.0/24
    add_route(worker, ip_network("0.0.0.0/0"), interface, ip_address("192.0.2.254"))
"""

from __future__ import annotations

from pronghorn.compiled.hashing import mix
from pronghorn.memory.hashtable import HashIndex, hash_add, hash_remove
from pronghorn.net.addresses import interface_address, owned_find
from pronghorn.net.configure_routes import AnyInterface, NetError, drop_route, find_route, halves, present, put_route
from pronghorn.net.forget import forget_neighbour, forget_neighbours
from pronghorn.net.neighbours import neighbour_find
from pronghorn.net.state import CONNECTED, FORWARDING, LINK_LOCAL_HI, NONE, PRESENT, USED, Interface, Net, Owned, net_of
from pronghorn.state.worker import Worker
from pronghorn.wire.text import signed

ANNOUNCEMENTS = 2
"""RFC 5227 2.3 (ANNOUNCE_NUM): by worker 0, for all."""


def eui64(mac: int) -> int:
    """Lower half of the link-local address that a hardware address gives (RFC 4291 appendix A)."""
    return signed((mac >> 24 ^ 0x020000) << 40 | 0xFFFE000000 | mac & 0xFFFFFF)


# --- interfaces ---------------------------------------------------------------------------------------------------


def add_interface(worker: Worker, port: int, forwarding: int = 0) -> int:
    """Make the interface of a port, with the port's MAC and MTU. Its number is the port's; sets port.interface."""
    net = net_of(worker)
    if port >= net.interface_limit:
        raise NetError(f"port {port}: this engine was made for {net.interface_limit} interfaces")
    own, device = net.interfaces[port], worker.ports[port]
    if own.flags & PRESENT:
        raise NetError(f"port {port} has an interface already")
    own.mac, own.mtu, own.port = device.mac, device.mtu, port
    own.link_local = eui64(device.mac)
    own.source_hi, own.source_lo, own.source4, own.addresses = 0, 0, 0, NONE
    own.flags = PRESENT | (FORWARDING if forwarding else 0)
    net.interface_count = max(net.interface_count, port + 1)
    device.interface = port
    try:
        _own(worker, port, LINK_LOCAL_HI, own.link_local, 64)
    except NetError:
        own.flags = 0
        raise
    net.generation += 1
    return port


def remove_interface(worker: Worker, interface: int) -> None:
    """Remove the interface with its addresses, routes and neighbours. Packets that waited end as NEIGHBOUR_FAILED."""
    net = net_of(worker)
    own = present(net, interface)
    for index in range(net.route_high):
        route = net.routes[index]
        if route.flags & USED and route.interface == interface:
            drop_route(net, index)
    while own.addresses != NONE:
        _disown(net, own, own.addresses)
    forget_neighbours(worker, interface)
    own.flags = 0
    net.generation += 1


def change_mtu(worker: Worker, interface: int, mtu: int) -> None:
    """Set the interface's MTU in octets of layer 3."""
    net = net_of(worker)
    present(net, interface).mtu = mtu
    for index in range(net.neighbour_high):
        if net.neighbours[index].interface == interface:
            net.neighbours[index].mtu = mtu


# --- addresses ----------------------------------------------------------------------------------------------------


def add_address(worker: Worker, interface: int, address: AnyInterface) -> None:
    """Own the address and reach its network through the interface. Twice the same address is counted twice."""
    net = net_of(worker)
    own = present(net, interface)
    hi, lo = halves(address.ip)
    length = address.network.prefixlen + (96 if address.version == 4 else 0)
    ip = address.ip
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback or (ip.version == 4 and ip.is_reserved):
        raise NetError(f"{address.ip} cannot be an address of an interface")
    index = interface_address(net, interface, hi, lo)
    if index >= 0:
        if net.owned[index].length != length:
            raise NetError(f"{address.ip} is there with another prefix length")
        net.owned[index].uses += 1
        return
    if owned_find(net, hi, lo) >= 0 and hi != LINK_LOCAL_HI:
        raise NetError(f"{address.ip} belongs to another interface")
    _own(worker, interface, hi, lo, length)
    try:
        if length < 128:
            put_route(net, address.network, interface, None, CONNECTED)
    except NetError:
        _disown(net, own, interface_address(net, interface, hi, lo))
        raise
    stranger = neighbour_find(net, interface, hi, lo)
    if stranger >= 0:
        forget_neighbour(worker, stranger)
    _choose_sources(net, own)
    net.generation += 1


def remove_address(worker: Worker, interface: int, address: AnyInterface) -> None:
    """Undo one add_address. The last one removes the route to its network too."""
    net = net_of(worker)
    own = present(net, interface)
    index = interface_address(net, interface, *halves(address.ip))
    if index < 0:
        raise NetError(f"{address.ip} is not an address of the interface")
    if net.owned[index].uses > 1:
        net.owned[index].uses -= 1
        return
    _disown(net, own, index)
    if address.network.prefixlen < address.max_prefixlen:
        drop_route(net, find_route(net, address.network, interface, None, CONNECTED))
    _choose_sources(net, own)
    net.generation += 1


def _own(worker: Worker, interface: int, hi: int, lo: int, length: int) -> None:
    net = net_of(worker)
    fresh = net.owned_free == NONE
    index = net.owned_high if fresh else net.owned_free
    hashes = HashIndex(net.owned_index)
    if index == net.owned_limit or not hash_add(hashes, mix(hi, lo, hashes.secret), index):
        raise NetError(f"no room for another address: this engine was made for {net.owned_limit}")
    owned = net.owned[index]
    if fresh:
        net.owned_high = index + 1
    else:
        net.owned_free = owned.next
    owned.hi, owned.lo, owned.length, owned.interface, owned.uses = hi, lo, length, interface, 1
    owned.announce_at, owned.defended, owned.conflicts = 0, 0, 0
    owned.announcements = ANNOUNCEMENTS if worker.index == 0 else 0
    owned.next = NONE
    net.announcing += 1 if owned.announcements else 0
    own = net.interfaces[interface]
    if own.addresses == NONE:
        own.addresses = index
        return
    last = net.owned[own.addresses]
    while last.next != NONE:
        last = net.owned[last.next]
    last.next = index


def _disown(net: Net, own: Interface, index: int) -> None:
    owned = net.owned[index]
    hashes = HashIndex(net.owned_index)
    hash_remove(hashes, mix(owned.hi, owned.lo, hashes.secret), index)
    if own.addresses == index:
        own.addresses = owned.next
    else:
        before = next(net.owned[i] for i in _list(net, own) if net.owned[i].next == index)
        before.next = owned.next
    net.announcing -= 1 if owned.announcements else 0
    owned.uses, owned.announcements = 0, 0
    owned.next, net.owned_free = net.owned_free, index


def _list(net: Net, own: Interface) -> list[int]:
    found, index = [], own.addresses
    while index != NONE:
        found.append(index)
        index = net.owned[index].next
    return found


def addresses(worker: Worker, interface: int) -> list[Owned]:
    """The interface's address records, in the order they were added."""
    net = net_of(worker)
    return [net.owned[index] for index in _list(net, present(net, interface))]


def _choose_sources(net: Net, own: Interface) -> None:
    mine = [net.owned[index] for index in _list(net, own)]
    own.source4 = next((owned.lo & 0xFFFFFFFF for owned in mine if owned.hi == 0), 0)
    first = next((owned for owned in mine if owned.hi not in (0, LINK_LOCAL_HI)), None)
    own.source_hi, own.source_lo = (first.hi, first.lo) if first else (0, 0)
