"""AF_PACKET (packet(7), Documentation/networking/packet_mmap.rst), the data plane: for kernels without AF_XDP.

Receiving: a ring of slots that the kernel copies frames into (TPACKET_V2: one slot per frame, seen at once; V3's blocks
are seen a millisecond or more later). A frame longer than a slot (unsegmented, from a neighbour on this machine or put
together by the kernel's GRO) waits on the socket besides, and is read from there into a 64 KB chunk.

Transmitting: one sendmmsg per burst, which copies. A transmit ring would not: but the kernel gives its slots back when
a frame leaves the device, and on a veth the receiver still reads from them by then.

Before each frame stands a virtio-net header, both ways: unfinished checksums and unsegmented frames pass as they are.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    View,
    au32,
    copy,
    external,
    field,
    hot,
    i32,
    i64,
    leaf,
    move,
    store_be16,
    u16,
    u32,
    u64,
)
from pronghorn.ports.virtio import VIRTIO, VirtioHeader, virtio_read, virtio_write
from pronghorn.state.packet import HEADROOM, Packet
from pronghorn.state.packets import allocate, allocate_large, release
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker
from pronghorn.wire.numbers import ETHERTYPE_VLAN

SLOT = 2048
"""Octets of a slot, its header included."""

ETHERNET = 14
_USER, _COPY, _VLAN_VALID, _TYPE_VALID = 1, 2, 16, 64  # TP_STATUS_...
_PATIENCE = 4  # frames that the kernel may refuse before the rest of a burst is given up
_DONT_WAIT, _TRUNCATED = 0x40, 0x20  # MSG_...

recvfrom = external("recvfrom", (i32, u64, u64, i32, u64, u64), i64)
sendmmsg = external("sendmmsg", (i32, u64, u32, i32), i32)


class Slot(View, align=8, size=32):
    """struct tpacket2_hdr: a slot's header. Written by the kernel while `status` is 0, ours otherwise."""

    status: au32
    length: u32  # octets of the frame
    captured: u32  # octets of it that are in the slot
    mac: u16  # octets from here to the frame
    net: u16
    seconds: u32
    nanoseconds: u32
    vlan: u16  # tag that the kernel took off
    vlan_type: u16
    unused: u32


class Piece(View, align=8, size=16):
    """struct iovec."""

    start: u64
    octets: u64


class Message(View, align=8, size=64):
    """struct mmsghdr, of one piece. All zero but for these."""

    name: u64
    name_length: u64
    pieces: u64  # address of the Piece
    count: u64  # 1
    control: u64
    control_length: u64
    flags: u64
    sent: u64


class PacketQueue(View, align=64, size=128):
    """A worker's socket. Constant but for `next` and the counters."""

    ring: u64  # address of slot 0
    slots: u32
    next: u32  # the slot that the kernel fills next
    fd: i32
    room: u32  # messages that `messages` holds
    messages: Array[Message]
    pieces: Array[Piece]
    large: u64 = field(align=64)  # frames longer than a slot
    cut: u64  # of these, frames that were lost because no 64 KB chunk was left, or that were longer still


@hot
def packet_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """Frames of this worker's socket into worker.burst; returns how many."""
    own = PacketQueue(queue.driver)
    received, octets = 0, 0
    while received < room:
        slot = Slot(own.ring + own.next * SLOT)
        status = slot.status
        if status & _USER == 0:
            break
        packet = _large(worker, own) if status & _COPY != 0 else allocate(worker)
        if packet.address == 0 and status & _COPY == 0:
            break  # the frame stays in its slot
        if packet.address != 0 and _take(packet, slot, status):
            packet.port = queue.port
            worker.burst[received] = packet.address
            received += 1
            octets += packet.length
        else:
            queue.rx_errors += 1
            _discard(worker, packet)
        slot.status = 0
        own.next = own.next + 1 if own.next + 1 < own.slots else 0
    queue.rx_packets += received
    queue.rx_octets += octets
    return received


@leaf
def _take(packet: Packet, slot: Slot, status: int) -> bool:
    """The frame in the slot into the packet, or, when it is there already, what the slot says about it."""
    mac, captured = slot.mac, slot.captured
    if mac < Slot.SIZE + VIRTIO or mac + captured > SLOT or captured < ETHERNET:
        return False
    if packet.length == 0:
        if slot.length != captured:
            return False
        copy(packet.data, slot.address + mac, captured)
        packet.length = captured
    virtio_read(packet, VirtioHeader(slot.address + mac - VIRTIO))
    if status & _VLAN_VALID != 0:
        _put_tag(packet, slot.vlan_type if status & _TYPE_VALID != 0 else ETHERTYPE_VLAN, slot.vlan)
    return True


@hot
def _put_tag(packet: Packet, kind: int, tag: int) -> None:
    """Back into the frame with the tag that the kernel took off, so that frames look alike from every port."""
    packet.data -= 4
    packet.length += 4
    move(packet.data, packet.data + 4, 12)
    store_be16(packet.data + 12, kind)
    store_be16(packet.data + 14, tag)


@hot
def _large(worker: Worker, own: PacketQueue) -> Packet:
    """The frame that waits on the socket, in a 64 KB chunk; address 0, and the frame gone, when that cannot be."""
    own.large += 1
    packet = allocate_large(worker)
    if packet.address == 0:
        recvfrom(own.fd, 0, 0, _DONT_WAIT, 0, 0)
        own.cut += 1
        return packet
    room = packet.room - HEADROOM + VIRTIO
    octets = recvfrom(own.fd, packet.data - VIRTIO, room, _DONT_WAIT | _TRUNCATED, 0, 0)
    if octets < VIRTIO + ETHERNET or octets > room:
        own.cut += 1
        release(worker, packet)
        return Packet(0)
    packet.length = octets - VIRTIO
    return packet


@leaf
def _discard(worker: Worker, packet: Packet) -> None:
    if packet.address != 0:
        release(worker, packet)


@hot
def packet_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Frames to this worker's socket; returns how many it took."""
    own = PacketQueue(queue.driver)
    count = min(count, own.room)
    for i in range(count):
        packet = Packet(packets[i])
        virtio_write(packet)
        own.pieces[i].start = packet.data - VIRTIO
        own.pieces[i].octets = packet.length + VIRTIO
    taken = 0
    for _ in range(_PATIENCE):
        sent = sendmmsg(own.fd, own.messages.address + taken * Message.SIZE, count - taken, _DONT_WAIT)
        for i in range(taken, taken + max(sent, 0)):
            packet = Packet(packets[i])
            queue.tx_octets += packet.length
            release(worker, packet)
        queue.tx_packets += max(sent, 0)
        taken += max(sent, 0)
        if taken == count:
            break
        queue.tx_full += 1  # the next one is refused: too long, or no memory
        release(worker, Packet(packets[taken]))
        taken += 1
        if taken == count:
            break
    return taken
