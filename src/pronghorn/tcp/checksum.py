"""Whether a received segment's checksum is right (RFC 9293 3.1)."""

from __future__ import annotations

from pronghorn.compiled import leaf
from pronghorn.state.packet import CHECKSUM_GOOD, CHECKSUM_PARTIAL, Packet
from pronghorn.wire import tcp as wire
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.reasons import GOOD
from pronghorn.wire.tcp import TCP


@leaf
def verify_segment(packet: Packet) -> int:
    """The checksum, unless the port has vouched for it or it is still to be filled in: GOOD or TCP_BAD_CHECKSUM."""
    if packet.flags & (CHECKSUM_GOOD | CHECKSUM_PARTIAL) != 0:
        return GOOD
    octets = packet.data + packet.length - packet.transport
    if packet.family == 4:
        return wire.verify4(IPv4(packet.network), TCP(packet.transport), octets)
    return wire.verify6(IPv6(packet.network), TCP(packet.transport), octets)
