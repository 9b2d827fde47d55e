"""TAP (Documentation/networking/tuntap.rst), the data plane: one read or write per frame, a virtio-net header first.

Frames cross as they are, in both directions: with unfinished checksums and, when the engine has 64 KB chunks,
unsegmented. Since a frame's length is known only once it has been read, it is read into a 64 KB chunk that is kept at
hand, and copied into an ordinary one if it fits.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, external, hot, i32, i64, leaf, u32, u64
from pronghorn.ports.virtio import VIRTIO, VirtioHeader, virtio_read, virtio_write
from pronghorn.state.packet import HEADROOM, SMALL_ROOM, Packet
from pronghorn.state.packets import allocate, allocate_large, release
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker

ETHERNET = 14

read = external("read", (i32, u64, u64), i64)
write = external("write", (i32, u64, u64), i64)


class TapQueue(View, align=64, size=64):
    """A worker's descriptor of the device."""

    spare: u64  # address of the packet that the next frame is read into; 0 when there is none
    fd: i32
    large: u32  # 1 when frames may be longer than an ordinary chunk
    lost: u64  # frames read and dropped, because no chunk was left


@hot
def tap_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """Frames that the kernel sent out of the device into worker.burst; returns how many."""
    own = TapQueue(queue.driver)
    received, octets = 0, 0
    while received < room:
        target = _spare(worker, own)
        if target.address == 0:
            break  # the frames stay in the kernel
        count = read(own.fd, target.data - VIRTIO, target.room - HEADROOM + VIRTIO) - VIRTIO
        if count < ETHERNET:
            break
        target.length = count
        virtio_read(target, VirtioHeader(target.data - VIRTIO))
        packet = _fitting(worker, own, target)
        if packet.address == 0:
            queue.rx_errors += 1
            continue
        packet.port = queue.port
        worker.burst[received] = packet.address
        received += 1
        octets += count
    queue.rx_packets += received
    queue.rx_octets += octets
    return received


@leaf
def _spare(worker: Worker, own: TapQueue) -> Packet:
    """The packet to read into."""
    if own.spare == 0:
        own.spare = allocate_large(worker).address if own.large != 0 else allocate(worker).address
    return Packet(own.spare)


@hot
def _fitting(worker: Worker, own: TapQueue, target: Packet) -> Packet:
    """The frame in a chunk of a fitting size; address 0 when there is none, and the frame is gone."""
    if own.large == 0 or target.length > SMALL_ROOM:
        own.spare = 0
        return target
    packet = allocate(worker)
    if packet.address == 0:
        own.lost += 1
    else:
        copy(packet.data, target.data, target.length)
        packet.length, packet.flags, packet.gso_size = target.length, target.flags, target.gso_size
    target.flags, target.gso_size = 0, 0
    return packet


@hot
def tap_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Frames to the kernel, which receives them from the device. Takes all; what the kernel refuses is counted."""
    own = TapQueue(queue.driver)
    sent = 0
    for i in range(count):
        packet = Packet(packets[i])
        virtio_write(packet)
        if write(own.fd, packet.data - VIRTIO, packet.length + VIRTIO) > 0:
            sent += 1
            queue.tx_octets += packet.length
        release(worker, packet)
    queue.tx_packets += sent
    queue.tx_full += count - sent
    return count
