"""The control side: interfaces, addresses, routes and permanent neighbours come and go. Plain Python over change.py.

Called between two turns of the worker, for each worker. Each function does all of it or raises NetError and has
changed nothing. Whatever could make an index that somebody keeps wrong changes Net.generation.

    add_interface(worker, port)                                # its number is the port's; it owns fe80::/64 plus MAC
    add_address(worker, interface, ip_interface("192.0.2.1/24"))   # and the route to 192.0.2.0/24
    add_route(worker, ip_network("0.0.0.0/0"), interface, ip_address("192.0.2.254"))
"""

from __future__ import annotations

from pronghorn.net.change import address_add, address_remove, eui64, interface_add, interface_remove, mtu_change
from pronghorn.net.change_routes import (
    ADDRESSES_FULL,
    BAD_ADDRESS,
    HAS_INTERFACE,
    NO_INTERFACE,
    NOT_THERE,
    OTHER_INTERFACE,
    OTHER_LENGTH,
    PREFIXES_FULL,
    ROUTES_FULL,
)
from pronghorn.net.configure_routes import AnyInterface, NetError, halves, present
from pronghorn.net.state import FORWARDING, NONE, Owned, net_of
from pronghorn.state.worker import Worker

__all__ = [
    "add_address",
    "add_interface",
    "addresses",
    "change_mtu",
    "eui64",
    "remove_address",
    "remove_interface",
]

# --- interfaces ---------------------------------------------------------------------------------------------------


def add_interface(worker: Worker, port: int, forwarding: int = 0) -> int:
    """Make the interface of a port, with the port's MAC and MTU. Its number is the port's; sets port.interface."""
    net = net_of(worker)
    done = interface_add(worker, port, FORWARDING if forwarding else 0)
    if done == NO_INTERFACE:
        raise NetError(f"port {port}: this engine was made for {net.interface_limit} interfaces")
    if done == HAS_INTERFACE:
        raise NetError(f"port {port} has an interface already")
    if done < 0:
        raise NetError(f"no room for another address: this engine was made for {net.owned_limit}")
    return port


def remove_interface(worker: Worker, interface: int) -> None:
    """Remove the interface with its addresses, routes and neighbours. Packets that waited end as NEIGHBOUR_FAILED."""
    present(net_of(worker), interface)
    interface_remove(worker, interface)


def change_mtu(worker: Worker, interface: int, mtu: int) -> None:
    """Set the interface's MTU in octets of layer 3."""
    present(net_of(worker), interface)
    mtu_change(worker, interface, mtu)


# --- addresses ----------------------------------------------------------------------------------------------------


def add_address(worker: Worker, interface: int, address: AnyInterface) -> None:
    """Own the address and reach its network through the interface. Twice the same address is counted twice."""
    net = net_of(worker)
    present(net, interface)
    done = address_add(worker, interface, *halves(address.ip), _length(address))
    if done < 0:
        raise NetError(
            {
                BAD_ADDRESS: f"{address.ip} cannot be an address of an interface",
                OTHER_LENGTH: f"{address.ip} is there with another prefix length",
                OTHER_INTERFACE: f"{address.ip} belongs to another interface",
                ADDRESSES_FULL: f"no room for another address: this engine was made for {net.owned_limit}",
                ROUTES_FULL: f"no room for another route: this engine was made for {net.route_limit}",
                PREFIXES_FULL: f"no room for the prefix {address.network}",
            }[done]
        )


def remove_address(worker: Worker, interface: int, address: AnyInterface) -> None:
    """Undo one add_address. The last one removes the route to its network too."""
    present(net_of(worker), interface)
    done = address_remove(worker, interface, *halves(address.ip), _length(address))
    if done == NOT_THERE:
        raise NetError(f"{address.ip} is not an address of the interface")
    if done < 0:
        raise NetError(f"{address.ip} is there with another prefix length")


def _length(address: AnyInterface) -> int:
    """Bits of its network, out of 128."""
    return address.network.prefixlen + (96 if address.version == 4 else 0)


def addresses(worker: Worker, interface: int) -> list[Owned]:
    """The interface's address records, in the order they were added."""
    net = net_of(worker)
    found, index = [], present(net, interface).addresses
    while index != NONE:
        found.append(net.owned[index])
        index = net.owned[index].next
    return found
