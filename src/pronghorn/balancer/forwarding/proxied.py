"""Segments of a proxied connection, whose two ends count differently: SYN proxy, once the server has answered.

    reply     SEQ and TSval grow by what ours towards the client were ahead of the server's
    request   ACK, SACK blocks and TSecr shrink by the same

Sequence numbers are shifted by sequence_shift.py, timestamps (RFC 7323) here. The other numbers mean the same on both
sides. Windows are converted where the ends scale them differently; what the smaller scale cannot say is rounded down,
and a window that is too large for the other is as large as can be. Checksums change by difference (RFC 1624), options
at odd places included; a partial one does not cover what changes here.

Work is bounded by the 40 octets of options; one of a length that cannot be ends the reading, as in wire/tcp.py. Left
out: TCP-AO and MD5 signatures (RFC 5925, RFC 2385), which cover all this and cannot survive it.

An acknowledgement that comes for the tenth time in a second, with nothing new in it and nothing sent since, is one of
two ends that each think the other wrong (an ACK storm, Joncheray 1995), and is dropped.
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.sequence_shift import shift, shift_word
from pronghorn.balancer.proxy_tables import Proxied
from pronghorn.balancer.tables import REPLY, TICK
from pronghorn.compiled import hot, leaf, load8, sequence
from pronghorn.state.packet import CHECKSUM_PARTIAL, Packet
from pronghorn.state.worker import Worker
from pronghorn.wire.checksum import apply, change16, fold
from pronghorn.wire.tcp import (
    ACK,
    FIN,
    HEADER,
    OPTION_END,
    OPTION_NOTHING,
    OPTION_SACK,
    OPTION_TIMESTAMPS,
    RST,
    SYN,
    TCP,
    header_octets,
)

STORM = 10
"""Acknowledgements without anything new in a second."""
_SECOND = 1_000_000_000 >> TICK
_LARGEST = 65_535
_SEQ, _CHECKSUM_END = TCP.offset("seq"), TCP.offset("checksum") + 2


@hot
def translate_proxied(packet: Packet, proxied: Proxied, direction: int) -> None:
    """Make the segment's numbers those that its receiver knows, checksum included."""
    segment = TCP(packet.transport)
    octets, grow, shrink = header_octets(segment), proxied.grow[direction], proxied.shrink[direction]
    shift(packet, direction, 0, proxied.delta)
    if direction == REPLY and packet.data + packet.length - packet.transport > octets:
        proxied.same = 0
    change = 0
    if grow != shrink:
        window = min((segment.window << grow) >> shrink, _LARGEST)
        change += change16(segment.window, window)
        segment.window = window
    if octets > HEADER:
        change += _translate_stamps(packet.transport, octets, proxied.stamp_delta, direction)
    if change != 0 and packet.flags & CHECKSUM_PARTIAL == 0:
        segment.checksum = apply(segment.checksum, change)


@hot
def _translate_stamps(start: int, octets: int, delta: int, direction: int) -> int:
    """The timestamps of a header of so many octets; returns what that does to the checksum."""
    i = HEADER
    while i + 1 < octets:
        kind = load8(start + i)
        if kind == OPTION_END:
            return 0
        if kind == OPTION_NOTHING:
            i += 1
            continue
        size = load8(start + i + 1)
        if size < 2 or i + size > octets:
            return 0
        if kind == OPTION_TIMESTAMPS and size == 10:
            change = shift_word(start + i + 2, delta) if direction == REPLY else shift_word(start + i + 6, -delta)
            change = fold(change)
            return change if i & 1 == 0 else (change & 0xFF) << 8 | change >> 8
        i += size
    return 0


@hot
def translate_quoted(packet: Packet, layer4: int, proxied: Proxied) -> None:
    """The sequence number of a reply that an ICMP error quotes from there on becomes what the server sent."""
    segment = TCP(layer4)
    change = shift_word(layer4 + _SEQ, -proxied.delta)
    if packet.data + packet.length - layer4 >= _CHECKSUM_END:
        segment.checksum = apply(segment.checksum, change)


@hot
def is_storm(worker: Worker, packet: Packet, proxied: Proxied) -> bool:
    """Whether the request says nothing, and has said so too often."""
    segment = TCP(packet.transport)
    octets, header = packet.data + packet.length - packet.transport, header_octets(segment)
    if octets > header or segment.flags & (SYN | FIN | RST | ACK) != ACK or _has_sack(packet.transport, header):
        proxied.same = 0
        return False
    now = worker.now >> TICK
    if (
        segment.seq != proxied.last_seq
        or segment.ack != proxied.last_ack
        or proxied.same == 0
        or sequence.difference(now, proxied.storm) > _SECOND
    ):
        proxied.last_seq, proxied.last_ack, proxied.storm = segment.seq, segment.ack, now
        proxied.same = 1
        return False
    proxied.same = min(proxied.same + 1, STORM)
    return proxied.same >= STORM


@leaf
def _has_sack(start: int, octets: int) -> bool:
    """Whether more than timestamps is there: they take 12 octets, SACK blocks at least ten more."""
    return octets > HEADER + 12 or (octets > HEADER and load8(start + HEADER + 2) == OPTION_SACK)
