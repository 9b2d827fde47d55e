"""Our own addresses: which packets are for us, and what we call ourselves towards others.

Any address is ours on every interface (the weak host model, RFC 1122 3.3.4.2): a service's address may be asked for
on any link. Link-local addresses are the exception: they are the same network on every link, so each belongs to its
own.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.compiled.hashing import mix, shift_right
from pronghorn.memory.hashtable import HashIndex, hash_first, hash_next
from pronghorn.net.state import DIRECT, LINK_LOCAL_HI, MAPPED, NONE, PRESENT, Net, net_of
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.wire.ipv4 import BROADCAST
from pronghorn.wire.ipv6 import ALL_NODES_HI, ALL_NODES_LO, SOLICITED_NODE_LO, is_link_local

ALL_HOSTS4 = 0xE000_0001  # 224.0.0.1


@hot
def owned_find(net: Net, hi: int, lo: int) -> int:
    """Index of our address, or -1. Of a link-local address on several interfaces, any one."""
    index = HashIndex(net.owned_index)
    hash = mix(hi, lo, index.secret)
    found = hash_first(index, hash)
    while found >= 0:
        owned = net.owned[found]
        if owned.lo == lo and owned.hi == hi:
            return found
        found = hash_next(index, hash, found)
    return -1


@hot
def owned_on(net: Net, interface: int, hi: int, lo: int) -> int:
    """Index of the address that we answer for on `interface`, or -1."""
    if not is_link_local(hi):
        return owned_find(net, hi, lo)
    return interface_address(net, interface, hi, lo)


@hot
def interface_address(net: Net, interface: int, hi: int, lo: int) -> int:
    """Index of the address among the interface's own, or -1."""
    found = net.interfaces[interface].addresses
    while found != NONE:
        owned = net.owned[found]
        if owned.lo == lo and owned.hi == hi:
            return found
        found = owned.next
    return -1


@leaf
def is_local4(worker: Worker, address: int) -> bool:
    """Whether the IPv4 address is one of ours."""
    return owned_find(net_of(worker), 0, MAPPED | address) >= 0


@leaf
def is_local6(worker: Worker, hi: int, lo: int) -> bool:
    """Whether the IPv6 address is one of ours."""
    return owned_find(net_of(worker), hi, lo) >= 0


@hot
def may_be_own(worker: Worker, packet: Packet) -> bool:
    """Whether a packet from an address of ours may be our own, or come from another process that has it too."""
    if worker.net == 0:
        return False
    net = net_of(worker)
    if worker.programs != 0 and input_interface(worker, packet) >= 0:
        return net.interfaces[packet.port].flags & DIRECT != 0  # a program's link, or the way back in
    return net.here != 0 and (net.shared != 0 or packet.port == net.here - 1)


@leaf
def is_member4(address: int) -> bool:
    """Whether we are a member of the IPv4 group: of all hosts (224.0.0.1) and of everybody (255.255.255.255)."""
    return address == ALL_HOSTS4 or address == BROADCAST


@leaf
def is_member6(hi: int, lo: int) -> bool:
    """Whether we are a member of the IPv6 group: all nodes, or solicited nodes (whose target discovery looks at)."""
    return hi == ALL_NODES_HI and (lo == ALL_NODES_LO or lo & ~0xFF_FFFF == SOLICITED_NODE_LO)


@hot
def is_broadcast4(worker: Worker, interface: int, address: int) -> bool:
    """Whether the address is the broadcast address of a network of the interface (RFC 919)."""
    net = net_of(worker)
    found = net.interfaces[interface].addresses
    while found != NONE:
        owned = net.owned[found]
        hosts = (1 << (128 - owned.length)) - 1 if owned.length > 96 else 0
        if hosts > 1 and address == owned.lo & 0xFFFF_FFFF | hosts:
            return True
        found = owned.next
    return False


@leaf
def in_prefix(hi: int, lo: int, prefix_hi: int, prefix_lo: int, length: int) -> bool:
    """Whether the first `length` bits (0 to 128) agree."""
    if length <= 64:
        return length == 0 or shift_right(hi ^ prefix_hi, 64 - length) == 0
    return hi == prefix_hi and shift_right(lo ^ prefix_lo, 128 - length) == 0


@leaf
def input_interface(worker: Worker, packet: Packet) -> int:
    """The interface of the port that the packet came from, or -1."""
    net = net_of(worker)
    interface = packet.port  # they have the same numbers
    if interface >= net.interface_count or net.interfaces[interface].flags & PRESENT == 0:
        return -1
    return interface


@hot
def source4(worker: Worker, interface: int, towards: int) -> int:
    """Our IPv4 address to speak from on the interface: one in the same network, or the first; 0 when it has none."""
    net = net_of(worker)
    found = net.interfaces[interface].addresses
    while found != NONE:
        owned = net.owned[found]
        if owned.length >= 96 and in_prefix(0, MAPPED | towards, owned.hi, owned.lo, owned.length):
            return owned.lo & 0xFFFF_FFFF
        found = owned.next
    return net.interfaces[interface].source4


@hot
def source6(worker: Worker, interface: int, hi: int, lo: int) -> tuple[int, int]:
    """Our IPv6 address to speak from (RFC 6724 section 5, rules 2 and 8, shortened).

    One of the destination's scope, then one in its network, then the first global one; else the link-local one.
    """
    net = net_of(worker)
    own = net.interfaces[interface]
    if is_link_local(hi) or (hi >> 56 & 0xFF == 0xFF and hi >> 48 & 0xF == 2):
        return LINK_LOCAL_HI, own.link_local
    found = own.addresses
    while found != NONE:
        owned = net.owned[found]
        if owned.hi != 0 and in_prefix(hi, lo, owned.hi, owned.lo, owned.length):
            return owned.hi, owned.lo
        found = owned.next
    if own.source_hi != 0:
        return own.source_hi, own.source_lo
    return LINK_LOCAL_HI, own.link_local
