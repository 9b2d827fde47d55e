"""Segments for a connection that was handed over, which come to the engine that had it: they are its new one's.

    stray_keep(worker, tcp, waiting, packet)             # while the connection waits here
    octets = stray_take(worker, tcp, target, room)       # the oldest, a Stray and its frame
    packet = stray_packet(worker, source, octets)        # in the other engine, to be handled as if it had come there

They wait on a ring of their own, and are handed on between two turns. What there is no room for is answered as in
TIME-WAIT, and the peer sends it again when its timer has run out (200 ms and more).

The two processes trust each other as a parent and a child do; lengths are checked all the same.
"""

from __future__ import annotations

import errno

from pronghorn.compiled import copy, fill, hot, leaf
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.stream import stream_free, stream_get, stream_put, stream_reserve
from pronghorn.state.endpoints import endpoints_of
from pronghorn.state.packet import CHECKSUM_GOOD, CHECKSUM_PARTIAL, HEADROOM, UNSEGMENTED, Packet
from pronghorn.state.packets import allocate, allocate_large, release
from pronghorn.state.worker import Worker
from pronghorn.tcp.records import Stray
from pronghorn.tcp.tcb import Tcp, Waiting, tcp_of

EMSGSIZE = errno.EMSGSIZE

MOST = 1 << 18
"""Octets of segments that wait to be handed on."""

FLAGS = CHECKSUM_GOOD | CHECKSUM_PARTIAL | UNSEGMENTED


@leaf
def _span(octets: int) -> int:
    """Positions of the ring that a frame of this length takes."""
    return Stray.SIZE + (octets + 7 & ~7)


@leaf
def strays_used(tcp: Tcp) -> int:
    """Octets of the ring that are used; 0: nothing waits."""
    return tcp.strays.write - tcp.strays.read & 0xFFFF_FFFF


@hot
def stray_keep(worker: Worker, tcp: Tcp, waiting: Waiting, packet: Packet) -> bool:
    """Keep a segment for the connection that waits there. False: there is no room."""
    buddy, used, span = Buddy(endpoints_of(worker).buddy), strays_used(tcp), _span(packet.length)
    if used + span > MOST or buddy.used > buddy.limit - (buddy.limit >> 4):
        return False
    if not stream_reserve(buddy, tcp.strays.ring, tcp.strays.read, used, used + span):
        return False
    stray = Stray(tcp.strays.stray.address)
    fill(stray.address, 0, Stray.SIZE)
    stray.own.hi, stray.own.lo, stray.own.port = waiting.local_hi, waiting.local_lo, waiting.local_port
    stray.far.hi, stray.far.lo, stray.far.port = waiting.remote_hi, waiting.remote_lo, waiting.remote_port
    stray.own.family, stray.far.family = waiting.family, waiting.family
    stray.octets, stray.flags, stray.gso_size = packet.length, packet.flags & FLAGS, packet.gso_size
    stream_put(buddy, tcp.strays.ring, tcp.strays.write, stray.address, Stray.SIZE)
    stream_put(buddy, tcp.strays.ring, tcp.strays.write + Stray.SIZE, packet.data, packet.length)
    tcp.strays.write += span
    return True


@hot
def stray_take(worker: Worker, target: int, room: int) -> int:
    """Move the oldest to the address `target`: its octets; 0: there is none; -EMSGSIZE: it was longer than the room,
    and is lost."""
    tcp, buddy = tcp_of(worker), Buddy(endpoints_of(worker).buddy)
    if strays_used(tcp) == 0:
        return 0
    stray = Stray(tcp.strays.stray.address)
    stream_get(buddy, tcp.strays.ring, tcp.strays.read, stray.address, Stray.SIZE)
    octets = Stray.SIZE + stray.octets
    if octets <= room:
        stream_get(buddy, tcp.strays.ring, tcp.strays.read, target, octets)
    tcp.strays.read += _span(stray.octets)
    if strays_used(tcp) == 0:
        stream_free(buddy, tcp.strays.ring)
    return octets if octets <= room else -EMSGSIZE


@hot
def stray_packet(worker: Worker, source: int, octets: int) -> Packet:
    """The segment at the address `source` as a packet that has just come; address 0: it is not whole, or there is none
    free."""
    stray = Stray(source)
    if octets < Stray.SIZE or octets != Stray.SIZE + stray.octets or stray.octets == 0:
        return Packet(0)
    packet = allocate(worker)
    if packet.address != 0 and stray.octets > packet.room - HEADROOM:
        release(worker, packet)
        packet = allocate_large(worker)
    if packet.address == 0:
        return packet
    if stray.octets > packet.room - HEADROOM:
        release(worker, packet)
        return Packet(0)
    copy(packet.data, source + Stray.SIZE, stray.octets)
    packet.length, packet.flags, packet.gso_size = stray.octets, stray.flags & FLAGS, stray.gso_size
    return packet
