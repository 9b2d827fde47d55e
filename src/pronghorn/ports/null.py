"""`null:` makes frames and swallows frames: one end of every benchmark, with no device in between.

What a queue makes is chosen by its record: nothing; frames of a given length whose octets are what lies in the chunk
(as DPDK's net_null does); or one template frame, its IPv4 source address and source port stepping through a number of
flows, with both checksums right. Whatever is sent to the port is counted and freed.
"""

from __future__ import annotations

from collections.abc import Sequence

from pronghorn.compiled import Array, View, copy, field, fixed, hot, leaf, u8, u32, u64
from pronghorn.ports.driver import EngineMemory, describe, fresh_table
from pronghorn.state.packet import Packet
from pronghorn.state.packets import allocate, release
from pronghorn.state.port import NULL, Port, Queue
from pronghorn.state.worker import Worker
from pronghorn.wire.checksum import fold
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.tcp import TCP

TEMPLATE = 256
"""Octets that a template frame may have."""

STRIDE = 7919
"""A prime to step through the flows with, so that neighbours in time are not neighbours in memory."""

PORTS_PER_ADDRESS = 1 << 15
FIRST_PORT = 1024

LOCAL_MAC = 0x020000000000
"""A locally administered unicast address; null ports take it plus their index."""


class NullQueue(View, align=64):
    """What one worker's end of a null port makes."""

    octets: u32  # per frame; 0: nothing arrives
    flows: u32  # 0: frames are left as they lie in their chunks; otherwise the template, over this many flows
    next: u32  # flow of the next frame
    source: u32  # IPv4 address of the first 32,768 flows; the next ones have the next address
    remaining: u64  # frames still to make; counts down, and never ends from a negative number
    network_sum: u32  # checksum over the template's IPv4 header, its source address being 0, unfolded
    transport_sum: u32  # the same for TCP, source port being 0 too
    template: Array[u8] = fixed(TEMPLATE, align=64)
    stride: u32 = field(align=64)  # from one frame's flow to the next one's; below `flows`
    destinations: u32  # the flows' IPv4 destinations: as many as that, from the template's up; 0 is 1


@hot
def null_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """Make up to `room` frames into worker.burst; returns how many."""
    own = NullQueue(queue.driver)
    octets = own.octets
    if octets == 0 or own.remaining == 0:
        return 0
    if own.remaining > 0:
        room = min(room, own.remaining)
        own.remaining -= room
    flows, index = own.flows, port.index
    count = 0
    while count < room:
        packet = allocate(worker)
        if packet.address == 0:
            break
        packet.length = octets
        packet.port = index
        if flows != 0:
            _write(own, packet)
        worker.burst[count] = packet.address
        count += 1
    queue.rx_packets += count
    queue.rx_octets += count * octets
    return count


@leaf
def _write(own: NullQueue, packet: Packet) -> None:
    """The template as a packet of the next flow."""
    flow = own.next
    following = flow + own.stride
    own.next = following - own.flows if following >= own.flows else following
    copy(packet.data, own.template.address, 64)
    ip, tcp = IPv4(packet.data + 14), TCP(packet.data + 34)
    source = own.source + (flow >> 15)
    sport = FIRST_PORT + (flow & PORTS_PER_ADDRESS - 1)
    words = (source >> 16) + (source & 0xFFFF)
    if own.destinations > 1:
        beyond = flow % own.destinations  # the lower half of the address has room for it
        ip.dst += beyond
        words += beyond
    ip.src = source
    ip.checksum = ~fold(own.network_sum + words)
    tcp.sport = sport
    tcp.checksum = ~fold(own.transport_sum + words + sport)


@hot
def null_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Swallow the frames."""
    octets = 0
    for place in range(count):
        packet = Packet(packets[place])
        octets += packet.length
        release(worker, packet)
    queue.tx_packets += count
    queue.tx_octets += octets
    return count


class NullPort:
    """A null port. Set what its queues make through `queue(worker)` after opening."""

    kind = NULL
    mtu = 1500
    offloads = 0
    descriptors = 0

    def __init__(self, device: str = "", octets: int = 0) -> None:
        self.device = device
        self.mac = 0
        self._octets = octets
        self._queues: Array[NullQueue] | None = None

    def open(self, engine: EngineMemory, port: Port, queues: Sequence[Queue]) -> None:
        """Every worker gets a queue."""
        table: Array[NullQueue] = fresh_table(engine.arena, f"null.{port.index}", NullQueue, len(queues))
        for number, queue in enumerate(queues):
            table[number].octets, table[number].remaining = self._octets, -1
            queue.driver = table[number].address
        self.mac = LOCAL_MAC | port.index
        describe(port, self, len(queues))
        self._queues = table

    def queue(self, worker: int) -> NullQueue:
        """What worker number `worker`'s end makes."""
        assert self._queues is not None, "the port is not open"
        return self._queues[worker]

    def close(self) -> None:
        """Nothing is held."""

    def statistics(self) -> dict[str, int | str]:
        """A null port has nothing of its own to count."""
        return {}
