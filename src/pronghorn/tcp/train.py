"""Segments in order that follow each other in a burst are taken as one: what Linux calls generic receive offload.

    ahead = train_ahead(worker, tcp, tcb, seq, address, octets)    # before the first segment goes into the ring
    octets = train_input(worker, tcb, ahead, seq, octets)          # after it

`data_input` calls both. The packets behind that segment's in the burst are looked at: as long as each continues the one
before and says nothing else, its octets follow into the ring at once. What was done for the first segment, steps one to
five of RFC 9293 3.10.7.4, has been done for all, and one decision is made when to acknowledge them. `take`
(engine/handle.py) ends the packets.

What "says nothing else" means is what Linux's tcp_gro_receive, inet_gro_receive and ipv6_gro_receive ask: the same
addresses, ports, TTL, class and ECN bits, flow label, DF; the same acknowledgement, window, flags and options,
timestamps included; no segment longer than the first; 64 KB altogether; PSH, or a segment that is shorter, ends the
train and is part of it. As in Linux a VLAN, IP options, extension headers or fragments are reasons not to begin.

Rules:
* Every segment passes the checks that it would pass alone, by a check of its own (IP header, checksum) or by being the
  same octets as the first's. The first that does not stays in the burst, untouched, and goes the way of every packet.
* Octets go into the ring as they are verified, while they are in the cache. The ring grows once, before the first one:
  for as many as there seem to be, unless memory is short. What there is no room for, in the window or in the ring,
  goes the way of every packet too.
* What is counted per segment is: in MIB-II, in TCP_INFO, in the verdicts. `rcv_mss`, by which acknowledgements are
  delayed, is fed with the first segment's length (Linux: gso_size).

Narrower than Linux: the only options are none, or timestamps aligned as in RFC 7323 appendix A; nothing may be out of
order or urgent on the connection; FIN is never part of it; and segments of other connections in between end the train.
Wider: IPv4's identification is not asked for, since nobody will have to cut the train again.
"""

from __future__ import annotations

from pronghorn.compiled import hot, leaf, load_be32, load_be64, same, sequence
from pronghorn.memory.buddy import Buddy
from pronghorn.memory.stream import stream_put, stream_reserve, stream_size
from pronghorn.state.endpoints import count, endpoints_of
from pronghorn.state.mib import IN_SEGS, RCV_COALESCE
from pronghorn.state.packet import UNSEGMENTED, WHOLE, Packet
from pronghorn.state.worker import Worker
from pronghorn.tcp.checksum import verify_segment
from pronghorn.tcp.statistics import count_data
from pronghorn.tcp.tcb import ESTABLISHED, Tcb, Tcp
from pronghorn.wire import ethernet, ipv4, ipv6
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import ACK, ALIGNED_TIMESTAMPS, ECE, HEADER, PSH, TCP, header_octets

LARGEST = 65535
"""Octets of a train, its first header included: Linux's GRO_LEGACY_MAX_SIZE."""

MASK = 0xFFFF_FFFF

PLAIN, STAMPED = HEADER << 2, (HEADER + 12) << 2
"""data_offset of a header without options, and of one with timestamps."""


@leaf
def train_ahead(worker: Worker, tcp: Tcp, tcb: Tcb, seq: int, address: int, octets: int) -> int:
    """How many packets behind the one in hand seem to continue it; for them there is room in the ring where that is
    cheap. The payload at `address` begins at `seq`, which is rcv_nxt."""
    if worker.in_hand + 1 >= worker.in_burst:
        return 0
    first = Packet(worker.burst[worker.in_hand])
    if address + octets != first.data + first.length:  # a part of it, or not of this packet
        return 0
    segment = TCP(first.transport)
    header = segment.data_offset
    if (
        segment.flags & ~ECE != ACK
        or (header != PLAIN and (header != STAMPED or load_be32(segment.address + HEADER) != ALIGNED_TIMESTAMPS))
        or address != segment.address + header_octets(segment)
        or tcb.state != ESTABLISHED
        or tcb.rare != 0
        or tcb.beyond.count != 0
    ):
        return 0
    return _ahead(worker, tcp, tcb, first, seq, octets)


@hot
def _ahead(worker: Worker, tcp: Tcp, tcb: Tcb, first: Packet, seq: int, octets: int) -> int:
    """The rest of `train_ahead`: `first` may be the first of a train."""
    if (
        first.flags & (UNSEGMENTED | WHOLE) != 0
        or first.network != first.data + ethernet.HEADER
        or first.transport != first.network + (20 if first.family == 4 else ipv6.HEADER)
    ):
        return 0
    header = first.transport - first.data
    ports = load_be32(first.transport)
    place, last, position = worker.in_hand, worker.in_burst - 1, seq
    while place < last:
        packet = Packet(worker.burst[place + 1])
        position = sequence.add(position, octets)
        other = TCP(packet.data + header)
        if packet.length <= header + HEADER or load_be32(other.address) != ports or other.seq != position:
            break
        place += 1
    count = place - worker.in_hand
    if count != 0:
        held = seq - tcb.rcv_read & MASK
        wanted = held + min((count + 1) * octets, LARGEST, sequence.difference(tcb.rcv_right, seq))
        buddy = Buddy(endpoints_of(worker).buddy)
        if wanted > stream_size(tcb.receive) and tcp.pressed == 0 and buddy.used <= tcp.memory_pressure:
            stream_reserve(buddy, tcb.receive, tcb.rcv_read, held, wanted)  # in vain: the ring stays as it is
    return count


@hot
def train_input(worker: Worker, tcb: Tcb, ahead: int, seq: int, octets: int) -> int:
    """Octets of the packet in hand are in the ring, from `seq` on; rcv_nxt has not moved. If that was all of them, puts
    what continues them into the ring, of `ahead` packets at most. Returns octets, those of the first included."""
    buddy = Buddy(endpoints_of(worker).buddy)
    first = Packet(worker.burst[worker.in_hand])
    header = first.transport - first.network + header_octets(TCP(first.transport))
    if first.network + header + octets != first.data + first.length:
        return octets
    place, last, total = worker.in_hand, worker.in_hand + ahead, octets
    most = min(LARGEST - header, sequence.difference(tcb.rcv_right, seq))
    most = min(most, stream_size(tcb.receive) - (seq - tcb.rcv_read & MASK))
    while place < last:
        packet = Packet(worker.burst[place + 1])
        position = sequence.add(seq, total)
        piece = _continues(first, packet, header, position)
        if piece <= 0 or piece > octets or total + piece > most or verify_segment(packet) != GOOD:
            break
        stream_put(buddy, tcb.receive, position, packet.data + packet.length - piece, piece)
        place, total = place + 1, total + piece
        if piece < octets or TCP(packet.transport).flags & PSH != 0:
            break
    segments = place - worker.in_hand
    if segments != 0:
        count(worker, IN_SEGS, segments)
        count(worker, RCV_COALESCE, segments)
        count_data(tcb.receive, segments)
        tcb.segments_in += segments
        worker.in_hand = place
    return total


@leaf
def _continues(first: Packet, packet: Packet, header: int, seq: int) -> int:
    """Whether the packet continues a train at `seq`: its payload's octets, or 0. Sets network, transport, family and
    cuts length as IP's input does. `header`: octets of the first one's IP and TCP headers."""
    data = packet.data
    network = data + ethernet.HEADER
    if (
        packet.length <= ethernet.HEADER + header
        or packet.port != first.port
        or packet.flags & (UNSEGMENTED | WHOLE) != 0
        or not same(data, first.data, ethernet.HEADER)
    ):
        return 0
    length = _network4(first, packet, network) if first.family == 4 else _network6(first, packet, network)
    if length <= header:
        return 0
    one, other = TCP(first.transport), TCP(network + first.transport - first.network)
    if other.seq != seq or other.flags & ~PSH != one.flags or not _is_same(one, other):
        return 0
    packet.network, packet.transport, packet.family = network, other.address, first.family
    packet.length = ethernet.HEADER + length
    return length - header


@leaf
def _network4(first: Packet, packet: Packet, network: int) -> int:
    """Octets of a whole IPv4 packet that went the same way as the first one; 0: none."""
    if ipv4.check(network, packet.length - ethernet.HEADER) != GOOD:
        return 0
    one, other = IPv4(first.network), IPv4(network)
    if (
        other.version_ihl != ipv4.PLAIN
        or other.tos != one.tos
        or other.fragment != one.fragment
        or other.ttl != one.ttl
        or other.protocol != one.protocol
        or other.src != one.src
        or other.dst != one.dst
    ):
        return 0
    return other.length


@leaf
def _network6(first: Packet, packet: Packet, network: int) -> int:
    """The same of IPv6."""
    if ipv6.check(network, packet.length - ethernet.HEADER) != GOOD:
        return 0
    one, other = IPv6(first.network), IPv6(network)
    if (
        other.version_class_flow != one.version_class_flow
        or other.next_header != one.next_header
        or other.hop_limit != one.hop_limit
        or other.src_hi != one.src_hi
        or other.src_lo != one.src_lo
        or other.dst_hi != one.dst_hi
        or other.dst_lo != one.dst_lo
    ):
        return 0
    return ipv6.HEADER + other.length


@leaf
def _is_same(one: TCP, other: TCP) -> bool:
    """Whether two headers agree in all but sequence number, flags, checksum and urgent pointer."""
    if (
        load_be32(other.address) != load_be32(one.address)  # both ports
        or other.ack != one.ack
        or other.data_offset != one.data_offset
        or other.window != one.window
    ):
        return False
    if one.data_offset == PLAIN:
        return True
    options = HEADER
    return (
        load_be64(other.address + options) == load_be64(one.address + options)
        and load_be32(other.address + options + 8) == load_be32(one.address + options + 8)
    )  # fmt: skip
