"""`wire:NAME`, the data plane: a simulated point-to-point wire, in memory, on the clock of the engines at its ends.

What one end transmits at worker.now arrives at the other when rate, queue, delay and chance (wire_lane.py) say, by the
receiving worker's own clock. Frames are copied, so the ends may be ports of one engine or of two with memory of their
own. Nothing here reads a clock or draws from anything but the wire's seed: engines that are turned by one thread, in
the same order at the same times, give the same trace.

An end without a partner is a harness end: whoever holds the address of its WireEnd (`wire_end`) puts frames in and
takes frames out. Such frames pass from and to the open air; with nothing set, what is taken is what was transmitted,
in that order, with its time. Taking and injecting also work while there is a partner, who then misses what is taken.

One thread at a time is meant to turn the engines at both ends. Several do no harm (each direction has a lock), but
then a trace is no longer fixed, and a worker that sleeps is not woken for what another thread sends it. All that
arrives goes to worker 0, which hands on what others own.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, copy, entry, fixed, hot, leaf, u32, u64
from pronghorn.ports.offload import complete_checksum
from pronghorn.ports.segment import segment
from pronghorn.ports.veth_rings import SEGMENTS, refuse, settle
from pronghorn.ports.wire_lane import lane_send
from pronghorn.ports.wire_store import (
    WireLane,
    lane_drop_first,
    lane_enter,
    lane_first,
    lane_leave,
    lane_next,
    lane_octets,
    lane_put,
)
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, Packet
from pronghorn.state.packets import allocate_for, release
from pronghorn.state.port import CHECKSUM_RX, SEGMENTATION, WIRE, Port, Queue
from pronghorn.state.worker import Worker, wake_at

SHORTEST = 14
"""Octets of a frame that is a header alone."""


class WireEnd(View, align=64):
    """One end. Addresses are written by the control plane, `worker` by the receiver."""

    inbound: u64  # address of the WireLane that leads here
    outbound: u64  # address of the WireLane that leads away
    other: u64  # address of the other WireEnd, whether it is a port or not
    worker: u64  # address of the worker that receives here; 0 before it has
    consent: u32  # of Port.offloads: what both ends take; frames are finished and cut for the rest
    side: u32  # 0 or 1
    segments: Array[u64] = fixed(SEGMENTS, align=64)  # of the frame that is being cut


@hot
def wire_receive(worker: Worker, port: Port, queue: Queue, room: int) -> int:
    """What has arrived by worker.now into worker.burst; returns how many. The worker wakes for what follows."""
    if worker.index != 0:
        return 0
    end = WireEnd(queue.driver)
    end.worker = worker.address
    lane = WireLane(end.inbound)
    when = lane_next(lane)
    if when < 0:
        return 0
    count = 0
    if when <= worker.now:
        lane_enter(lane)
        for _ in range(room):
            if lane.waiting == 0 or lane_next(lane) > worker.now:
                break
            count += _deliver(worker, port, queue, lane, count)
        lane_leave(lane)
        when = lane_next(lane)
    if when >= 0:
        wake_at(worker, when)
    return count


@leaf
def _deliver(worker: Worker, port: Port, queue: Queue, lane: WireLane, place: int) -> int:
    """The first frame as a packet; 1, or 0 when there is no packet for it: then it is gone."""
    slot = lane_first(lane)
    frame = lane.frames[slot]
    length = frame.length
    packet = allocate_for(worker, length)
    lane.delivered += 1
    if packet.address == 0:
        lane.unfit += 1
        queue.rx_errors += 1
        lane_drop_first(lane)
        return 0
    copy(packet.data, lane_octets(lane, slot), length)
    packet.length, packet.flags, packet.gso_size, packet.port = length, frame.flags, frame.gso_size, port.index
    lane_drop_first(lane)
    worker.burst[place] = packet.address
    queue.rx_packets += 1
    queue.rx_octets += length
    return 1


@hot
def wire_transmit(worker: Worker, port: Port, queue: Queue, packets: Array[u64], count: int) -> int:
    """Onto the wire at worker.now; returns how many went. What the wire drops or loses went."""
    end = WireEnd(queue.driver)
    lane = WireLane(end.outbound)
    refused, octets = 0, 0
    lane_enter(lane)
    for place in range(count):
        packet = Packet(packets[place])
        length = packet.length
        if _transmit_one(worker, end, lane, packet):
            octets += length
            release(worker, packet)
        else:
            refused = refuse(packets, refused, place, place + 1)
    lane_leave(lane)
    if WireEnd(end.other).worker == worker.address and lane.waiting != 0:
        wake_at(worker, lane_next(lane))
    queue.tx_packets += count - refused
    queue.tx_octets += octets
    return settle(packets, refused, count)


@hot
def _transmit_one(worker: Worker, end: WireEnd, lane: WireLane, packet: Packet) -> bool:
    """One frame, finished and cut as both ends agreed. False when it is longer than the wire takes."""
    flags = packet.flags & (CHECKSUM_PARTIAL | UNSEGMENTED)
    if flags & UNSEGMENTED != 0 and end.consent & SEGMENTATION == 0:
        return _transmit_cut(worker, end, lane, packet)
    if packet.length > (lane.stride if flags & UNSEGMENTED != 0 else lane.longest):
        return False
    if flags & CHECKSUM_PARTIAL != 0 and end.consent & CHECKSUM_RX == 0:
        complete_checksum(packet.data, packet.length)
        flags &= ~CHECKSUM_PARTIAL
    lane_send(lane, packet.data, packet.length, flags, packet.gso_size, worker.now)
    return True


@hot
def _transmit_cut(worker: Worker, end: WireEnd, lane: WireLane, packet: Packet) -> bool:
    """The frame's segments, their checksums finished. False when it cannot be cut, or not short enough."""
    count = segment(worker, packet, end.segments, SEGMENTS)
    fits = count != 0
    for place in range(count):
        piece = Packet(end.segments[place])
        fits = fits and piece.length <= lane.longest
        if fits:
            complete_checksum(piece.data, piece.length)
            lane_send(lane, piece.data, piece.length, 0, 0, worker.now)
        release(worker, piece)
    return fits


# --- from outside -------------------------------------------------------------------------------------------------


@entry
def wire_end(worker: Worker, port: int) -> WireEnd:
    """This end of the wire that is the worker's port of this index; address 0 when the port is no wire."""
    if port < 0 or port >= worker.port_count or worker.ports[port].kind != WIRE:
        return WireEnd(0)
    return WireEnd(worker.queues[port].driver)


@entry
def wire_next(end: WireEnd) -> int:
    """When (ns) the next frame arrives at this end, so that a simulator can set its clock; -1 when none is on its way.

    In the past when the engine has not been turned since.
    """
    return lane_next(WireLane(end.inbound))


@entry
def wire_inject(end: WireEnd, address: int, octets: int, when: int) -> int:
    """Let a frame arrive at this end at `when`, ns, whatever the wire does to others.

    `octets` at `address`, from the Ethernet header on, without the checksum. Returns 1 when it is on its way, 0 when
    the wire is full, -1 when the frame is shorter than a header or longer than the wire takes.
    """
    lane = WireLane(end.inbound)
    if octets < SHORTEST or octets > lane.longest or when < 0:
        return -1
    lane_enter(lane)
    slot = lane_put(lane, address, octets, 0, 0, when)
    lane_leave(lane)
    return 1 if slot >= 0 else 0


@entry
def wire_send(end: WireEnd, address: int, octets: int, when: int) -> int:
    """Send a frame to this end as if the other one had transmitted it at `when`, ns: through rate, queue, delay, loss.

    Times must not go back from call to call. Returns 1 when the wire has taken it (which may lose it), -1 as for
    wire_inject.
    """
    lane = WireLane(end.inbound)
    if octets < SHORTEST or octets > lane.longest or when < 0:
        return -1
    lane_enter(lane)
    lane_send(lane, address, octets, 0, 0, when)
    lane_leave(lane)
    return 1


@entry
def wire_take_time(end: WireEnd) -> int:
    """When (ns) the next outgoing frame reaches the far side of the wire; -1 when there is none.

    That is its time of transmission when nothing is set for this direction.
    """
    return lane_next(WireLane(end.outbound))


@entry
def wire_take(end: WireEnd, address: int, room: int) -> int:
    """Take the next outgoing frame, in order of wire_take_time: its octets to `address`.

    Returns how many octets; 0 when there is no frame; minus its length when `room` is less than that, and then the
    frame stays. Does not ask what time it is: compare with wire_take_time before.
    """
    lane = WireLane(end.outbound)
    lane_enter(lane)
    octets = 0
    if lane.waiting != 0:
        slot = lane_first(lane)
        octets = lane.frames[slot].length
        if octets > room:
            octets = -octets
        else:
            copy(address, lane_octets(lane, slot), octets)
            lane.delivered += 1
            lane_drop_first(lane)
    lane_leave(lane)
    return octets
