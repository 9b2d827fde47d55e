"""Driving an engine from outside: frames and packets in and out, and time, which is the caller's.

The clock of an engine stands still between calls. `engine_turn` sets it and makes one turn; `engine_advance` makes
every turn that is due up to a time. What was injected for a time arrives in the first turn at that time or later.

A port in raw-IP mode carries IP packets. Within the engine they have Ethernet headers all the same, from and to a
station that does not exist.
"""

from __future__ import annotations

from pronghorn.compiled import Array, Const, copy, entry, hot, leaf, load8, load_be16, load_be32, u8
from pronghorn.engine.embedded import RAW_IP, embedded_of
from pronghorn.engine.timers import set_alarm
from pronghorn.engine.turn import turn
from pronghorn.net.state import FAR_MAC
from pronghorn.ports.wire import wire_end, wire_inject, wire_take, wire_take_time
from pronghorn.state.worker import NEVER, Worker, wake_at
from pronghorn.wire import ethernet
from pronghorn.wire.ipv4 import BROADCAST
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6

STEP = 1000
"""ns from a turn that found nothing to do, and is due again, to the next one: time goes on whatever a room asks for."""

_ETHERTYPE = 12
_DST4 = 16
_DST6 = 24


# --- time ---------------------------------------------------------------------------------------------------------


@entry
def engine_clock(worker: Worker) -> int:
    """What the engine's clock shows, ns."""
    return worker.now


@entry
def engine_set_clock(worker: Worker, now: int) -> None:
    """Set the clock to `now`, ns, without a turn: for calls that are to happen at that time. It never goes back."""
    worker.now = max(worker.now, now)


@entry
def engine_turn(worker: Worker, now: int) -> int:
    """Set the clock to `now`, ns, and make one turn. Returns how much work there was.

    Receive up to 64 frames of each port, handle them, do what is due, transmit. The clock never goes back: an earlier
    `now` is taken as the clock's time. After work, another turn at the same time may find more (engine_next says so).
    """
    worker.now = max(worker.now, now)
    worker.turns += 1
    work = turn(worker)
    if work != 0:
        worker.due = worker.now
    return work


@entry
def engine_next(worker: Worker) -> int:
    """When (ns) the next turn is due: not before engine_clock; -1 when nothing will happen by itself any more."""
    set_alarm(worker)  # calls since the last turn may have given the rooms something to do
    for index in range(worker.port_count):
        if worker.queues[index].waiting != 0:
            wake_at(worker, worker.now)
    return -1 if worker.due >= NEVER else max(worker.due, worker.now)


@entry
def engine_advance(worker: Worker, until: int) -> int:
    """Make every turn that is due, in order, up to `until`, ns, and leave the clock there. Returns how many turns.

    Frames that come out keep the times at which they were sent (engine_take_time). Of two engines that talk to each
    other, advance both to the earlier engine_next of the two, and carry frames over in between.
    """
    turns, due = 0, engine_next(worker)
    while 0 <= due <= until:
        work = engine_turn(worker, due)
        turns += 1
        following = engine_next(worker)
        due = due + STEP if work == 0 and following == due else following
    engine_set_clock(worker, until)
    return turns


# --- in -----------------------------------------------------------------------------------------------------------


@leaf
def _arrives(worker: Worker, taken: int, when: int) -> int:
    """A turn is due when a frame has been taken."""
    if taken > 0:
        wake_at(worker, when)
    return taken


@entry
def engine_inject(worker: Worker, port: int, frame: Const[u8], octets: int, when: int) -> int:
    """Let an Ethernet frame arrive at the port at `when`, ns; the frame is copied.

    From the destination's hardware address on, without the checksum. Frames may be injected in any order of time; those
    of the same time arrive in the order of the calls. Returns 1; 0 when too many frames are on their way already
    (EngineConfiguration.frames); -1 when there is no such port, or the length or the time cannot be.
    """
    end = wire_end(worker, port)
    if end.address == 0:
        return -1
    return _arrives(worker, wire_inject(end, frame.address, octets, when), when)


@entry
def engine_inject_ip(worker: Worker, port: int, packet: Const[u8], octets: int, when: int) -> int:
    """Let an IPv4 or IPv6 packet arrive at the port at `when`, ns; otherwise as engine_inject.

    It comes in a frame to the port's hardware address, or to the group that its destination stands for. What is neither
    version 4 nor 6 is refused with -1.
    """
    own, end = embedded_of(worker), wire_end(worker, port)
    if end.address == 0 or octets < 20 or octets + ethernet.HEADER > own.scratch_octets:
        return -1
    address = packet.address
    version = load8(address) >> 4
    if version != 4 and (version != 6 or octets < 40):
        return -1
    ethertype = ETHERTYPE_IPV4 if version == 4 else ETHERTYPE_IPV6
    ethernet.emit(own.scratch, _station(address, version, worker.ports[port].mac), FAR_MAC, ethertype)
    copy(own.scratch + ethernet.HEADER, address, octets)
    return _arrives(worker, wire_inject(end, own.scratch, octets + ethernet.HEADER, when), when)


@hot
def _station(address: int, version: int, mac: int) -> int:
    """Hardware address that a packet with this destination is sent to: `mac`, or a group (RFC 1112 6.4, RFC 2464 7)."""
    if version == 6:
        return 0x3333_0000_0000 | load_be32(address + _DST6 + 12) if load8(address + _DST6) == 0xFF else mac
    destination = load_be32(address + _DST4)
    if destination == BROADCAST:
        return ethernet.BROADCAST
    return 0x0100_5E00_0000 | destination & 0x7F_FFFF if destination >> 28 == 14 else mac


# --- out ----------------------------------------------------------------------------------------------------------


@entry
def engine_take_time(worker: Worker, port: int) -> int:
    """When (ns) the next outgoing frame of the port was sent; -1 when there is none."""
    end = wire_end(worker, port)
    return wire_take_time(end) if end.address != 0 else -1


@entry
def engine_take(worker: Worker, port: int, frame: Array[u8], room: int) -> int:
    """Take the port's next outgoing frame, in order of time; in raw-IP mode the packet without its Ethernet header.

    Returns how many octets were written to `frame`; 0 when there is none; minus the length when `room` is less than
    that, and then the frame stays.
    """
    own, end = embedded_of(worker), wire_end(worker, port)
    if end.address == 0:
        return 0
    if own.flags & RAW_IP == 0:
        return wire_take(end, frame.address, room)
    while wire_take_time(end) >= 0:
        octets = wire_take(end, own.scratch, min(own.scratch_octets, room + ethernet.HEADER))
        if octets < 0:
            return octets + ethernet.HEADER
        ethertype = load_be16(own.scratch + _ETHERTYPE)
        if ethertype == ETHERTYPE_IPV4 or ethertype == ETHERTYPE_IPV6:
            copy(frame.address, own.scratch + ethernet.HEADER, octets - ethernet.HEADER)
            return octets - ethernet.HEADER
    return 0
