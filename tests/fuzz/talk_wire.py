"""The wire of a fuzzed conversation: it takes what one engine sends and gives it to the other, later, changed, or not.

Changes: a field of the TCP header or an octet of its options, the payload cut short, a word anywhere with the checksum
left wrong. While streams are compared (quality ATTACKED) nothing is changed that could put wrong octets into one.
"""

from __future__ import annotations

from pronghorn.compiled import copy, hot, leaf, load8, load_be16, load_be32, store8, store_be16, store_be32
from pronghorn.engine.handle import handle
from pronghorn.state.packet import CHECKSUM_PARTIAL, UNSEGMENTED, Packet
from pronghorn.state.packets import allocate, allocate_large
from pronghorn.wire.ethernet import Ethernet
from pronghorn.wire.numbers import ETHERTYPE_IPV4
from tests.fuzz.mutate import mend_checksums, mend_lengths
from tests.fuzz.talk_state import ATTACKED, FRAMES, HOSTILE, LONGEST, PURE, Talk, below, one_in, worker_of

ETHERNET = 14
BURST = 32


@hot
def capture(talk: Talk, side: int) -> None:
    """Frames that wait on the worker's port set out for the other side."""
    worker = worker_of(talk, side)
    queue = worker.queues[0]
    for place in range(queue.waiting):
        packet = Packet(queue.burst[place])
        launch(talk, side ^ 1, packet.data, packet.length, packet.flags, packet.gso_size)


@hot
def launch(talk: Talk, side: int, octets: int, length: int, flags: int, gso_size: int) -> None:
    """A frame sets out for `side`, unless the wire loses it; it may arrive twice."""
    copies = 1
    if talk.quiet == 0:
        if below(talk, 1024) < talk.loss:
            copies = 0
        elif one_in(talk, 64):
            copies = 2
    for _ in range(copies):
        if talk.free_count == 0 or length > LONGEST:
            talk.lost += 1
            return
        talk.free_count -= 1
        number = talk.free[talk.free_count]
        frame = talk.frames[number]
        copy(frame.octets, octets, length)
        frame.length, frame.gso_size = length, gso_size
        frame.flags = flags & (CHECKSUM_PARTIAL | UNSEGMENTED)
        late = below(talk, talk.jitter + 1) if one_in(talk, 4) else 0
        if one_in(talk, 512):
            late = 1_500_000
        frame.due = talk.now + (talk.delay + (late if talk.quiet == 0 else 0)) * 1000
        _insert(talk, side, number)


@leaf
def _insert(talk: Talk, side: int, number: int) -> None:
    """By time; the last is the latest."""
    base, place = side * FRAMES, talk.queued[side]
    due = talk.frames[number].due
    while place > 0 and talk.frames[talk.order[base + place - 1]].due > due:
        talk.order[base + place] = talk.order[base + place - 1]
        place -= 1
    talk.order[base + place] = number
    talk.queued[side] += 1


@hot
def arrive(talk: Talk, side: int) -> None:
    """What is due arrives."""
    worker = worker_of(talk, side)
    base, made, gone = side * FRAMES, 0, 0
    while gone < talk.queued[side] and made < BURST:
        number = talk.order[base + gone]
        frame = talk.frames[number]
        if frame.due > talk.now:
            break
        packet = allocate_large(worker) if frame.length > 1600 else allocate(worker)
        if packet.address == 0:
            break
        gone += 1
        copy(packet.data, frame.octets, frame.length)
        packet.length, packet.flags, packet.gso_size, packet.port = frame.length, frame.flags, frame.gso_size, 0
        talk.free[talk.free_count] = number
        talk.free_count += 1
        if talk.quiet == 0 and talk.quality != PURE and below(talk, 1024) < talk.change:
            change(talk, packet)
        worker.burst[made] = packet.address
        made += 1
    for place in range(talk.queued[side] - gone):
        talk.order[base + place] = talk.order[base + place + gone]
    talk.queued[side] -= gone
    worker.received += made
    talk.segments += made
    handle(worker, made)


# --- changes ------------------------------------------------------------------------------------------------------


@hot
def change(talk: Talk, packet: Packet) -> None:
    """Change the frame in up to three places."""
    four = Ethernet(packet.data).ethertype == ETHERTYPE_IPV4
    transport = packet.data + ETHERNET + (20 if four else 40)
    octets = packet.data + packet.length - transport
    if octets < 20 or load8(packet.data + ETHERNET + (9 if four else 6)) != 6:
        return
    if talk.quality == ATTACKED and one_in(talk, 6) and packet.flags & CHECKSUM_PARTIAL == 0:
        at = transport + 2 * below(talk, octets // 2)
        store_be16(at, load_be16(at) + 1 + below(talk, 65534) & 0xFFFF)  # and the checksum is wrong
        return
    header = (load8(transport + 12) >> 4) << 2
    if header < 20 or header > octets:
        return
    for _ in range(1 + below(talk, 3)):
        if talk.quality == HOSTILE and one_in(talk, 3):
            _change_anything(talk, transport, octets)
        else:
            _change_header(talk, transport, header, octets - header)
    if octets > header and one_in(talk, 8) and packet.flags & UNSEGMENTED == 0:
        packet.length -= below(talk, octets - header + 1)
        mend_lengths(packet)
    if packet.flags & CHECKSUM_PARTIAL == 0:
        mend_checksums(packet)


@hot
def _change_header(talk: Talk, transport: int, header: int, payload: int) -> None:
    """A field that does not move octets of a stream."""
    kind = below(talk, 10)
    if kind < 3:  # acknowledgement
        ack = load_be32(transport + 8)
        step = 1 << below(talk, 32) if kind == 0 else below(talk, 5000)
        store_be32(transport + 8, (ack + step if one_in(talk, 2) else ack - step) & 0xFFFF_FFFF)
    elif kind < 5:
        flags = load8(transport + 13)
        flipped = flags ^ 1 << below(talk, 8)
        store8(transport + 13, flipped & ~2 | flags & 2)  # SYN stays as it is
    elif kind == 5:
        store_be16(transport + 14, below(talk, 65536) if one_in(talk, 2) else below(talk, 8))
    elif kind == 6:
        store_be16(transport + 18, below(talk, 65536))
        store8(transport + 13, load8(transport + 13) | 32)
    elif header > 20:
        store8(transport + 20 + below(talk, header - 20), below(talk, 256))
    if kind == 9 and payload == 0 and load8(transport + 13) & 3 == 0:  # neither SYN nor FIN
        store_be32(transport + 4, load_be32(transport + 4) + below(talk, 200_000) - 100_000 & 0xFFFF_FFFF)


@hot
def _change_anything(talk: Talk, transport: int, octets: int) -> None:
    """Sequence number, ports, flags, lengths, payload."""
    kind = below(talk, 6)
    if kind == 0:
        store_be32(transport + 4, load_be32(transport + 4) + below(talk, 4000) - 2000 & 0xFFFF_FFFF)
    elif kind == 1:
        store8(transport + 12, below(talk, 256))
    elif kind == 2:
        store8(transport + 13, below(talk, 256))
    elif kind == 3:
        store8(transport + below(talk, octets), below(talk, 256))
    elif kind == 4:
        store_be32(transport + 4, load_be32(transport + 4) ^ 1 << below(talk, 32))
    else:
        store_be16(transport + 2 * below(talk, 2), 80 + below(talk, 4))
