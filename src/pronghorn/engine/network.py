"""Addresses, routes and neighbours of an engine, for C programs; its sockets are in calls.py.

An IPv4 address is a pointer to 4 octets, an IPv6 address one to 16, in network order, as inet_pton(3) writes them. A
prefix length counts the bits of its own family. The functions return a number that is not negative, or one of the
PRONGHORN_NET constants and nothing has changed.
"""

from __future__ import annotations

from pronghorn.compiled import Const, constants, entry, hot, leaf, load_be32, load_be64, u8
from pronghorn.net import change_routes as refusals
from pronghorn.net.change import address_add, address_remove, mtu_change
from pronghorn.net.change_routes import BAD_LENGTH, BAD_MTU, neighbour_set, prefix_hi, prefix_lo, route_add
from pronghorn.net.group_nodes import nodes_report
from pronghorn.net.state import GATEWAY, MAPPED
from pronghorn.state.endpoints import Address
from pronghorn.state.worker import Worker, wake_at

constants(
    "Why a change of addresses, routes or neighbours cannot be.",
    "NET",
    **{
        name: getattr(refusals, name)
        for name in (
            "NO_INTERFACE",
            "HAS_INTERFACE",
            "BAD_ADDRESS",
            "BAD_LENGTH",
            "OTHER_LENGTH",
            "OTHER_INTERFACE",
            "OWN_ADDRESS",
            "TWO_FAMILIES",
            "NOT_THERE",
            "ADDRESSES_FULL",
            "ROUTES_FULL",
            "PREFIXES_FULL",
            "NEIGHBOURS_FULL",
            "BAD_MTU",
        )
    },
)


@leaf
def _four(address: Const[u8]) -> int:
    """The second half of the IPv4 address at `address`, as the tables hold it."""
    return MAPPED | load_be32(address.address)


@leaf
def _due(worker: Worker, done: int) -> int:
    """Something may have to be announced, or packets go: the next turn is due at once."""
    wake_at(worker, worker.now)
    return done


# --- addresses ----------------------------------------------------------------------------------------------------


@entry
def engine_address4(worker: Worker, interface: int, address: Const[u8], length: int) -> int:
    """Own the IPv4 address on the interface, and reach its network, of `length` bits, through it."""
    if length < 0 or length > 32:
        return BAD_LENGTH
    return _due(worker, address_add(worker, interface, 0, _four(address), 96 + length))


@entry
def engine_address6(worker: Worker, interface: int, address: Const[u8], length: int) -> int:
    """Own the IPv6 address on the interface, and reach its network, of `length` bits, through it."""
    if length < 0 or length > 128:
        return BAD_LENGTH
    hi, lo = load_be64(address.address), load_be64(address.address + 8)
    return _due(worker, address_add(worker, interface, hi, lo, length))


@entry
def engine_remove_address4(worker: Worker, interface: int, address: Const[u8], length: int) -> int:
    """Undo engine_address4."""
    return _due(worker, address_remove(worker, interface, 0, _four(address), 96 + length))


@entry
def engine_remove_address6(worker: Worker, interface: int, address: Const[u8], length: int) -> int:
    """Undo engine_address6."""
    hi, lo = load_be64(address.address), load_be64(address.address + 8)
    return _due(worker, address_remove(worker, interface, hi, lo, length))


@entry
def engine_report_nodes(worker: Worker) -> None:
    """Report the solicited-node groups of IPv6 addresses to routers and to switches that snoop on MLD, from now on."""
    nodes_report(worker)
    wake_at(worker, worker.now)


@entry
def engine_mtu(worker: Worker, interface: int, mtu: int) -> int:
    """Set the interface's MTU, octets of layer 3: at least 1280, at most that of the configuration."""
    if mtu < 1280 or interface < 0 or interface >= worker.port_count or mtu > worker.ports[interface].mtu:
        return BAD_MTU
    return mtu_change(worker, interface, mtu)


@entry
def engine_endpoint4(target: Address, address: Const[u8], port: int) -> None:
    """Write the IPv4 address and the port (a plain number) into an Address, for socket calls."""
    target.hi, target.lo, target.port, target.family, target.interface = 0, _four(address), port, 4, 0


@entry
def engine_endpoint6(target: Address, address: Const[u8], port: int) -> None:
    """Write the IPv6 address and the port (a plain number) into an Address, for socket calls."""
    target.hi, target.lo = load_be64(address.address), load_be64(address.address + 8)
    target.port, target.family, target.interface = port, 6, 0


# --- routes -------------------------------------------------------------------------------------------------------


@entry
def engine_route4(worker: Worker, interface: int, prefix: Const[u8], length: int, gateway: Const[u8]) -> int:
    """Send packets to the IPv4 prefix to the router `gateway`; NULL: they are neighbours on the interface.

    Of several routes the one with the longest prefix counts, of equal prefixes the first. In raw-IP mode all that
    matters is the interface.
    """
    if length < 0 or length > 32:
        return BAD_LENGTH
    lo = _four(prefix)
    if gateway.address == 0:
        return _route(worker, 0, lo, 96 + length, interface, 0, 0, 0)
    return _route(worker, 0, lo, 96 + length, interface, 0, _four(gateway), GATEWAY)


@entry
def engine_route6(worker: Worker, interface: int, prefix: Const[u8], length: int, gateway: Const[u8]) -> int:
    """Send packets to the IPv6 prefix to the router `gateway`; NULL: they are neighbours on the interface."""
    if length < 0 or length > 128:
        return BAD_LENGTH
    hi, lo, way = load_be64(prefix.address), load_be64(prefix.address + 8), gateway.address
    if way == 0:
        return _route(worker, hi, lo, length, interface, 0, 0, 0)
    return _route(worker, hi, lo, length, interface, load_be64(way), load_be64(way + 8), GATEWAY)


@hot
def _route(
    worker: Worker, hi: int, lo: int, length: int, interface: int, gateway_hi: int, gateway_lo: int, flags: int
) -> int:
    """The route, bits beyond the prefix cleared."""
    hi, lo = prefix_hi(hi, length), prefix_lo(lo, length)
    return _due(worker, route_add(worker, hi, lo, length, interface, gateway_hi, gateway_lo, flags))


# --- neighbours ---------------------------------------------------------------------------------------------------


@entry
def engine_neighbour4(worker: Worker, interface: int, address: Const[u8], mac: int) -> int:
    """Set the hardware address (48 bits, first octet most significant) of an IPv4 neighbour for good."""
    return _due(worker, neighbour_set(worker, interface, 0, _four(address), mac))


@entry
def engine_neighbour6(worker: Worker, interface: int, address: Const[u8], mac: int) -> int:
    """Set the hardware address (48 bits, first octet most significant) of an IPv6 neighbour for good."""
    hi, lo = load_be64(address.address), load_be64(address.address + 8)
    return _due(worker, neighbour_set(worker, interface, hi, lo, mac))
