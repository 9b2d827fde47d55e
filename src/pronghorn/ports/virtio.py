"""The virtio-net header (virtio 1.2, 5.1.6): what Linux says before a frame about work that is left to do.

TAP devices and packet sockets use the legacy form of 10 octets in host byte order. It stands right before the frame, in
our headroom, in both directions:

    checksum    the layer-4 checksum holds the pseudo header's sum; `checksum_start` and `checksum_offset` say where
    gso         the frame stands for several of `gso_size` octets of payload each
"""

from __future__ import annotations

from pronghorn.compiled import View, hot, leaf, load8, move, u8, u16
from pronghorn.ports.offload import UDP_FIELD, checksum_place, unfinish_checksum
from pronghorn.state.packet import CHECKSUM_GOOD, CHECKSUM_PARTIAL, UNSEGMENTED, Packet

VIRTIO = 10
"""Octets of the header."""

_NEEDS_CHECKSUM = 1  # VIRTIO_NET_HDR_F_...
_DATA_VALID = 2
_TCP4, _TCP6, _UDP, _ECN = 1, 4, 5, 0x80  # VIRTIO_NET_HDR_GSO_...
_CWR = 0x80  # flag of TCP


class VirtioHeader(View, size=VIRTIO):
    """struct virtio_net_hdr. Written by the side that sends the frame."""

    flags: u8
    gso_type: u8
    header_length: u16  # octets of all headers, of a frame with gso_type
    gso_size: u16  # octets of payload per segment
    checksum_start: u16  # octets from the frame to what the checksum covers
    checksum_offset: u16  # octets from there to the checksum


@leaf
def virtio_read(packet: Packet, header: VirtioHeader) -> None:
    """What the header says, into the packet."""
    flags = header.flags
    if flags & _NEEDS_CHECKSUM != 0:
        packet.flags = CHECKSUM_PARTIAL
    elif flags & _DATA_VALID != 0:
        packet.flags = CHECKSUM_GOOD
    if header.gso_type != 0 and header.gso_size != 0:
        packet.flags |= UNSEGMENTED
        packet.gso_size = header.gso_size


@hot
def virtio_write(packet: Packet) -> None:
    """The header, before the packet's data. A frame that begins too early in its chunk is moved."""
    if packet.data - packet.chunk < VIRTIO:
        move(packet.chunk + VIRTIO, packet.data, min(packet.length, packet.room - VIRTIO))
        packet.data = packet.chunk + VIRTIO
    header = VirtioHeader(packet.data - VIRTIO)
    header.flags, header.gso_type, header.header_length, header.gso_size = 0, 0, 0, 0
    header.checksum_start, header.checksum_offset = 0, 0
    if packet.flags & (CHECKSUM_PARTIAL | UNSEGMENTED) == 0:
        return
    start, offset, family = checksum_place(packet.data, packet.length)
    if start == 0:
        return
    header.flags = _NEEDS_CHECKSUM
    header.checksum_start, header.checksum_offset = start, offset
    if packet.flags & UNSEGMENTED != 0:
        if packet.flags & CHECKSUM_PARTIAL == 0:
            unfinish_checksum(packet.data, packet.length)
        _write_gso(header, packet, start, offset, family)


@leaf
def _write_gso(header: VirtioHeader, packet: Packet, start: int, offset: int, family: int) -> None:
    header.gso_size = packet.gso_size
    if offset == UDP_FIELD:
        header.gso_type, header.header_length = _UDP, start + 8
        return
    transport = packet.data + start
    version = _TCP4 if family == 4 else _TCP6
    header.gso_type = version | _ECN if load8(transport + 13) & _CWR != 0 else version
    header.header_length = start + (load8(transport + 12) >> 4) * 4
