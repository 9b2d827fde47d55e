"""AF_XDP (Documentation/networking/af_xdp.rst), the data plane: four rings per socket, shared with the kernel.

    receive      kernel -> us   descriptors of frames          fill        us -> kernel   chunks for frames to come
    transmit     us -> kernel   descriptors of frames          completion  kernel -> us   chunks whose frames are out

The memory for frames is the engine's own pool: every socket registers it, chunk n is packet n's, so a frame that
arrives is a packet by its index alone, and a packet that goes from one AF_XDP port to another is never copied here.

Rules:
* `owned` has a mark per chunk that is in the kernel's hands. A descriptor that comes back is believed only if its chunk
  is marked and the frame lies inside it; and closing the port frees exactly what is marked.
* An index of a ring is stored once per burst, by release, and read by acquire.
* The kernel is called only when it asks to be (NEED_WAKEUP), and frames it did not take wait for the next turn.
* A device with fewer queues than there are workers: the surplus workers receive nothing, and transmit on another's
  socket; its transmit and completion rings are then used under a lock that is held for one burst.
* A device with more queues: a worker owns several sockets and visits them in turn.

Checksums: `CHECKSUM_PARTIAL` is set where the neighbour is this machine (a veth), see `offload`. On transmission the
kernel fills the checksum where it can (copy mode, from Linux 6.8), otherwise it is filled here.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    View,
    au32,
    compare_exchange32,
    copy,
    entry,
    external,
    field,
    hot,
    i32,
    i64,
    leaf,
    load64,
    move,
    pause,
    prefetch,
    store16,
    store64,
    u8,
    u32,
    u64,
)
from pronghorn.memory.pool import PoolCache, pool_get, pool_put
from pronghorn.ports.offload import checksum_place, complete_checksum, is_partial
from pronghorn.state.packet import CHECKSUM_PARTIAL, HEADROOM, Packet
from pronghorn.state.packets import allocate, release
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker

CHUNK = 2048
CHUNK_BITS = 11
METADATA = 24
"""Octets before a transmitted frame that the kernel reads (struct xsk_tx_metadata), when the socket offloads."""

# XdpSocket.flags
KERNEL_CHECKSUMS = 1  # the kernel fills checksums: frames are described by metadata before them
LOCAL_PEER = 2  # frames may come with unfinished checksums, unmarked
ZERO_COPY = 4  # the device reads and writes the chunks itself
SHARED = 8  # several workers transmit here

_INDEX = 0xFFFFFFFF  # ring indexes count modulo 2^32
_NEED_WAKEUP = 1
_OPTION_METADATA = 2  # XDP_TX_METADATA
_METADATA_CHECKSUM = 2  # XDP_TXMD_FLAGS_CHECKSUM
_DONT_WAIT = 0x40
_FILL_STEP = 16  # chunks that are worth a look at the pool
_KICKS = 16

sendto = external("sendto", (i32, u64, u64, i32, u64, u32), i64)
recvfrom = external("recvfrom", (i32, u64, u64, i32, u64, u64), i64)


class Word(View):
    """An index or the flags of a ring, in the kernel's memory."""

    value: au32


class Descriptor(View, align=8, size=16):
    """A frame on the receive or transmit ring (struct xdp_desc)."""

    start: u64  # octets from the start of the memory for frames to the frame
    length: u32
    options: u32


class XdpRing(View, align=64, size=64):
    """Our view of one ring. Constant but for `mine`."""

    producer: u64  # addresses of the ring's words
    consumer: u64
    flags: u64
    entries: u64  # address of the first descriptor (receive, transmit) or chunk address (fill, completion)
    size: u32  # entries: a power of two
    mine: u32  # our index, the kernel's is in the ring


class XdpSocket(View, align=64):
    """A socket on one queue of a device. Receiving and filling belong to one worker."""

    receive: XdpRing
    fill: XdpRing
    transmit: XdpRing
    completion: XdpRing
    base: u64  # address of chunk 0
    owned: Array[u8]  # per chunk: 1 while the kernel has it through this socket
    chunks: u32
    fd: i32
    target: u32  # chunks to be kept on the receive side
    given: u32  # chunks that are there; written by the receiving worker
    flags: u32
    wrong: u32  # descriptors refused; 0 unless the kernel or we are broken
    unfit: u64  # packets that no chunk can carry, or without a chunk to copy them into
    lock: au32 = field(align=64)  # 1 while a worker transmits; used only if SHARED


class XdpEnd(View, align=64, size=64):
    """One worker's part of the device: it receives from sockets `first`, `first + step`, ..."""

    sockets: Array[XdpSocket]
    first: u32
    step: u32
    count: u32  # sockets it receives from; may be 0
    next: u32  # the one to begin with
    sender: u32  # the socket it transmits on


_LOCK = XdpSocket.offset("lock")


@leaf
def _theirs(place: int) -> int:
    return Word(place).value


@hot
def xdp_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """Frames of this worker's sockets into worker.burst; returns how many."""
    end = XdpEnd(queue.driver)
    received = 0
    for _ in range(end.count):
        socket = end.sockets[end.first + end.next * end.step]
        end.next = end.next + 1 if end.next + 1 < end.count else 0
        received += _receive(worker, queue, socket, received, room - received)
        _tend(worker, socket)
        if received >= room:
            break
    return received


@hot
def xdp_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Frames to the worker's transmit socket; returns how many it took."""
    end = XdpEnd(queue.driver)
    socket = end.sockets[end.sender]
    if socket.flags & SHARED == 0:
        return _transmit(worker, queue, socket, packets, count)
    while not compare_exchange32(socket.address + _LOCK, 0, 1):
        pause()
    taken = _transmit(worker, queue, socket, packets, count)
    socket.lock = 0
    return taken


@entry
def xdp_reclaim(cache: PoolCache, socket: XdpSocket) -> int:
    """After the socket was closed: free every chunk that was in the kernel's hands; returns how many."""
    freed = 0
    for index in range(socket.chunks):
        if socket.owned[index] != 0:
            socket.owned[index] = 0
            pool_put(cache, index)
            freed += 1
    return freed


# --- receive ------------------------------------------------------------------------------------------------------


@hot
def _receive(worker: Worker, queue: Queue, socket: XdpSocket, at: int, room: int) -> int:
    """Up to `room` frames into worker.burst from place `at`; returns how many."""
    ring = socket.receive
    seen = ring.mine
    waiting = (_theirs(ring.producer) - seen) & _INDEX
    taken = min(waiting, room)
    if taken == 0 or waiting > ring.size:
        return 0
    received, octets = 0, 0
    for i in range(taken):
        descriptor = Descriptor(ring.entries + ((seen + i) & (ring.size - 1)) * Descriptor.SIZE)
        address, length = descriptor.start, descriptor.length
        index = address >> CHUNK_BITS
        if index < 0 or index >= socket.chunks or socket.owned[index] == 0:
            socket.wrong += 1
            continue
        socket.owned[index] = 0
        packet = worker.packets[index]
        if (address & (CHUNK - 1)) + length > CHUNK or descriptor.options != 0:
            queue.rx_errors += 1  # a piece of a frame that is longer than a chunk
            release(worker, packet)
            continue
        _arrived(packet, socket.base + address, length, queue.port)
        if socket.flags & LOCAL_PEER != 0 and is_partial(packet.data, length):
            packet.flags = CHECKSUM_PARTIAL
        worker.burst[at + received] = packet.address
        received += 1
        octets += length
    ring.mine = seen + taken
    Word(ring.consumer).value = seen + taken
    socket.given -= taken
    queue.rx_packets += received
    queue.rx_octets += octets
    return received


@leaf
def _arrived(packet: Packet, data: int, length: int, port: int) -> None:
    prefetch(data)
    packet.data = data
    packet.network = 0
    packet.transport = 0
    packet.length = length
    packet.flags = 0
    packet.gso_size = 0
    packet.vlan = 0
    packet.port = port


@leaf
def _tend(worker: Worker, socket: XdpSocket) -> None:
    """What a socket needs between bursts: chunks to fill, chunks taken back, frames that still wait."""
    if socket.target - socket.given >= _FILL_STEP:
        _fill(worker, socket)
    if socket.flags & SHARED == 0:
        if _theirs(socket.completion.producer) != socket.completion.mine:
            _complete(worker, socket)
        if _theirs(socket.transmit.consumer) != socket.transmit.mine:
            _kick(socket)


@hot
def _fill(worker: Worker, socket: XdpSocket) -> None:
    """Give the kernel chunks until it has `target` on the receive side, or the pool is empty."""
    ring = socket.fill
    mine = ring.mine
    wanted = socket.target - socket.given
    given = 0
    while given < wanted:
        index = pool_get(PoolCache(worker.pool))
        if index < 0:
            break
        socket.owned[index] = 1
        store64(ring.entries + ((mine + given) & (ring.size - 1)) * 8, index << CHUNK_BITS)
        given += 1
    ring.mine = mine + given
    Word(ring.producer).value = mine + given
    socket.given += given
    if _theirs(ring.flags) & _NEED_WAKEUP != 0:
        recvfrom(socket.fd, 0, 0, _DONT_WAIT, 0, 0)


# --- transmit -----------------------------------------------------------------------------------------------------


@hot
def _transmit(worker: Worker, queue: Queue, socket: XdpSocket, packets: Array[u64], count: int) -> int:
    """Put frames on the ring and let the kernel know. The caller holds the lock if there is one."""
    _complete(worker, socket)
    ring = socket.transmit
    mine = ring.mine
    taken = min(count, ring.size - ((mine - _theirs(ring.consumer)) & _INDEX))
    sent, octets = 0, 0
    for i in range(taken):
        packet = _sendable(worker, socket, Packet(packets[i]))
        if packet.address == 0:
            continue
        descriptor = Descriptor(ring.entries + ((mine + sent) & (ring.size - 1)) * Descriptor.SIZE)
        descriptor.start = packet.data - socket.base
        descriptor.length = packet.length
        descriptor.options = 0 if packet.flags & CHECKSUM_PARTIAL == 0 else _offload(socket, packet)
        socket.owned[packet.index] = 1
        sent += 1
        octets += packet.length
    ring.mine = mine + sent
    Word(ring.producer).value = mine + sent
    queue.tx_packets += sent
    queue.tx_octets += octets
    queue.tx_full += taken - sent
    if sent != 0:
        _kick(socket)
    return taken


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
def _complete(worker: Worker, socket: XdpSocket) -> None:
    """Free the chunks whose frames are out."""
    ring = socket.completion
    mine = ring.mine
    done = (_theirs(ring.producer) - mine) & _INDEX
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
def _kick(socket: XdpSocket) -> None:
    """Let the kernel send what is on the ring, if it wants to be told; in copy mode it takes a few frames per call."""
    ring = socket.transmit
    for _ in range(_KICKS):
        before = _theirs(ring.consumer)
        if before == ring.mine or _theirs(ring.flags) & _NEED_WAKEUP == 0:
            return
        sendto(socket.fd, 0, 0, _DONT_WAIT, 0, 0)
        if _theirs(ring.consumer) == before:
            return
