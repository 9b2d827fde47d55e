"""What a simulated wire does to a frame, in the order in which a real one does:

    queue     a frame waits until the line is free; one that finds no room is dropped (tail drop), one that finds the
              queue long is marked (ECN, RFC 3168)
    line      serialisation at the rate, exact to the nanosecond over any number of frames
    loss      of frames on their own, or in bursts (Gilbert 1960, Elliott 1963): a frame that is lost has used the line
    copies    duplication; each copy meets what follows on its own
    damage    one bit is turned
    way       delay, jitter, and frames that are early or late

Each direction draws from its own generator (xorshift64*, Vigna 2014), and only for what is set, so that a seed fixes
the trace. Named after netem's parameters (tc-netem(8)), except that netem loses frames before they use the line.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, load8, load_be16, load_be32, store8, store_be32
from pronghorn.compiled.hashing import multiply, shift_right, wrap
from pronghorn.ports.offload import network_place
from pronghorn.ports.wire_store import WireLane, lane_octets, lane_put
from pronghorn.wire.checksum import update16
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.numbers import ETHERTYPE_IPV4, ETHERTYPE_IPV6

MILLION = 1_000_000
SECOND = 1_000_000_000
_MULTIPLIER = 2685821657736338717
_CE6 = 3 << 20  # both ECN bits in the first word of an IPv6 header


@hot
def lane_send(lane: WireLane, address: int, length: int, flags: int, gso_size: int, now: int) -> None:
    """Send a frame of at most `stride` octets at `now`, ns: what becomes of it is decided here."""
    lane.sent += 1
    lane.octets += length
    departure = _line(lane, length, now)
    if departure < 0:
        lane.dropped += 1
        return
    if _lost(lane):
        lane.lost += 1
        return
    copies = 1
    if lane.duplicate != 0 and _chance(lane, lane.duplicate):
        lane.duplicated += 1
        copies = 2
    mark = lane.mark_octets != 0 and lane.queued_octets >= lane.mark_octets
    for _ in range(copies):
        slot = lane_put(lane, address, length, flags, gso_size, _arrival(lane, departure))
        if slot < 0:
            lane.dropped += 1
            continue
        if mark and mark_congestion(lane_octets(lane, slot), length):
            lane.marked += 1
        if lane.corrupt != 0 and _chance(lane, lane.corrupt):
            _turn_bit(lane, lane_octets(lane, slot), length)


@hot
def _line(lane: WireLane, length: int, now: int) -> int:
    """When (ns) the frame's last bit is sent; -1 when there is no room for it to wait."""
    rate = lane.rate
    if rate == 0:
        return now
    while lane.start_count != 0 and lane.starts[lane.start_head].when <= now:
        lane.queued_octets -= lane.starts[lane.start_head].octets
        lane.start_head = lane.start_head + 1 if lane.start_head + 1 < lane.slots else 0
        lane.start_count -= 1
    begin = lane.busy_until
    if begin <= now:
        begin, lane.carry = now, 0
    elif not _queue(lane, length, begin):
        return -1
    units = (length + lane.overhead) * 8 * SECOND + lane.carry
    lane.carry = units % rate
    lane.busy_until = begin + units // rate
    return lane.busy_until


@leaf
def _queue(lane: WireLane, length: int, begin: int) -> bool:
    """Let the frame wait until `begin`; False when there is no room."""
    count, octets = lane.start_count, lane.queued_octets + length
    if lane.queue_octets != 0 and octets > lane.queue_octets:
        return False
    if count == lane.slots or (lane.queue_frames != 0 and count >= lane.queue_frames):
        return False
    place = lane.start_head + count
    start = lane.starts[place if place < lane.slots else place - lane.slots]
    start.when, start.octets = begin, length
    lane.start_count, lane.queued_octets = count + 1, octets
    return True


@leaf
def _lost(lane: WireLane) -> bool:
    """Whether this frame gets lost on the way."""
    lost = False
    if lane.burst_begin != 0:
        if _chance(lane, lane.burst_begin if lane.bad == 0 else lane.burst_end):
            lane.bad ^= 1
        lost = lane.bad != 0 and _chance(lane, lane.burst_loss)
    if lane.loss != 0 and _chance(lane, lane.loss):
        lost = True
    return lost


@leaf
def _arrival(lane: WireLane, departure: int) -> int:
    """When (ns) a frame arrives that was sent at `departure`."""
    if lane.reorder != 0 and _chance(lane, lane.reorder):
        lane.reordered += 1
        return departure + lane.reorder_delay
    due = departure + lane.delay
    if lane.jitter != 0:
        due += _below(lane, 2 * lane.jitter + 1) - lane.jitter
    if lane.keep_order != 0:
        due = max(due, lane.last_due)
        lane.last_due = due
    return due


@leaf
def _turn_bit(lane: WireLane, address: int, length: int) -> None:
    """Damage one bit, anywhere in the frame."""
    bit = _below(lane, 8 * length)
    store8(address + (bit >> 3), load8(address + (bit >> 3)) ^ 1 << (bit & 7))
    lane.corrupted += 1


@hot
def mark_congestion(address: int, length: int) -> bool:
    """Set CE in a frame of an ECN-capable transport (RFC 3168 5), IPv4's checksum included; whether it is set now."""
    at = network_place(address, length)
    if at == 0 or length < at + IPv4.SIZE:
        return False
    kind = load_be16(address + at - 2)
    if kind == ETHERTYPE_IPV4:
        ip = IPv4(address + at)
        tos = ip.tos
        if tos & 3 == 1 or tos & 3 == 2:
            word = ip.version_ihl << 8
            ip.tos = tos | 3
            ip.checksum = update16(ip.checksum, word | tos, word | tos | 3)
        return tos & 3 != 0
    if kind == ETHERTYPE_IPV6:
        word = load_be32(address + at)
        if word & _CE6 != 0:
            store_be32(address + at, word | _CE6)
        return word & _CE6 != 0
    return False


@leaf
def _random(lane: WireLane) -> int:
    """31 random bits."""
    state = lane.random
    state ^= shift_right(state, 12)
    state ^= wrap(state << 25)
    state ^= shift_right(state, 27)
    lane.random = state
    return shift_right(multiply(state, _MULTIPLIER), 33)


@leaf
def _below(lane: WireLane, bound: int) -> int:
    """A random number from 0 to bound - 1; `bound` is at most 2**32."""
    return _random(lane) * bound >> 31


@leaf
def _chance(lane: WireLane, parts: int) -> bool:
    """True in `parts` of a million cases."""
    return _below(lane, MILLION) < parts
