"""AF_XDP, the transmit side: frames onto the ring, chunks back from it, and the call that makes the kernel look.

A chunk belongs to the kernel from the moment its descriptor is on the ring until it comes back on the completion ring.
What a port cannot send as it is:

    unfinished checksum    told to the kernel by metadata before the frame (copy mode, from Linux 6.8), or done here
    unsegmented            cut here (segment.py): AF_XDP knows no segmentation
    in another chunk       copied into an ordinary one, if it fits
"""

from __future__ import annotations

from pronghorn.compiled import Array, copy, external, hot, i32, i64, leaf, load64, move, store16, store64, u32, u64
from pronghorn.memory.pool import PoolCache, pool_put
from pronghorn.ports.offload import checksum_place, complete_checksum
from pronghorn.ports.segment import segment
from pronghorn.ports.xdp_rings import (
    CHUNK,
    CHUNK_BITS,
    DONT_WAIT,
    INDEX,
    KERNEL_CHECKSUMS,
    METADATA,
    NEED_WAKEUP,
    SEGMENTS,
    Descriptor,
    Word,
    XdpSocket,
    theirs,
)
from pronghorn.state.packet import CHECKSUM_PARTIAL, HEADROOM, UNSEGMENTED, Packet
from pronghorn.state.packets import allocate, release
from pronghorn.state.port import Queue
from pronghorn.state.worker import Worker

_OPTION_METADATA = 2  # XDP_TX_METADATA
_METADATA_CHECKSUM = 2  # XDP_TXMD_FLAGS_CHECKSUM
_KICKS = 16

sendto = external("sendto", (i32, u64, u64, i32, u64, u32), i64)


@hot
def xdp_send(worker: Worker, queue: Queue, socket: XdpSocket, packets: Array[u64], count: int) -> int:
    """Put frames on the ring and let the kernel know. The caller holds the lock if there is one."""
    xdp_complete(worker, socket)
    ring = socket.transmit
    mine = ring.mine
    room = ring.size - ((mine - theirs(ring.consumer)) & INDEX)
    before, taken = queue.tx_packets, 0
    while taken < count and room > 0:
        packet = Packet(packets[taken])
        if packet.flags & UNSEGMENTED != 0:
            room -= _put_segments(worker, queue, socket, packet, room)
        else:
            _put(worker, queue, socket, packet)
            room -= 1
        taken += 1
    if queue.tx_packets != before:
        Word(ring.producer).value = ring.mine
        xdp_kick(socket)
    return taken


@leaf
def _put(worker: Worker, queue: Queue, socket: XdpSocket, packet: Packet) -> None:
    """One frame on the ring, which has room; the packet belongs to the kernel from now on."""
    packet = _sendable(worker, socket, packet)
    if packet.address == 0:
        queue.tx_full += 1
        return
    ring = socket.transmit
    mine, length = ring.mine, packet.length
    descriptor = Descriptor(ring.entries + (mine & (ring.size - 1)) * Descriptor.SIZE)
    descriptor.start = packet.data - socket.base
    descriptor.length = length
    descriptor.options = 0 if packet.flags & CHECKSUM_PARTIAL == 0 else _offload(socket, packet)
    socket.owned[packet.index] = 1
    ring.mine = mine + 1
    queue.tx_packets += 1
    queue.tx_octets += length


@hot
def _put_segments(worker: Worker, queue: Queue, socket: XdpSocket, packet: Packet, room: int) -> int:
    """An unsegmented frame on the ring, in pieces; returns how many."""
    count = segment(worker, packet, socket.segments, min(room, SEGMENTS))
    put = 0
    for k in range(count):
        piece = Packet(socket.segments[k])
        if piece.index < socket.chunks:
            _put(worker, queue, socket, piece)
            put += 1
        else:
            socket.unfit += 1  # longer than the kernel takes
            release(worker, piece)
    if count == 0:
        queue.tx_full += 1
    release(worker, packet)
    return put


@hot
def _sendable(worker: Worker, socket: XdpSocket, packet: Packet) -> Packet:
    """The packet, or one like it that the kernel accepts: in a chunk of ours, with room for metadata before it."""
    start = packet.data - packet.chunk
    if packet.index < socket.chunks and start >= METADATA and start + packet.length <= CHUNK:
        return packet
    if packet.length > CHUNK - HEADROOM:
        socket.unfit += 1
        release(worker, packet)
        return Packet(0)
    if packet.index < socket.chunks:
        move(packet.chunk + HEADROOM, packet.data, packet.length)
        packet.data = packet.chunk + HEADROOM
        return packet
    other = allocate(worker)
    if other.address == 0:
        socket.unfit += 1
    else:
        copy(other.data, packet.data, packet.length)
        other.length, other.flags = packet.length, packet.flags
    release(worker, packet)
    return other


@hot
def _offload(socket: XdpSocket, packet: Packet) -> int:
    """The checksum is to be filled: by the kernel, told so in metadata, or here. Returns the descriptor's options."""
    if socket.flags & KERNEL_CHECKSUMS == 0:
        complete_checksum(packet.data, packet.length)
        return 0
    start, offset, _ = checksum_place(packet.data, packet.length)
    if start == 0:
        return 0
    metadata = packet.data - METADATA
    store64(metadata, _METADATA_CHECKSUM)
    store64(metadata + 8, 0)
    store64(metadata + 16, 0)
    store16(metadata + 8, start)
    store16(metadata + 10, offset)
    return _OPTION_METADATA


@hot
def xdp_complete(worker: Worker, socket: XdpSocket) -> None:
    """Free the chunks whose frames are out."""
    ring = socket.completion
    mine = ring.mine
    done = (theirs(ring.producer) - mine) & INDEX
    if done == 0 or done > ring.size:
        return
    for i in range(done):
        index = load64(ring.entries + ((mine + i) & (ring.size - 1)) * 8) >> CHUNK_BITS
        if index < 0 or index >= socket.chunks or socket.owned[index] == 0:
            socket.wrong += 1
            continue
        socket.owned[index] = 0
        pool_put(PoolCache(worker.pool), index)
    ring.mine = mine + done
    Word(ring.consumer).value = mine + done


@hot
def xdp_kick(socket: XdpSocket) -> None:
    """Let the kernel send what is on the ring, if it wants to be told; in copy mode it takes a few frames per call."""
    ring = socket.transmit
    for _ in range(_KICKS):
        before = theirs(ring.consumer)
        if before == ring.mine or theirs(ring.flags) & NEED_WAKEUP == 0:
            return
        sendto(socket.fd, 0, 0, DONT_WAIT, 0, 0)
        if theirs(ring.consumer) == before:
            return
