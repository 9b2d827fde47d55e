"""Frames from worker to worker of one engine: what is below `veth:` and `bridge:`.

Every pair of a sending and a receiving worker has a ring of its own (memory/ring.py) to a port. Packets move: what
travels is the packet's address, in bulk, and no octet is copied. Which receiving worker gets a frame, RSS decides.

    Outlet  a sending worker's way into a port      Inlet  a receiving worker's end of it

Sleep. An inlet that stayed empty for QUIET asks its rings for a wake-up and looks once more; whoever then pushes writes
to its eventfd, on which the worker sleeps. QUIET is less than the time a worker spins before it sleeps (engine.SPIN),
so a sleeping worker has always asked. A wake-up that comes late, for a frame already taken, is read off the descriptor
within LATE.
"""

from __future__ import annotations

from pronghorn.compiled import (
    Array,
    View,
    array_at,
    au32,
    entry,
    external,
    fence,
    fixed,
    hot,
    i32,
    i64,
    leaf,
    u32,
    u64,
)
from pronghorn.memory.pool import PoolCache, pool_put
from pronghorn.memory.ring import Ring, RingEnd, ring_must_wake, ring_pop, ring_push
from pronghorn.ports.offload import complete_checksum
from pronghorn.ports.rss import RssTable, rss_queue
from pronghorn.ports.segment import segment
from pronghorn.state.packet import CHECKSUM_GOOD, CHECKSUM_PARTIAL, UNSEGMENTED, Packet
from pronghorn.state.packets import release
from pronghorn.state.port import CHECKSUM_RX, SEGMENTATION, Queue
from pronghorn.state.verdicts import TRANSMITTED
from pronghorn.state.worker import Worker

RING = 1024
"""Frames that may wait between two workers."""

QUIET, LATE = 1_000, 100_000  # ns
SEGMENTS = 128
CONSENT = CHECKSUM_RX | SEGMENTATION
_TRAVELS = CHECKSUM_GOOD | CHECKSUM_PARTIAL | UNSEGMENTED  # flags that are the frame's, not the receiver's

write = external("write", (i32, u64, u64), i64)
read = external("read", (i32, u64, u64), i64)


class Inlet(View, align=64, size=64):
    """One worker's receiving end of a port; written by that worker."""

    rings: Array[RingEnd]  # consumer's ends, by sending worker
    last: u64  # worker.now when a frame came, or the descriptor was looked at
    scratch: u64
    count: u32  # sending workers
    next: u32  # the one whose turn it is
    fd: i32  # eventfd
    armed: u32  # 1 while the rings are asked for a wake-up


class Outlet(View, align=64):
    """One worker's way into a port; written by that worker."""

    rings: Array[RingEnd]  # producer's ends, by receiving worker
    fds: Array[i32]  # eventfds of the inlets
    rss: u64  # address of the RssTable
    one: u64  # what is written to an eventfd
    count: u32  # receiving workers
    consent: u32  # offloads that the receiving end takes: of CHECKSUM_RX, SEGMENTATION
    busy: au32  # 1 while the worker uses it; whoever closes the port waits for 0
    unused: u32
    segments: Array[u64] = fixed(SEGMENTS, align=64)


@hot
def inlet_receive(worker: Worker, queue: Queue, inlet: Inlet, room: int) -> int:
    """What waits for this worker into worker.burst; returns how many."""
    received = _pop(worker, inlet, room)
    if received == 0:
        if not _ask(worker, inlet):
            return 0
        received = _pop(worker, inlet, room)
        if received == 0:
            return 0
    inlet.last, inlet.armed = worker.now, 0
    octets, port = 0, queue.port
    for place in range(received):
        packet = Packet(worker.burst[place])
        packet.network = 0
        packet.transport = 0
        packet.flags &= _TRAVELS
        packet.port = port
        octets += packet.length
    queue.rx_packets += received
    queue.rx_octets += octets
    return received


@leaf
def _pop(worker: Worker, inlet: Inlet, room: int) -> int:
    """From each sender's ring, beginning with another one each time."""
    count = inlet.count
    if count == 1:
        return ring_pop(inlet.rings[0], worker.burst, room)
    received, sender = 0, inlet.next
    for _ in range(count):
        received += ring_pop(inlet.rings[sender], array_at(u64, worker.burst.address + 8 * received), room - received)
        sender = sender + 1 if sender + 1 < count else 0
    inlet.next = sender + 1 if sender + 1 < count else 0
    return received


@leaf
def _ask(worker: Worker, inlet: Inlet) -> bool:
    """Nothing came. When it has been quiet: ask for wake-ups. True: look again, something may have come meanwhile."""
    return worker.now - inlet.last >= (QUIET if inlet.armed == 0 else LATE) and _arm(worker, inlet)


@hot
def _arm(worker: Worker, inlet: Inlet) -> bool:
    inlet.last = worker.now
    read(inlet.fd, inlet.address + _SCRATCH, 8)
    for sender in range(inlet.count):
        Ring(inlet.rings[sender].ring).dozing = 1
    inlet.armed = 1
    fence()  # the sender stores its tail, then loads dozing: one of us sees the other
    return True


_SCRATCH = Inlet.offset("scratch")


@hot
def hand_over(worker: Worker, outlet: Outlet, packets: Array[u64], count: int) -> int:
    """Send to the port's workers; returns how many went. The refused ones are then the last of `packets`."""
    if outlet.consent != CONSENT:
        return _hand_over_finished(worker, outlet, packets, count)
    if outlet.count == 1:
        return _push(worker, outlet, 0, packets, count)
    return _spread(worker, outlet, packets, count)


@hot
def _spread(worker: Worker, outlet: Outlet, packets: Array[u64], count: int) -> int:
    """Runs of frames of the same receiving worker."""
    table = RssTable(outlet.rss)
    refused, at = 0, 0
    owner = rss_queue(table, Packet(packets[0]), outlet.count)
    while at < count:
        end, following = at + 1, owner
        while end < count:
            following = rss_queue(table, Packet(packets[end]), outlet.count)
            if following != owner:
                break
            end += 1
        run = array_at(u64, packets.address + 8 * at)
        refused = refuse(packets, refused, at + _push(worker, outlet, owner, run, end - at), end)
        at, owner = end, following
    return settle(packets, refused, count)


@leaf
def _push(worker: Worker, outlet: Outlet, owner: int, packets: Array[u64], count: int) -> int:
    """To one receiving worker; wakes it when it asked."""
    end = outlet.rings[owner]
    taken = ring_push(end, packets, count)
    if owner == worker.index:
        waits = Ring(end.ring).dozing != 0
        if waits:
            Ring(end.ring).dozing = 0
    else:
        waits = ring_must_wake(end)
    if waits:
        write(outlet.fds[owner], outlet.address + _ONE, 8)
    return taken


_ONE = Outlet.offset("one")


@leaf
def refuse(packets: Array[u64], refused: int, begin: int, end: int) -> int:
    """Note packets[begin .. end) as refused, behind those noted already; returns how many there are now."""
    for place in range(begin, end):
        packets[refused] = packets[place]
        refused += 1
    return refused


@leaf
def settle(packets: Array[u64], refused: int, count: int) -> int:
    """Put the refused ones last, where the caller looks for them; returns how many were not."""
    for k in range(refused):
        packets[count - 1 - k] = packets[refused - 1 - k]
    return count - refused


@hot
def end_in_driver(worker: Worker, verdict: int, packets: Array[u64], count: int) -> None:
    """Frames that a driver took end there. The flush will count them as transmitted, so that is taken back."""
    worker.verdicts[TRANSMITTED] -= count
    worker.verdicts[verdict] += count
    for place in range(count):
        release(worker, Packet(packets[place]))


@hot
def _hand_over_finished(worker: Worker, outlet: Outlet, packets: Array[u64], count: int) -> int:
    """`hand_over` to an end that wants its checksums finished, its frames short, or both."""
    consent, refused = outlet.consent, 0
    for place in range(count):
        packet = Packet(packets[place])
        flags = packet.flags
        if flags & UNSEGMENTED != 0 and consent & SEGMENTATION == 0:
            if _hand_over_cut(worker, outlet, packet):
                continue
            refused = refuse(packets, refused, place, place + 1)
            continue
        _finish_checksum(packet, consent)
        owner = rss_queue(RssTable(outlet.rss), packet, outlet.count)
        if _push(worker, outlet, owner, array_at(u64, packets.address + 8 * place), 1) == 0:
            refused = refuse(packets, refused, place, place + 1)
    return settle(packets, refused, count)


@leaf
def _finish_checksum(packet: Packet, consent: int) -> None:
    if packet.flags & CHECKSUM_PARTIAL != 0 and consent & CHECKSUM_RX == 0:
        complete_checksum(packet.data, packet.length)
        packet.flags &= ~CHECKSUM_PARTIAL


@hot
def _hand_over_cut(worker: Worker, outlet: Outlet, packet: Packet) -> bool:
    """The frame's segments; what finds no room is lost, as on a wire. False when it cannot be cut."""
    count = segment(worker, packet, outlet.segments, SEGMENTS)
    if count == 0:
        return False
    owner = rss_queue(RssTable(outlet.rss), packet, outlet.count)
    for place in range(count):
        _finish_checksum(Packet(outlet.segments[place]), outlet.consent)
    for place in range(_push(worker, outlet, owner, outlet.segments, count), count):
        release(worker, Packet(outlet.segments[place]))
    release(worker, packet)
    return True


@entry
def inlet_drain(small: PoolCache, large: PoolCache, small_packets: int, inlet: Inlet) -> int:
    """Free what still waits, when nobody sends any more; returns how many. `inlet.last` is used up."""
    freed = 0
    for sender in range(inlet.count):
        end = inlet.rings[sender]
        entries: Array[u64] = array_at(u64, inlet.address + _SCRATCH)
        while ring_pop(end, entries, 1) != 0:
            index = Packet(entries[0]).index
            if index < small_packets:
                pool_put(small, index)
            else:
                pool_put(large, index - small_packets)
            freed += 1
    return freed
