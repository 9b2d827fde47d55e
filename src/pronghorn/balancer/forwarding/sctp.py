"""Full NAT and NAT of SCTP (RFC 9260): as rewrite.py, with a CRC32c that covers the ports and no pseudo header.

The CRC is changed by difference (wire/crc32c.py), and so stays wrong where it was. Addresses that INIT and INIT ACK
list (RFC 9260 5.1.2) are left alone: an association through here has one address at each end, that of the IP headers,
and an end that is offered others finds them unreachable (RFC 9260 5.4, 8.2).
"""

from __future__ import annotations

from pronghorn.balancer.forwarding.rewrite import change_in, turn32, turn64
from pronghorn.balancer.tables import Conn, Wide
from pronghorn.compiled import copy, hot, store64
from pronghorn.state.packet import Packet
from pronghorn.wire.checksum import apply
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.sctp import rewrite_ports

_SRC4 = IPv4.offset("src")
_SRC6, _DST6 = IPv6.offset("src_hi"), IPv6.offset("dst_hi")
_ONE_HOP = 0xFEFF  # the word of TTL and protocol loses 0x0100


@hot
def rewrite_sctp(packet: Packet, conn: Conn, wide: Wide, direction: int) -> None:
    """Make the SCTP packet what the connection says, one hop further, in place."""
    network = packet.network
    if packet.family == 4:
        ip = IPv4(network)
        ip.ttl -= 1
        ip.checksum = apply(ip.checksum, change_in(conn.change, direction) + _ONE_HOP)
        store64(network + _SRC4, turn64(conn.addresses[direction ^ 1]))
    else:
        other = wide.address + 32 * (direction ^ 1)
        IPv6(network).hop_limit -= 1
        copy(network + _SRC6, other + 16, 16)
        copy(network + _DST6, other, 16)
    octets = packet.data + packet.length - packet.transport
    rewrite_ports(packet.transport, octets, turn32(conn.keys[direction ^ 1]))
