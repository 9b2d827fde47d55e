"""The client's address for servers behind full NAT, as a TCP option: TOA.

    kind 254, length 8 or 20, the client's port, its IPv4 or IPv6 address, as they lie in its own headers

The option and who reads it are those of IPVS's full NAT and DPVS (TCPOPT_ADDR in include/ipvs/ip_vs.h; its module
toa.ko makes getpeername tell the address). The module looks at the segment that makes the server's socket: the client's
first one behind the SYN that arrives, be it the bare ACK of the handshake or, where that is lost or the server defers
accept, the first one with data. So every segment of the client but SYN and RST carries the option until the server has
sent one without SYN, for that proves that its socket is there: losses and retransmissions need no memory here. From
then on the connection is rewritten as any other.

The option stands in front of the others, so that an end of their list does not hide it and only the headers before it
move, into the headroom. The checksum changes by difference; a partial one by its pseudo header's length alone. A
segment whose header, chunk or length has no room (`no_room`), or that would be too long for the way (`too_long`: one of
full size; of a frame that the port cuts, its segments), goes without and is counted.

Left out: pruning other options to make room. Beside timestamps there is room for the option and two SACK blocks over
IPv4, for the option alone over IPv6. Servers of the other family than the client's get none.
"""

from __future__ import annotations

from pronghorn.balancer.option_tables import Options
from pronghorn.balancer.tables import REQUEST, Conn, Wide
from pronghorn.compiled import copy, hot, leaf, move, store8, store16, store32
from pronghorn.state.packet import CHECKSUM_PARTIAL, Packet
from pronghorn.wire.checksum import ONES, add, apply, change16
from pronghorn.wire.ipv4 import IPv4
from pronghorn.wire.ipv6 import IPv6
from pronghorn.wire.tcp import ACK, HEADER, OPTIONS, RST, SYN, TCP, header_octets

KIND = 254
OCTETS4, OCTETS6 = 8, 20
"""Octets of the option."""

FRONT = 64
"""Octets of the chunk that stay free in front of the network header: for what link and port write there."""


@hot
def wants_address(packet: Packet) -> bool:
    """Whether the server may make its socket from this segment of the client."""
    return TCP(packet.transport).flags & (SYN | RST | ACK) == ACK


@leaf
def proves_socket(packet: Packet) -> bool:
    """Whether the server has sent this segment from a socket that has been made."""
    return TCP(packet.transport).flags & SYN == 0


@hot
def add_address(packet: Packet, conn: Conn, wide: Wide, options: Options, octets: int, mtu: int) -> None:
    """Put the option into the rewritten segment, which has so many octets of layer 3 on its way, if there is room."""
    grows = OCTETS4 if packet.family == 4 else OCTETS6
    whole = packet.data + packet.length - packet.network
    if octets + grows > mtu:
        options.too_long += 1
        return
    tcp = TCP(packet.transport)
    front = packet.network - grows - packet.chunk
    if header_octets(tcp) + grows > HEADER + OPTIONS or front < FRONT or whole + grows > ONES:
        options.no_room += 1
        return
    options.told += 1
    end, fixed = packet.data + packet.length, packet.transport + HEADER
    move(packet.network - grows, packet.network, fixed - packet.network)
    packet.network -= grows
    packet.transport -= grows
    packet.data = packet.network
    packet.length = end - packet.data
    _write(fixed - grows, conn, wide, grows)
    _lengthen(packet, grows, add(fixed - grows, grows))


@hot
def _write(at: int, conn: Conn, wide: Wide, grows: int) -> None:
    """The option itself."""
    store8(at, KIND)
    store8(at + 1, grows)
    store16(at + 2, conn.keys[REQUEST] & 0xFFFF)
    if grows == OCTETS4:
        store32(at + 4, conn.addresses[REQUEST] & 0xFFFFFFFF)
    else:
        copy(at + 4, wide.address, 16)


@hot
def _lengthen(packet: Packet, grows: int, total: int) -> None:
    """Lengths and checksums of both headers, for an option that sums to `total`."""
    tcp = TCP(packet.transport)
    if packet.family == 4:
        ip = IPv4(packet.network)
        ip.checksum = apply(ip.checksum, change16(ip.length, ip.length + grows))
        ip.length += grows
    else:
        IPv6(packet.network).length += grows
    tcp.data_offset += grows << 2
    if packet.flags & CHECKSUM_PARTIAL != 0:
        tcp.checksum = apply(tcp.checksum ^ ONES, grows) ^ ONES
    else:
        tcp.checksum = apply(tcp.checksum, total + grows + (grows << 10))
