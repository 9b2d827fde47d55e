"""Taking, freeing and ending packets: the only ways a packet comes into being and ceases."""

from __future__ import annotations

from pronghorn.compiled import hot, leaf
from pronghorn.memory.pool import PoolCache, pool_get, pool_put
from pronghorn.state.packet import HEADROOM, ORIGINATED, SMALL_ROOM, Packet
from pronghorn.state.verdicts import DISPATCHED, HELD
from pronghorn.state.worker import Worker


@leaf
def allocate(worker: Worker) -> Packet:
    """An empty packet of a 2 KB chunk, its data after the headroom; address 0 when the pool is empty."""
    index = pool_get(PoolCache(worker.pool))
    return Packet(0) if index < 0 else _fresh(worker.packets[index])


@hot
def allocate_large(worker: Worker) -> Packet:
    """An empty packet of a 64 KB chunk; address 0 when there are none."""
    if worker.large_pool == 0:
        return Packet(0)
    index = pool_get(PoolCache(worker.large_pool))
    return Packet(0) if index < 0 else _fresh(worker.packets[worker.small_packets + index])


@leaf
def allocate_for(worker: Worker, length: int) -> Packet:
    """An empty packet with room for so many octets behind the headroom, one of 2 KB if that will do; or address 0."""
    return allocate(worker) if length <= SMALL_ROOM else allocate_large(worker)


@hot
def originate(worker: Worker) -> Packet:
    """An empty packet that this engine sends on its own account; address 0 when the pool is empty."""
    return _own(worker, allocate(worker))


@leaf
def originate_large(worker: Worker) -> Packet:
    """The same of a 64 KB chunk."""
    return _own(worker, allocate_large(worker))


@leaf
def _own(worker: Worker, packet: Packet) -> Packet:
    if packet.address != 0:
        packet.flags = ORIGINATED
        worker.originated += 1
    return packet


@leaf
def _fresh(packet: Packet) -> Packet:
    packet.data = packet.chunk + HEADROOM
    packet.network = 0
    packet.transport = 0
    packet.length = 0
    packet.flags = 0
    packet.gso_size = 0
    packet.vlan = 0
    return packet


@leaf
def release(worker: Worker, packet: Packet) -> None:
    """Give the packet back to the pool, uncounted: for drivers after transmission, and packets that never counted."""
    index = packet.index
    if index < worker.small_packets:
        pool_put(PoolCache(worker.pool), index)
    else:
        pool_put(PoolCache(worker.large_pool), index - worker.small_packets)


@leaf
def finish(worker: Worker, packet: Packet, verdict: int) -> None:
    """End the packet with `verdict`: count it and free the packet, unless it is QUEUED, HELD or DISPATCHED."""
    if verdict < DISPATCHED:
        worker.verdicts[verdict] += 1
        release(worker, packet)


@leaf
def hold(worker: Worker) -> int:
    """Account for a packet that is being kept; returns HELD. `resume` is its counterpart."""
    worker.held += 1
    return HELD


@leaf
def resume(worker: Worker) -> None:
    """A kept packet goes on its way; end it with `finish` or queue it."""
    worker.held -= 1
