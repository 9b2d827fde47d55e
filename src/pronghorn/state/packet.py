"""One frame and what is known about it.

Packets lie in a dense table beside the memory for their octets (the chunks), so that a burst's metadata shares few
cache lines and pages. The n-th packet owns the n-th chunk for ever; a packet is referred to by its address within one
engine and by its index on rings. Whoever holds a packet frees it, hands it on, or keeps it: exactly one of the three.
"""

from __future__ import annotations

from pronghorn.compiled import View, u8, u16, u32, u64

NO_PACKET = 0xFFFFFFFF
"""The end of a list of packets by index."""

HEADROOM = 256
"""Octets before a received frame: room for headers to come, and what AF_XDP reserves (XDP_PACKET_HEADROOM)."""
SMALL_ROOM = 2048 - HEADROOM
"""Octets that a chunk of 2 KB holds behind it."""

# Packet.flags
CHECKSUM_GOOD = 1  # the port vouches for the layer-4 checksum
CHECKSUM_PARTIAL = 2  # the layer-4 checksum field holds the pseudo-header sum; the rest is to be filled on the way out
UNSEGMENTED = 4  # a frame of several segments: gso_size says how long each segment's payload is
MULTICAST = 8  # layer-2 destination is a group
BROADCAST = 16  # layer-2 destination is everyone
ORIGINATED = 32  # made by this engine, not received
WHOLE = 64  # put together from fragments here: may be longer than any MTU, and is cut again on the way out
PREPARED = 256  # input/look_ahead.py has parsed and hashed it
STRAYED = 512  # another worker's by the rules, this one's because only some listen: its connection says whose it is
FROM_PROGRAM = 1024  # from an attached program, and not yet checked (programs/input.py)
GROUP_STATE = 1024  # no frame: what a worker wants of a group, for worker 0 (net/group_merge.py)
REDIRECTED = 128  # came from another worker by software dispatch: it is not dispatched again


class Packet(View, align=64, size=64):
    """Metadata of one frame; written by the worker that holds the packet."""

    data: u64  # address of the frame's first octet
    network: u64  # address of the layer-3 header; 0 before ethernet input
    transport: u64  # address of the layer-4 header; 0 before IP input
    chunk: u64  # address of the memory for octets; constant
    length: u32  # octets in the frame, from data
    hash: u32  # flow hash
    index: u32  # own place in the table; constant
    next: u32  # index of the next packet of a list, or NO_PACKET
    room: u32  # octets in the chunk; constant
    flags: u16
    port: u16  # input port
    out_port: u16  # output port, once routed
    gso_size: u16  # octets of payload per segment of an UNSEGMENTED frame
    vlan: u16  # VLAN tag taken off by the port or by ethernet input; 0 when none
    protocol: u8  # layer-4 protocol number
    family: u8  # 4 or 6
