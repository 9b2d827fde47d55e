"""`bridge:NAME`, the data plane: a learning switch; what a member port sends enters it, and leaves by other members.

    learn      the source's place, which costs two loads when nothing changed
    find       the destination's: to that member; on the same member: nowhere; unknown or a group: to all others
    hand over  runs of frames of the same destination, as packets, through the member's rings (veth_rings.py)

A switch forwards no frame from an impossible source (zero or a group) and none to the sixteen addresses that IEEE
802.1Q 8.6.3 keeps on one link. Copies to all others are limited by a token bucket per member and worker: they multiply,
and a station that is nowhere must not cost everyone its bandwidth.

A frame that ends in the switch has its own verdict instead of TRANSMITTED; so every frame still has exactly one.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, array_at, au32, au64, copy, fence, fixed, hot, leaf, load_be64, u8, u32, u64
from pronghorn.compiled.hashing import shift_right
from pronghorn.ports.bridge_table import NOWHERE, BridgeTable, epoch_at, station_find, station_learn, station_sweep
from pronghorn.ports.veth import burst_octets
from pronghorn.ports.veth_rings import Inlet, Outlet, end_in_driver, hand_over, inlet_receive, refuse, settle
from pronghorn.state.packet import HEADROOM, Packet
from pronghorn.state.packets import allocate_for, release
from pronghorn.state.port import TRANSMIT_BURST, Port, Queue
from pronghorn.state.verdicts import BRIDGE_FLOOD_LIMIT, BRIDGE_SAME_PORT, MULTICAST_IGNORED
from pronghorn.state.worker import Worker
from pronghorn.wire.reasons import ETHERNET_GROUP_SOURCE, ETHERNET_RUNT

MEMBERS = 64
SECOND = 1_000_000_000

# what becomes of a frame: a member's number, to all others, or a verdict
_FLOOD = MEMBERS
_SAME, _RUNT, _BAD_SOURCE, _RESERVED = MEMBERS + 1, MEMBERS + 2, MEMBERS + 3, MEMBERS + 4

_GROUP = 1 << 40  # of an address
_RESERVED_FIRST, _RESERVED_LAST = 0x0180C2000000, 0x0180C200000F
_HEADER = 14


class Member(View, align=64, size=64):
    """One port of the switch. Written by the control plane."""

    outlets: au64  # address of the Array of its Outlets, by sending worker; 0 when there is no such member


class Bridge(View, align=64):
    """A switch."""

    table: BridgeTable
    count: u32  # members that there ever were at once: the ones to look at
    members: Array[Member] = fixed(MEMBERS, align=64)


class BridgeQueue(View, align=64):
    """A worker's end of a member. Written by that worker, the first line by the control plane."""

    bridge: u64  # address of the Bridge
    inlet: u64  # address of its Inlet
    member: u32
    swept: u32  # the bucket that is swept next
    busy: au32  # 1 while the worker is in the switch; whoever takes a member away waits for 0
    unused: u32
    cost: u64  # ns of credit that a flooded frame uses up
    credit: u64  # ns; the tokens
    most: u64  # ns of credit at most
    then: u64  # worker.now when the credit was last counted
    flooded: u64  # copies made
    lost: u64  # copies that found no packet or no room
    scratch: Array[u64] = fixed(1)  # a copy on its way
    targets: Array[u8] = fixed(TRANSMIT_BURST, align=64)


@hot
def bridge_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """What the switch has for this member into worker.burst; returns how many."""
    own = BridgeQueue(queue.driver)
    table = Bridge(own.bridge).table
    bucket = own.swept
    station_sweep(table, bucket, epoch_at(table, worker.now))
    own.swept = bucket + 1 if bucket + 1 < table.buckets else 0
    return inlet_receive(worker, queue, Inlet(own.inlet), room)


@hot
def bridge_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Frames into the switch; returns how many it took."""
    own = BridgeQueue(queue.driver)
    bridge = Bridge(own.bridge)
    own.busy = 1
    fence()  # whoever takes a member away stores 0, then loads busy: one of us sees the other
    octets = _decide(worker, bridge.table, own, packets, count)
    at, refused = 0, 0
    while at < count:
        target, end = own.targets[at], at + 1
        while end < count and own.targets[end] == target:
            end += 1
        run = array_at(u64, packets.address + 8 * at)
        if target < MEMBERS:
            taken = _forward(worker, bridge.members[target], run, end - at)
            refused = refuse(packets, refused, at + taken, end)
        elif target == _FLOOD:
            _flood(worker, bridge, own, run, end - at)
        else:
            end_in_driver(worker, _verdict(target), run, end - at)
        at = end
    own.busy = 0
    taken = settle(packets, refused, count)
    if refused != 0:
        octets -= burst_octets(array_at(u64, packets.address + 8 * taken), refused)
    queue.tx_packets += taken
    queue.tx_octets += octets
    return taken


@leaf
def _decide(worker: Worker, table: BridgeTable, own: BridgeQueue, packets: Array[u64], count: int) -> int:
    """Learn from every frame and note where it goes in own.targets; returns the octets of all."""
    epoch, member, octets = epoch_at(table, worker.now), own.member, 0
    for place in range(count):
        packet = Packet(packets[place])
        octets += packet.length
        own.targets[place] = _target(table, packet, member, epoch)
    return octets


@leaf
def _target(table: BridgeTable, packet: Packet, member: int, epoch: int) -> int:
    """Learn from the frame; where it goes."""
    if packet.length < _HEADER:
        return _RUNT
    data = packet.data
    source = shift_right(load_be64(data + 6), 16)
    if source & _GROUP != 0 or source == 0:
        return _BAD_SOURCE
    station_learn(table, source, member, epoch)
    destination = shift_right(load_be64(data), 16)
    if destination & _GROUP != 0:
        return _RESERVED if _RESERVED_FIRST <= destination <= _RESERVED_LAST else _FLOOD
    found = station_find(table, destination, epoch)
    return _FLOOD if found == NOWHERE else _SAME if found == member else found


@leaf
def _verdict(target: int) -> int:
    return (
        BRIDGE_SAME_PORT
        if target == _SAME
        else ETHERNET_RUNT
        if target == _RUNT
        else ETHERNET_GROUP_SOURCE
        if target == _BAD_SOURCE
        else MULTICAST_IGNORED
    )


@leaf
def _forward(worker: Worker, member: Member, packets: Array[u64], count: int) -> int:
    """To one member; returns how many it had room for."""
    outlets = member.outlets
    if outlets == 0:
        return 0
    return hand_over(worker, Outlet(outlets + worker.index * Outlet.SIZE), packets, count)


@hot
def _flood(worker: Worker, bridge: Bridge, own: BridgeQueue, packets: Array[u64], count: int) -> None:
    """To all other members, as far as the limit allows."""
    own.credit = min(own.credit + max(worker.now - own.then, 0), own.most)
    own.then = worker.now
    allowed = min(count, own.credit // own.cost)
    own.credit -= allowed * own.cost
    for place in range(allowed):
        _flood_one(worker, bridge, own, array_at(u64, packets.address + 8 * place))
    if allowed < count:
        end_in_driver(worker, BRIDGE_FLOOD_LIMIT, array_at(u64, packets.address + 8 * allowed), count - allowed)


@hot
def _flood_one(worker: Worker, bridge: Bridge, own: BridgeQueue, packets: Array[u64]) -> None:
    """A copy to every other member but the last, which gets the frame itself."""
    last = -1
    for number in range(bridge.count):
        if number != own.member and bridge.members[number].outlets != 0:
            if last >= 0:
                _copy(worker, bridge.members[last], own, Packet(packets[0]))
            last = number
    own.flooded += 1
    if last < 0 or _forward(worker, bridge.members[last], packets, 1) == 0:
        own.lost += 1
        release(worker, Packet(packets[0]))


@hot
def _copy(worker: Worker, member: Member, own: BridgeQueue, packet: Packet) -> None:
    """A copy of the frame to one member."""
    twin = allocate_for(worker, packet.length)
    own.flooded += 1
    if twin.address == 0 or packet.length > twin.room - HEADROOM:
        own.lost += 1
        if twin.address != 0:
            release(worker, twin)
        return
    copy(twin.data, packet.data, packet.length)
    twin.length, twin.flags, twin.gso_size = packet.length, packet.flags, packet.gso_size
    own.scratch[0] = twin.address
    if _forward(worker, member, own.scratch, 1) == 0:
        own.lost += 1
        release(worker, twin)
