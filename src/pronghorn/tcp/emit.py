"""One segment onto its way: headers, options, payload, checksum.

    room = transmit_room(worker, tcb)                            # segments that the output queue still takes
    emit_segment(worker, tcp, tcb, seq, octets, flags)           # `octets` of payload from the send ring

What the segment says besides (acknowledgement, window, timestamps, SACK blocks) is what holds at this moment; having
said it, nothing more is owed (ACK_NOW, ack_at).

A segment longer than the path's MSS goes as one UNSEGMENTED packet, which the port, or ports/segment.py, cuts. Where
the port sums, the checksum is left to it (CHECKSUM_PARTIAL). On a link to another process the payload of a large one is
copied from the send ring straight into the link's memory, and the packet holds the headers (ports/direct.py).
"""

from __future__ import annotations

from pronghorn.compiled import Array, array_at, cold, hot, leaf, sequence, u32
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.ranges import ranges_sack
from pronghorn.memory.stream import stream_get
from pronghorn.net.resolve import packet_output, resolve4, resolve6
from pronghorn.net.state import NONE, REACHABLE, net_of
from pronghorn.net.waiting import frame_head
from pronghorn.ports.direct import OTHER, ROOM, direct_begin, direct_end, direct_room
from pronghorn.state.endpoints import count, endpoints_of
from pronghorn.state.mib import OUT_RSTS, OUT_SEGS
from pronghorn.state.packet import CHECKSUM_PARTIAL, SMALL_ROOM, UNSEGMENTED, Packet
from pronghorn.state.packets import finish, originate, originate_large
from pronghorn.state.port import CHECKSUM_TX, TRANSMIT_BURST
from pronghorn.state.verdicts import TRANSMIT_FULL
from pronghorn.state.worker import Worker, random_number
from pronghorn.tcp.here import route_here
from pronghorn.tcp.statistics import count_data
from pronghorn.tcp.tcb import (
    ACK_LATER,
    ACK_NOW,
    CWR_OWED,
    ECE_OWED,
    ECN,
    NEVER,
    SACK,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    TIMESTAMPS,
    Tcb,
    Tcp,
    moment,
)
from pronghorn.tcp.urgent import urgent_output
from pronghorn.tcp.window import advertise
from pronghorn.wire import ipv4, ipv6
from pronghorn.wire import tcp as wire
from pronghorn.wire.ipv4 import DO_NOT_FRAGMENT, IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.numbers import PROTOCOL_TCP
from pronghorn.wire.tcp import ACK, CWR, ECE, HAS_SACK, HAS_TIMESTAMPS, RST, SYN, TCP

NEW_DATA = 256
"""Among the flags of emit_segment: the octets are sent for the first time."""
ECT0 = 2  # of the ECN field (RFC 3168 5)
_ETHERNET = 14
SACK_HEAD, SACK_BLOCK = 4, 8  # octets of the option, with what aligns it, and of each block
_HEADERS = _ETHERNET + ipv6.HEADER + wire.HEADER + wire.OPTIONS


@leaf
def timestamp_now(worker: Worker, tcb: Tcb) -> int:
    """Our TSval: milliseconds, from the connection's own beginning."""
    return (moment(worker) + tcb.ts_offset) & 0xFFFF_FFFF


@leaf
def route(worker: Worker, tcb: Tcb) -> int:
    """Index of the neighbour that segments go to; below 0 when there is no way (net/resolve.py)."""
    if tcb.generation == net_of(worker).generation & 0xFFFF_FFFF and tcb.neighbour != NONE:
        return tcb.neighbour
    return _find_route(worker, tcb)


@cold
def _find_route(worker: Worker, tcb: Tcb) -> int:
    index = route_here(worker, tcb) if net_of(worker).shared != 0 else -1
    if index < 0 and tcb.family == 4:
        index = resolve4(worker, tcb.remote_lo & 0xFFFF_FFFF)
    elif index < 0:
        index = resolve6(worker, tcb.remote_hi, tcb.remote_lo)
    if index >= 0:
        tcb.neighbour, tcb.generation = index, net_of(worker).generation & 0xFFFF_FFFF
    return index


@hot
def offloads_of(worker: Worker, index: int) -> int:
    """What the port of the neighbour does for us."""
    return worker.ports[net_of(worker).neighbours[index].port].offloads


@hot
def transmit_room(worker: Worker, tcb: Tcb) -> int:
    """Frames that the connection's output queue takes this turn."""
    index = route(worker, tcb)
    if index < 0:
        return TRANSMIT_BURST
    return TRANSMIT_BURST - worker.queues[net_of(worker).neighbours[index].port].waiting


@hot
def emit_segment(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, octets: int, flags: int) -> bool:
    """Send a segment with `octets` of payload from position `seq`. False when there is no packet for it."""
    index = route(worker, tcb)
    direct = octets > SMALL_ROOM and link_room(worker, index, octets) == ROOM
    packet = _packet(worker, 0 if direct else octets)
    if packet.address == 0:
        return False
    offloads = offloads_of(worker, index) if index >= 0 else 0
    network_octets = ipv4.HEADER if tcb.family == 4 else ipv6.HEADER
    packet.family, packet.protocol = tcb.family, PROTOCOL_TCP
    packet.network, packet.transport = packet.data, packet.data + network_octets
    header = wire.HEADER + _options(worker, tcp, tcb, packet.transport + wire.HEADER, octets, flags)
    packet.length = network_octets + header
    place, target = 0, packet.transport + header
    if direct:
        target = _ETHERNET + packet.length
        place = direct_begin(worker, net_of(worker).neighbours[index].port, target + octets)
        target += place
    else:
        packet.length += octets
    if octets != 0 and (place != 0 or not direct):
        first = seq if flags & SYN == 0 else sequence.add(seq, 1)
        stream_get(Buddy(endpoints_of(worker).buddy), tcb.send, first, target, octets)
    if tcb.agreed & ECN != 0:
        flags = _congestion_flags(tcb, flags)
    window = advertise(worker, tcp, tcb, flags)
    wire.emit(packet.transport, tcb.local_port, tcb.remote_port, seq, tcb.rcv_nxt, flags & 0xFF, window, header)
    if tcb.rare != 0 and flags & (SYN | RST) == 0:
        urgent_output(tcp, tcb, TCP(packet.transport))
    segments = 1
    if octets > tcb.mss:
        packet.flags |= UNSEGMENTED
        packet.gso_size = tcb.mss
        segments = (octets + tcb.mss - 1) // tcb.mss
    if octets != 0:
        count_data(tcb.send, segments)
    tos = tcp.tunings[tcb.tuning].tos
    if tcb.agreed & ECN != 0 and flags & NEW_DATA != 0:
        tos |= ECT0  # RFC 3168 6.1.5: not on retransmissions
    ttl = tcp.tunings[tcb.tuning].ttl
    partial = packet.flags & UNSEGMENTED != 0 or offloads & CHECKSUM_TX != 0
    if tcb.family == 4:
        _network4(worker, packet, tcb, tos, ttl, partial, header + octets)
    else:
        _network6(packet, tcb, tos, ttl, partial, header + octets)
    _said(worker, tcb, segments)
    if direct:
        _output_direct(worker, packet, index, place, octets)
    else:
        finish(worker, packet, packet_output(worker, packet, index))
    return True


@leaf
def link_room(worker: Worker, index: int, octets: int) -> int:
    """Whether the neighbour is behind a link that takes a segment with so much payload directly (ports/direct.py)."""
    if index < 0:
        return OTHER
    neighbour = net_of(worker).neighbours[index]
    if neighbour.state != REACHABLE:
        return OTHER
    return direct_room(worker, neighbour.port, octets + _HEADERS)


@leaf
def _output_direct(worker: Worker, packet: Packet, index: int, place: int, octets: int) -> None:
    """The packet has the headers, and at `place` lies what follows them; 0: there was no room after all."""
    neighbour = net_of(worker).neighbours[index]
    if place == 0:
        finish(worker, packet, TRANSMIT_FULL)
        return
    frame_head(packet, neighbour)
    direct_end(worker, neighbour.port, packet, place, packet.length + octets)


@leaf
def _packet(worker: Worker, octets: int) -> Packet:
    """A packet of our own with room for so much payload and all headers."""
    return originate(worker) if octets + _HEADERS <= SMALL_ROOM else originate_large(worker)


@leaf
def _network4(worker: Worker, packet: Packet, tcb: Tcb, tos: int, ttl: int, partial: bool, octets: int) -> None:
    ident = random_number(worker) & 0xFFFF
    src, dst = tcb.local_lo & 0xFFFF_FFFF, tcb.remote_lo & 0xFFFF_FFFF
    ipv4.emit(packet.network, tos, ipv4.HEADER + octets, ident, DO_NOT_FRAGMENT, ttl, PROTOCOL_TCP, src, dst)
    if partial:
        packet.flags |= CHECKSUM_PARTIAL
        wire.fill_partial4(IPv4(packet.network), TCP(packet.transport), octets)
    else:
        wire.fill_checksum4(IPv4(packet.network), TCP(packet.transport), octets)


@leaf
def _network6(packet: Packet, tcb: Tcb, tos: int, ttl: int, partial: bool, octets: int) -> None:
    class_flow = tos << 20 | (tcb.ts_offset & 0xF_FFFF)  # RFC 6437: the label stays with the connection
    ipv6.emit(
        packet.network, class_flow, octets, PROTOCOL_TCP, ttl,
        tcb.local_hi, tcb.local_lo, tcb.remote_hi, tcb.remote_lo,
    )  # fmt: skip
    if partial:
        packet.flags |= CHECKSUM_PARTIAL
        wire.fill_partial6(IPv6(packet.network), TCP(packet.transport), octets)
    else:
        wire.fill_checksum6(IPv6(packet.network), TCP(packet.transport), octets)


@leaf
def _options(worker: Worker, tcp: Tcp, tcb: Tcb, address: int, octets: int, flags: int) -> int:
    """Write the options of a segment with so much payload to `address`, those of a SYN out of tcp.answer. Returns
    octets."""
    if flags & SYN != 0:
        return wire.emit_options(address, tcp.answer)
    if tcb.beyond.count != 0 or tcp.duplicate != 0:
        return _gap_options(worker, tcp, tcb, address, octets)
    if tcb.agreed & TIMESTAMPS == 0:
        return 0
    return wire.emit_timestamps(address, timestamp_now(worker, tcb), tcb.ts_recent)


@cold
def _gap_options(worker: Worker, tcp: Tcp, tcb: Tcb, address: int, octets: int) -> int:
    """The options of a segment that has to tell what came out of order, or again, as far as its payload leaves room:
    a full one has none, and an acknowledgement goes before it (output.py). Returns octets."""
    answer = tcp.answer
    answer.present = 0
    if tcb.agreed & TIMESTAMPS != 0:
        answer.present = HAS_TIMESTAMPS
        answer.timestamp, answer.echo = timestamp_now(worker, tcb), tcb.ts_recent
    if tcb.agreed & SACK != 0:
        _sack(worker, tcp, tcb, (tcb.mss - octets - SACK_HEAD) // SACK_BLOCK if octets != 0 else 4)
    return wire.emit_options(address, answer)


@leaf
def _sack(worker: Worker, tcp: Tcp, tcb: Tcb, most: int) -> None:
    """At most so many SACK blocks: a duplicate first (RFC 2883 4), then what came beyond the gap (RFC 2018 4)."""
    if most <= 0:
        return
    answer = tcp.answer
    first = 0
    if tcp.duplicate != 0:
        answer.sack[0], answer.sack[1] = tcp.duplicate_left, tcp.duplicate_right
        first = 1
    room = min(3 if answer.present & HAS_TIMESTAMPS != 0 else 4, most) - first
    target: Array[u32] = array_at(u32, answer.sack.address + 8 * first)
    blocks = first + ranges_sack(Buddy(endpoints_of(worker).buddy), tcb.beyond, target, room)
    if blocks != 0:
        answer.sack_blocks = blocks
        answer.present |= HAS_SACK


@hot
def _congestion_flags(tcb: Tcb, flags: int) -> int:
    """ECE while we owe it, CWR once, on new data (RFC 3168 6.1.2, 6.1.3)."""
    if flags & SYN != 0:
        return flags
    if tcb.flags & ECE_OWED != 0:
        flags |= ECE
    if tcb.flags & CWR_OWED != 0 and flags & NEW_DATA != 0:
        flags |= CWR
        tcb.flags &= ~CWR_OWED
    return flags


@leaf
def _said(worker: Worker, tcb: Tcb, segments: int) -> None:
    """The segment, or what it will be cut into, acknowledges everything that has arrived."""
    tcb.rcv_acked = tcb.rcv_nxt
    if tcb.flags & (ACK_NOW | ACK_LATER) != 0:
        tcb.flags &= ~(ACK_NOW | ACK_LATER)
        tcb.ack_at = NEVER
        if tcb.quick > 0:
            tcb.quick -= 1
    tcb.segments_out += segments
    count(worker, OUT_SEGS, segments)


@hot
def emit_ack(worker: Worker, tcp: Tcp, tcb: Tcb) -> bool:
    """A segment without data. False when there is no packet for it: it stays owed."""
    return emit_segment(worker, tcp, tcb, _acceptable(tcb), 0, ACK)


@leaf
def _acceptable(tcb: Tcb) -> int:
    """snd_nxt; or the end of the window, when the peer has shrunk that. A segment beyond it is thrown away, and the
    acknowledgement in it with it, for ever if the peer's are for the same reason (Linux's tcp_acceptable_seq)."""
    state = tcb.state
    beyond = sequence.difference(tcb.snd_nxt, sequence.add(tcb.snd_una, tcb.snd_window))
    if beyond <= 0 or state == SYN_SENT or state == SYN_RECEIVED or state == TIME_WAIT:
        return tcb.snd_nxt
    return sequence.add(tcb.snd_nxt, -beyond)


@hot
def emit_duplicate_ack(worker: Worker, tcp: Tcp, tcb: Tcb, left: int, right: int) -> None:
    """Acknowledge at once, and say that left .. right came again (RFC 2883); nothing is said where they are equal."""
    tcp.duplicate = 1 if left != right else 0
    tcp.duplicate_left, tcp.duplicate_right = left, right
    emit_ack(worker, tcp, tcb)
    tcp.duplicate = 0


@hot
def emit_reset(worker: Worker, tcp: Tcp, tcb: Tcb) -> None:
    """End the connection at the peer (RFC 9293 3.10.7): SEQ is the next the peer expects."""
    count(worker, OUT_RSTS, 1)
    emit_segment(worker, tcp, tcb, tcb.snd_nxt, 0, RST | ACK)
