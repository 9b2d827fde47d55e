"""A worker's queue of a user-veth between two processes: its lanes (veth_lane.py), RSS over them, and sleep.

Lanes form a square: each side has the same number of queues. Worker w sends on queue w, to every queue of the other
side, as RSS says; it receives what was sent to queue w, w + workers, ... by all.

To sleep on, every receiving queue has a named pipe beside the shared memory: an octet is written by whoever pushes to a
lane that asked for a wake-up. Asking works as in veth_rings.py. What the other side does to the pipe may cost sleep or
some milliseconds of delay, nothing else.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, array_at, external, fence, fixed, hot, i32, i64, leaf, u8, u32, u64
from pronghorn.memory.ring import Ring, ring_must_wake
from pronghorn.ports.offload import complete_checksum
from pronghorn.ports.rss import RssTable, rss_queue
from pronghorn.ports.segment import segment
from pronghorn.ports.veth_lane import BATCH, BROKEN, LaneEnd, LaneSide, lane_ready, lane_receive, lane_send
from pronghorn.ports.veth_rings import CONSENT, LATE, QUIET, SEGMENTS, end_in_driver, refuse, settle
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, Packet
from pronghorn.state.packets import release
from pronghorn.state.port import CHECKSUM_RX, SEGMENTATION, Queue
from pronghorn.state.verdicts import LINK_BROKEN
from pronghorn.state.worker import Worker

write = external("write", (i32, u64, u64), i64)
read = external("read", (i32, u64, u64), i64)


class LinkQueue(View, align=64):
    """A worker's end of the link; written by that worker, addresses by the control plane."""

    incoming: Array[LaneEnd]
    outgoing: Array[LaneEnd]  # by the other side's queue
    pipes: Array[i32]  # ours, that others wake us by: one per queue we receive
    theirs: Array[i32]  # by the other side's queue
    rss: u64  # address of the RssTable
    last: u64  # worker.now when a frame came, or the pipes were looked at
    incoming_count: u32
    outgoing_count: u32
    pipe_count: u32
    next: u32  # the lane whose turn it is
    armed: u32
    asks: u32  # 1: the worker asks for wake-ups itself, by link_doze; else it is done for it when nothing comes
    scratch: Array[u8] = fixed(64, align=64)
    segments: Array[u64] = fixed(SEGMENTS, align=64)


@hot
def link_receive(worker: Worker, queue: Queue, own: LinkQueue, room: int) -> int:
    """Frames of all lanes that lead here into worker.burst; returns how many."""
    received = _take(worker, queue, own, room)
    if received == 0 and own.asks == 0 and worker.now - own.last >= (QUIET if own.armed == 0 else LATE):
        _arm(worker, own)
        received = _take(worker, queue, own, room)
    if received != 0:
        own.last, own.armed = worker.now, 0
    return received


@hot
def _take(worker: Worker, queue: Queue, own: LinkQueue, room: int) -> int:
    received, place, greeted = 0, own.next, False
    for _ in range(own.incoming_count):
        lane = own.incoming[place]
        known = lane.known
        if lane_ready(lane) and received < room:
            received += lane_receive(worker, queue, lane, received, room - received)
        greeted = greeted or lane.known != known
        place = place + 1 if place + 1 < own.incoming_count else 0
    own.next = place + 1 if place + 1 < own.incoming_count else 0
    if greeted:
        link_call(own)
    return received


@hot
def link_call(own: LinkQueue) -> None:
    """Somebody new is there, or we are: greet on the lanes that lead there, and wake all who may wait for that."""
    for place in range(own.outgoing_count):
        lane_ready(own.outgoing[place])
    link_tell(own)


@hot
def link_tell(own: LinkQueue) -> None:
    """Wake every queue of the other side."""
    for place in range(own.outgoing_count):
        write(own.theirs[place], own.scratch.address, 1)


@hot
def _arm(worker: Worker, own: LinkQueue) -> None:
    """Ask for wake-ups, and forget earlier ones. Greet who came, before there is something to send."""
    own.last, own.armed = worker.now, 1
    for place in range(own.pipe_count):
        read(own.pipes[place], own.scratch.address, 64)
    for place in range(own.incoming_count):
        Ring(own.incoming[place].ring).dozing = 1
    for place in range(own.outgoing_count):
        lane_ready(own.outgoing[place])
    fence()  # the sender stores its tail, then loads dozing: one of us sees the other


@hot
def link_doze(worker: Worker, own: LinkQueue) -> bool:
    """Before the worker sleeps: ask for wake-ups. False when something has come meanwhile: do not sleep."""
    _arm(worker, own)
    for place in range(own.incoming_count):
        lane = own.incoming[place]
        greets = LaneSide(lane.other).session != lane.known
        if greets or (lane_ready(lane) and Ring(lane.ring).tail != lane.end.mine):
            link_wake(own)
            return False
    return True


@hot
def link_wake(own: LinkQueue) -> None:
    """After the sleep: no more wake-ups are wanted; those that came are read off the pipes."""
    for place in range(own.incoming_count):
        Ring(own.incoming[place].ring).dozing = 0
    for place in range(own.pipe_count):
        read(own.pipes[place], own.scratch.address, 64)
    own.armed = 0


@hot
def link_is_up(own: LinkQueue) -> bool:
    """Whether frames pass on every lane that leads away from here, and on one that leads here: there may be more than
    the other side has queues."""
    for place in range(own.outgoing_count):
        if not lane_ready(own.outgoing[place]):
            return False
    ready = False
    for place in range(own.incoming_count):
        ready = lane_ready(own.incoming[place]) or ready
    return ready


@hot
def link_transmit(worker: Worker, queue: Queue, own: LinkQueue, packets: Array[u64], count: int) -> int:
    """Frames to the other side; returns how many went. Counts them."""
    table, queues = RssTable(own.rss), own.outgoing_count
    octets, refused, at = 0, 0, 0
    while at < count:
        target = rss_queue(table, Packet(packets[at]), queues)
        end = at + 1 if queues > 1 else count
        while end < count and rss_queue(table, Packet(packets[end]), queues) == target:
            end += 1
        taken, sent = _send(worker, own, target, array_at(u64, packets.address + 8 * at), end - at)
        octets += sent
        refused = refuse(packets, refused, at + taken, end)
        at = end
    taken = settle(packets, refused, count)
    queue.tx_packets += taken
    queue.tx_octets += octets
    return taken


@hot
def _send(worker: Worker, own: LinkQueue, target: int, packets: Array[u64], count: int) -> tuple[int, int]:
    """Through one lane, and wake who sleeps there: how many it took, and their octets."""
    lane = own.outgoing[target]
    taken, octets = 0, 0
    while taken < count and lane_ready(lane):
        rest = array_at(u64, packets.address + 8 * taken)
        ready = _ready(lane, rest, min(count - taken, BATCH))
        if ready > 0:
            step, sent = _send_batch(worker, lane, rest, ready)
        else:
            step, sent = _send_finished(worker, own, lane, rest)
        taken += step
        octets += sent
        if step == 0:
            break
    if lane.state == BROKEN:
        end_in_driver(worker, LINK_BROKEN, array_at(u64, packets.address + 8 * taken), count - taken)
        return count, octets
    if taken != 0 and ring_must_wake(lane.end):
        write(own.theirs[target], own.scratch.address, 1)
    return taken, octets


@leaf
def _ready(lane: LaneEnd, packets: Array[u64], count: int) -> int:
    """How many of the first frames the other side takes as they are."""
    if lane.consent == CONSENT:
        return count
    refused = (0 if lane.consent & SEGMENTATION != 0 else UNSEGMENTED) | (
        0 if lane.consent & CHECKSUM_RX != 0 else CHECKSUM_PARTIAL
    )
    ready = 0
    while ready < count and Packet(packets[ready]).flags & refused == 0:
        ready += 1
    return ready


@leaf
def _send_batch(worker: Worker, lane: LaneEnd, packets: Array[u64], count: int) -> tuple[int, int]:
    before = lane.octets
    taken = lane_send(worker, lane, packets, count)
    return taken, lane.octets - before


@hot
def _send_finished(worker: Worker, own: LinkQueue, lane: LaneEnd, packets: Array[u64]) -> tuple[int, int]:
    """The first frame, finished and cut as the other side wants it."""
    packet = Packet(packets[0])
    if packet.flags & UNSEGMENTED == 0 or lane.consent & SEGMENTATION != 0:
        _finish_checksum(packet, lane)
        return _send_batch(worker, lane, packets, 1)
    count = segment(worker, packet, own.segments, SEGMENTS)
    if count == 0:
        return 0, 0
    before, sent = lane.octets, 0
    for place in range(count):
        _finish_checksum(Packet(own.segments[place]), lane)
    while sent < count and lane.state != BROKEN:
        step = lane_send(worker, lane, array_at(u64, own.segments.address + 8 * sent), count - sent)
        sent += step
        if step == 0:
            break
    for place in range(sent, count):
        release(worker, Packet(own.segments[place]))
    release(worker, packet)
    return 1, lane.octets - before


@leaf
def _finish_checksum(packet: Packet, lane: LaneEnd) -> None:
    if packet.flags & CHECKSUM_PARTIAL != 0 and lane.consent & CHECKSUM_RX == 0:
        complete_checksum(packet.data, packet.length)
        packet.flags &= ~CHECKSUM_PARTIAL
