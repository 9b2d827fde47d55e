"""First contents of an engine's tables, in compiled code: a gateway starts in well under a second."""

from __future__ import annotations

from pronghorn.compiled import Array, entry
from pronghorn.memory.pool import Pool, pool_chunk
from pronghorn.state.packet import NO_PACKET, Packet


@entry
def lay_out_packets(packets: Array[Packet], first: int, pool: Pool) -> None:
    """Packets from `first` on own the pool's chunks, in order."""
    for place in range(pool.chunks):
        packet = packets[first + place]
        packet.chunk, packet.room = pool_chunk(pool, place), pool.octets
        packet.index, packet.next = first + place, NO_PACKET
