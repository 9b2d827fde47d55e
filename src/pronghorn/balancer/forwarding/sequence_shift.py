"""TCP sequence numbers of a connection whose two ends count from different places (RFC 9293 3.4; SACK: RFC 2018).

    shift(packet, direction, delta_request, delta_reply)

A gateway that puts octets into the client's stream (PROXY protocol) or that has answered the SYN by itself (a SYN
proxy) makes the ends count differently from then on. The deltas say by how much, modulo 2**32:

    delta_request   number of a request's octet as the server counts it, minus as the client does
    delta_reply     number of a reply's octet as the client counts it, minus as the server does

So a segment's own number grows by the delta of its direction, and what it acknowledges, SACK blocks included, shrinks
by the delta of the other one. A PROXY header of n octets is (n, 0); a SYN proxy that chose the number c where the
server then chose s is (0, c - s).

Rules kept: the acknowledgement of a segment without ACK is nothing and stays; the urgent pointer is relative and
stays; the checksum is changed by difference, also for options at odd places, and so stays wrong where it was; a
partial checksum does not cover the header yet and stays. Options are walked as wire/tcp.py does, 40 octets at most,
and a malformed one ends the walk.

Left out: a segment that overlaps the place where the octets were put in (the caller's to know), and acknowledgements
of part of these octets, which would be before the client's first.
"""

from __future__ import annotations

from pronghorn.balancer.tables import REQUEST
from pronghorn.compiled import hot, leaf, load8, load_be32, sequence, store_be32
from pronghorn.state.packet import CHECKSUM_PARTIAL, Packet
from pronghorn.wire.checksum import apply, change32, fold
from pronghorn.wire.tcp import ACK, HEADER, OPTION_END, OPTION_NOTHING, OPTION_SACK, TCP, header_octets

_SEQ, _ACK = TCP.offset("seq"), TCP.offset("ack")


@hot
def shift(packet: Packet, direction: int, delta_request: int, delta_reply: int) -> None:
    """Make the TCP packet of that direction count as its receiver does, in place; deltas: 0 to 2**32 - 1."""
    tcp = TCP(packet.transport)
    sent, acked = delta_request, delta_reply
    if direction != REQUEST:
        sent, acked = delta_reply, delta_request
    total = shift_word(tcp.address + _SEQ, sent)
    if acked != 0 and tcp.flags & ACK != 0:
        total += shift_word(tcp.address + _ACK, -acked)
        if tcp.data_offset > HEADER << 2:
            total += shift_blocks(tcp, -acked)
    if packet.flags & CHECKSUM_PARTIAL == 0:
        tcp.checksum = apply(tcp.checksum, total)


@leaf
def shift_word(address: int, delta: int) -> int:
    """Add to the 32-bit number there. Returns the change of a checksum that has it at an even place."""
    old = load_be32(address)
    new = sequence.add(old, delta)
    store_be32(address, new)
    return change32(old, new)


@hot
def shift_blocks(tcp: TCP, delta: int) -> int:
    """Add to the edges of SACK blocks. Returns the change of the segment's checksum."""
    octets, i, total = header_octets(tcp), HEADER, 0
    while i + 1 < octets:
        kind = load8(tcp.address + i)
        if kind == OPTION_END:
            break
        if kind == OPTION_NOTHING:
            i += 1
            continue
        size = load8(tcp.address + i + 1)
        if size < 2 or i + size > octets:
            break
        if kind == OPTION_SACK:
            change = 0
            for k in range((size - 2) >> 2):
                change += shift_word(tcp.address + i + 2 + 4 * k, delta)
            change = fold(change)
            total += change if i & 1 == 0 else (change & 0xFF) << 8 | change >> 8
        i += size
    return total
