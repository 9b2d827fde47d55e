"""Which worker a TCP or UDP packet belongs to; and an ICMP error about one.

* A reply to a local address of full NAT: the worker whose ports these are (balancer/local_ports.py). No hardware rule
  is needed.
* What goes to a service with NAT, and what goes to no address of ours while there is such a service: by a hash of the
  client's end, which requests and replies share (balancer/nat_owner.py).
* A datagram to a port that a socket has: a worker with such a socket (udp/owner.py).
* A TCP segment to an address of ours and a port of the range that connections are opened from: the worker whose ports
  these are (tcp/source.py). A listener at such a port hears all its connections on one worker.
* Anything else of a device that has a receive queue per worker: the worker that received it; the device's RSS has
  decided.
* Anything else of a device with fewer queues: by a hash of the source, or of the flow without a balancer; datagrams
  that nobody wants stay where they are.
* A TCP segment goes elsewhere than the last three say when only some workers listen, or when its connection was opened
  from a port that was bound: a table that all workers share says where (tcp/owner.py).

The decision comes after reassembly, so that fragments follow the packet they belong to.
"""

from __future__ import annotations

from pronghorn.balancer.local_ports import steer_reply
from pronghorn.balancer.nat_owner import end_owner, nat_owner, source_owner
from pronghorn.balancer.tables import LOCALS, Balancer
from pronghorn.compiled import hot, leaf, load16, load32, load64, load_be16
from pronghorn.net.addresses import is_local4, is_local6
from pronghorn.state.owners import packet_flow
from pronghorn.state.packet import Packet
from pronghorn.state.worker import Worker
from pronghorn.tcp.owner import segment_owner
from pronghorn.tcp.tcb import tcp_of
from pronghorn.udp.owner import datagram_owner
from pronghorn.wire import icmp
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP, PROTOCOL_UDP

DST4 = IPv4.offset("dst")
DST6_HI, DST6_LO = IPv6.offset("dst_hi"), IPv6.offset("dst_lo")
SRC4, SRC6 = IPv4.offset("src"), IPv6.offset("src_hi")


@hot
def owner_of(worker: Worker, packet: Packet) -> int:
    """Index of the worker that is to handle a TCP or UDP packet; prepared, if there is a balancer."""
    if worker.balancer != 0 and _is_for_local_address(Balancer(worker.balancer), packet):
        return steer_reply(worker, load_be16(packet.transport + 2))
    if worker.balancer != 0 and Balancer(worker.balancer).nat != 0:
        owner = nat_owner(worker, Balancer(worker.balancer), packet)
        if owner >= 0:
            return owner
    if worker.transports != 0 and packet.protocol == PROTOCOL_UDP:
        owner = datagram_owner(worker, packet)
        if owner >= 0:
            return owner
    home = _home(worker, packet)
    if worker.transports != 0 and packet.protocol == PROTOCOL_TCP:
        return segment_owner(worker, packet, home)
    return home


@hot
def error_owner(worker: Worker, balancer: Balancer, packet: Packet, at: int) -> int:
    """Index of the worker that has the connection of the packet that an ICMP error from the servers' side quotes, its
    layer 4 at `at`; -1: none has."""
    if _is_for_local_address(balancer, packet):
        return steer_reply(worker, load_be16(packet.transport + at))
    if balancer.nat == 0:
        return -1
    quoted, port = packet.transport + icmp.HEADER, load16(packet.transport + at)
    if packet.family == 4:
        if is_local4(worker, IPv4(packet.network).dst):
            return -1
        return end_owner(worker, 0, load32(quoted + SRC4), port)
    ip = IPv6(packet.network)
    if is_local6(worker, ip.dst_hi, ip.dst_lo):
        return -1
    return end_owner(worker, load64(quoted + SRC6), load64(quoted + SRC6 + 8), port)


@leaf
def _home(worker: Worker, packet: Packet) -> int:
    """The worker whom ports and devices lead to."""
    if worker.transports != 0 and packet.protocol == PROTOCOL_TCP and _is_opened_from(worker, packet):
        return load_be16(packet.transport + 2) % worker.workers
    if worker.ports[packet.port].queues >= worker.workers:
        return worker.index
    if worker.balancer != 0:
        return source_owner(worker, packet)
    if packet.protocol == PROTOCOL_UDP or worker.transports == 0:
        return worker.index
    return (packet_flow(worker, packet) & 0xFFFF_FFFF) % worker.workers


@hot
def _is_opened_from(worker: Worker, packet: Packet) -> bool:
    """Whether the segment goes to an address of ours and a port that connections are opened from."""
    port, tcp = load_be16(packet.transport + 2), tcp_of(worker)
    if port < tcp.port_low or port > tcp.port_high:
        return False
    if packet.family == 4:
        return is_local4(worker, IPv4(packet.network).dst)
    ip = IPv6(packet.network)
    return is_local6(worker, ip.dst_hi, ip.dst_lo)


@hot
def _is_for_local_address(balancer: Balancer, packet: Packet) -> bool:
    """Whether the destination is one of full NAT's local addresses."""
    if packet.family == 4:
        dst = load32(packet.network + DST4)
        for place in range(balancer.local_counts[0]):
            if balancer.locals[balancer.local_lists[place]].lo == dst:
                return True
        return False
    hi, lo = load64(packet.network + DST6_HI), load64(packet.network + DST6_LO)
    for place in range(balancer.local_counts[1]):
        local = balancer.locals[balancer.local_lists[LOCALS + place]]
        if local.lo == lo and local.hi == hi:
            return True
    return False
