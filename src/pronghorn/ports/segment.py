"""Cutting an unsegmented frame into segments, as TSO and UDP segmentation offload do, for ports that cannot.

Every segment repeats the headers. What differs (linux/net/ipv4/tcp_offload.c describes the same):

    IPv4    length, identification (one more each), header checksum;   IPv6    payload length
    TCP     sequence number; FIN and PSH only on the last, CWR only on the first (RFC 3168 6.1.2)
    UDP     length

Layer-4 checksums are left to be finished (CHECKSUM_PARTIAL).
"""

from __future__ import annotations

from pronghorn.compiled import Array, copy, hot, leaf, load8, load_be32, sequence, store8, store_be16, store_be32, u64
from pronghorn.ports.offload import UDP_FIELD, checksum_place, network_place, unfinish_checksum
from pronghorn.state.packet import CHECKSUM_PARTIAL, Packet
from pronghorn.state.packets import allocate_for, release
from pronghorn.state.worker import Worker
from pronghorn.wire import checksum
from pronghorn.wire.ipv4 import IPv4, header_octets
from pronghorn.wire.ipv6 import IPv6

_FIN_PSH, _CWR = 0x09, 0x80  # flags of TCP
_SEQUENCE, _OFFSET, _FLAGS = 4, 12, 13  # places in TCP's header
_UDP, _UDP_LENGTH = 8, 4


@hot
def segment(worker: Worker, packet: Packet, to: Array[u64], room: int) -> int:
    """The frame's segments, as packets of their own, by address into `to`; returns how many.

    0 when it cannot be cut: no TCP or UDP, more than `room` segments, or no chunks left. The frame itself is the
    caller's as before. Segments that do not fit a 2 KB chunk (of 9000 octets, say) lie in chunks of 64 KB.
    """
    start, field, family = checksum_place(packet.data, packet.length)
    if start == 0:
        return 0
    size = packet.gso_size
    header = start + (_UDP if field == UDP_FIELD else (load8(packet.data + start + _OFFSET) >> 4) * 4)
    payload = packet.length - header
    if size == 0 or payload <= 0:
        return 0
    count = (payload + size - 1) // size
    if count > room:
        return 0
    for i in range(count):
        piece = allocate_for(worker, header + size)
        if piece.address == 0:
            _give_back(worker, to, i)
            return 0
        to[i] = piece.address
        octets = min(size, payload - i * size)
        copy(piece.data, packet.data, header)
        copy(piece.data + header, packet.data + header + i * size, octets)
        piece.length = header + octets
        piece.flags = CHECKSUM_PARTIAL
        _network(piece, family, i)
        if field == UDP_FIELD:
            store_be16(piece.data + start + _UDP_LENGTH, _UDP + octets)
        else:
            _tcp(piece.data + start, i * size, i == count - 1)
        unfinish_checksum(piece.data, piece.length)
    return count


@hot
def _network(piece: Packet, family: int, number: int) -> None:
    """The layer-3 header of segment `number`."""
    place = network_place(piece.data, piece.length)
    octets = piece.length - place
    if family == 6:
        IPv6(piece.data + place).length = octets - IPv6.SIZE
        return
    ip = IPv4(piece.data + place)
    ip.length = octets
    ip.ident += number
    ip.checksum = 0
    ip.checksum = checksum.finish(checksum.add(ip.address, header_octets(ip)))


@leaf
def _tcp(header: int, offset: int, last: bool) -> None:
    """The TCP header of the segment whose payload starts `offset` octets into the frame's."""
    store_be32(header + _SEQUENCE, sequence.add(load_be32(header + _SEQUENCE), offset))
    flags = load8(header + _FLAGS)
    if not last:
        flags &= ~_FIN_PSH
    if offset != 0:
        flags &= ~_CWR
    store8(header + _FLAGS, flags)


@hot
def _give_back(worker: Worker, packets: Array[u64], count: int) -> None:
    for i in range(count):
        release(worker, Packet(packets[i]))
