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

`CHECKSUM_PARTIAL` is found where the neighbour may be this machine (a veth), see `offload`. The transmit side, and what
it does with work left over, is in `xdp_send`.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    compare_exchange32,
    entry,
    external,
    hot,
    i32,
    i64,
    leaf,
    pause,
    prefetch,
    store64,
    u64,
)
from pronghorn.memory.pool import PoolCache, pool_get, pool_put
from pronghorn.ports.offload import is_partial
from pronghorn.ports.xdp_rings import (
    CHUNK,
    CHUNK_BITS,
    DONT_WAIT,
    INDEX,
    LOCAL_PEER,
    NEED_WAKEUP,
    SHARED,
    Descriptor,
    Word,
    XdpEnd,
    XdpSocket,
    theirs,
)
from pronghorn.ports.xdp_send import xdp_complete, xdp_kick, xdp_send
from pronghorn.state.packet import CHECKSUM_PARTIAL, Packet
from pronghorn.state.packets import release
from pronghorn.state.port import Port, Queue
from pronghorn.state.worker import Worker

_FILL_STEP = 16  # chunks that are worth a look at the pool
_LOCK = XdpSocket.offset("lock")

recvfrom = external("recvfrom", (i32, u64, u64, i32, u64, u64), i64)


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
        return xdp_send(worker, queue, socket, packets, count)
    while not compare_exchange32(socket.address + _LOCK, 0, 1):
        pause()
    taken = xdp_send(worker, queue, socket, packets, count)
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


@hot
def _receive(worker: Worker, queue: Queue, socket: XdpSocket, at: int, room: int) -> int:
    """Up to `room` frames into worker.burst from place `at`; returns how many."""
    ring = socket.receive
    seen = ring.mine
    waiting = (theirs(ring.producer) - seen) & INDEX
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
    done, sent = socket.completion, socket.transmit
    if theirs(done.producer) != done.mine or theirs(sent.consumer) != sent.mine:
        _tend_transmit(worker, socket)


@hot
def _tend_transmit(worker: Worker, socket: XdpSocket) -> None:
    shared = socket.flags & SHARED != 0
    if shared and not compare_exchange32(socket.address + _LOCK, 0, 1):
        return  # somebody transmits, and does the same
    xdp_complete(worker, socket)
    xdp_kick(socket)
    if shared:
        socket.lock = 0


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
    if theirs(ring.flags) & NEED_WAKEUP != 0:
        recvfrom(socket.fd, 0, 0, DONT_WAIT, 0, 0)
